"""``seatrial report``: a page and a short table, or one JSON document."""

import json

from tests.view.made_up import write_run

from seatrial.cli.main import main


def test_one_run_gets_its_page_beside_its_record(tmp_path, capsys):
    """The last line names the file."""
    run = write_run(tmp_path / "first")
    assert 0 == main(["report", str(run)])
    assert (run / "report.html").exists()
    assert f"Report: {run / 'report.html'}" == capsys.readouterr().out.splitlines()[-1]


def test_a_record_can_be_named_itself(tmp_path):
    """``record.json`` means its run."""
    run = write_run(tmp_path / "first")
    assert 0 == main(["report", str(run / "record.json")])
    assert (run / "report.html").exists()


def test_several_runs_are_compared_in_one_document(tmp_path, capsys):
    """--json: one document on stdout and nothing else; the page is written all the same."""
    runs = [write_run(tmp_path / name) for name in ("first", "second")]
    page = tmp_path / "all.html"
    assert 0 == main(["report", *map(str, runs), "--output", str(page), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert str(page) == document["report"]
    assert ["first", "second"] == [run["id"] for run in document["runs"]]
    assert [1, 2, 4, 8] == [point["concurrency"] for point in document["runs"][0]["points"]]
    assert "2 runs compared" in page.read_text(encoding="utf-8")


def test_what_is_no_run_ends_with_2(tmp_path, capsys):
    """One message with the remedy, nothing written."""
    page = tmp_path / "page.html"
    assert 2 == main(["report", str(tmp_path / "absent"), "--output", str(page)])
    assert "There is no run in" in capsys.readouterr().err
    assert not page.exists()


def test_a_page_that_cannot_be_written_ends_with_2(tmp_path, capsys):
    """The folder is a file."""
    run = write_run(tmp_path / "first")
    (tmp_path / "file").write_text("")
    assert 2 == main(["report", str(run), "--output", str(tmp_path / "file" / "page.html")])
    assert "cannot be written" in capsys.readouterr().err
