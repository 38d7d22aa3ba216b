"""Records are found by files, folders and patterns, and of many only the figures are read."""

import json

import pytest
from tests.view.made_up import measurement, results, write_run

from seatrial.errors import UsageError
from seatrial.records import to_dict, write_record
from seatrial.view.report.compared import read_runs
from seatrial.view.report.find import find_records, head_of, read_head
from seatrial.view.report.run_record import read_record


def written(folder, **changes):
    """Write a run as the kit writes it today."""
    document = json.loads((write_run(folder) / "record.json").read_text())
    document["results"]["measurement"] = to_dict(measurement(**changes).recorded())
    write_record(folder / "record.json", document)
    return folder


def test_files_folders_and_patterns_mean_the_same_records(tmp_path):
    """Each once, in the order named; a folder of runs means all of them, records with a name of their own included."""
    one, two = written(tmp_path / "runs" / "a"), written(tmp_path / "runs" / "b")
    (tmp_path / "runs" / "c.json").write_bytes((one / "record.json").read_bytes())
    (tmp_path / "runs" / "other.json").write_text("{}")
    every = [one / "record.json", two / "record.json", tmp_path / "runs" / "c.json"]
    assert every == find_records([tmp_path / "runs"])
    assert every[:2] == find_records([f"{tmp_path}/runs/*/record.json", one, two / "record.json"])
    assert every[:2] == find_records([f"{tmp_path}/r*/[ab]"])
    assert every[:2] == find_records([tmp_path / "runs" / "a", tmp_path / "runs" / "b"])


@pytest.mark.parametrize("name", ["absent", "nothing*", "x" * 300, "a\x00b", ""])
def test_a_name_that_means_nothing_is_one_error(tmp_path, name):
    """Missing, a pattern without a match, a name that no file can have, a folder without a run."""
    with pytest.raises(UsageError):
        read_runs([tmp_path / name])


def test_the_figures_read_first_are_those_of_the_whole_record(tmp_path):
    """Of today's form as far as the series, of any other form by the whole record."""
    for folder in (written(tmp_path / "new"), write_run(tmp_path / "old")):
        assert head_of(read_record(folder)) == read_head(folder / "record.json")


def test_only_the_figures_are_read_of_todays_form(tmp_path):
    """A record that is cut in its series still has its figures; as a whole it cannot be read."""
    path = written(tmp_path / "cut") / "record.json"
    text = path.read_text()
    path.write_text(text[: text.index('"samples"') + 40])
    assert [1, 2, 4, 8] == [point.concurrency for point in read_head(path).points]
    with pytest.raises(UsageError, match="not JSON"):
        read_record(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"results": []}', "\x80", "[" * 100_000, '{"format": "x"}'])
def test_one_damaged_record_among_many_is_named_and_left_out(tmp_path, text):
    """In a folder of runs; a record that was named itself is an error."""
    written(tmp_path / "runs" / "good")
    (tmp_path / "runs" / "bad").mkdir()
    bad = tmp_path / "runs" / "bad" / "record.json"
    bad.write_text(text)
    compared = read_runs([tmp_path / "runs"])
    assert ["good"] == compared.names
    assert [str(bad)] == [line.split(" ")[0] for line in compared.unread]
    with pytest.raises(UsageError, match=r"bad.record\.json"):
        read_runs([tmp_path / "runs" / "good", bad])


def test_a_record_in_which_the_series_come_first_is_read_whole(tmp_path):
    """Another program may have written it again, in another order."""
    path = written(tmp_path / "again") / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True, indent=3))
    assert [1, 2, 4, 8] == [point.concurrency for point in read_head(path).points]


def test_of_many_runs_the_fastest_are_shown_and_all_are_counted(tmp_path):
    """Real ones before simulated ones, however fast."""
    for place in range(12):
        written(tmp_path / "runs" / f"r{place:02}", scale=1.0 + place / 10, simulated=place == 11)
    compared = read_runs([tmp_path / "runs"])
    assert 12 == len(compared.heads)
    assert [f"r{place:02}" for place in range(3, 11)] == compared.shown_names
    assert "Of 12 runs: r10 serves" in compared.finding
    assert 4 == len(compared.table(others=True).rows)


def test_prices_are_for_all_or_for_each(tmp_path):
    """Any other number is an error that says both numbers."""
    folders = [written(tmp_path / name) for name in "abc"]
    assert [2.0, 2.0, 2.0] == read_runs(folders, [2.0]).prices
    assert [1.0, 2.0, 3.0] == read_runs(folders, [1.0, 2.0, 3.0]).prices
    assert [None] * 3 == read_runs(folders).prices
    with pytest.raises(UsageError, match="2 prices for 3 runs"):
        read_runs(folders, [1.0, 2.0])


def test_odd_names_of_runs_are_told_apart(tmp_path):
    """A number follows a name that occurs twice."""
    one, two = write_run(tmp_path / "a" / "run", results()), write_run(tmp_path / "b" / "run")
    assert ["run (1)", "run (2)"] == read_runs([one, two]).names
