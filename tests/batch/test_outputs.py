"""What a notebook shows stays within bounds; what is no record costs neither the other results nor the run."""

import json
import math

import pytest
from tests.conftest import ROOT

from seatrial.batch import run_notebooks
from seatrial.batch.outputs import Outputs
from seatrial.cli.main import main
from seatrial.records import MOST_RECORD_LEVELS, RECORD_MIME, read_json


def shown(data, metadata=None):
    """Return the kernel's message that shows this data."""
    return {"msg_type": "display_data", "content": {"data": data, "metadata": metadata or {}}}


def nested(levels):
    """Return a list in a list, so many levels deep."""
    value = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    ["x", [], [1], {}, None, 5, True, {"value": 1}, {"name": "a"}, {"name": ["a"], "value": 1}, {"name": 5, "value": 1},
     {"name": "a", "value": nested(MOST_RECORD_LEVELS)}, {"name": "a", "value": "y" * (65 << 20)}],
    ids=range(13),
)  # fmt: skip
def test_what_is_no_record_is_left_out_and_said(value):
    """The rest of what was shown stays, with a line in its place."""
    outputs = Outputs()
    content = outputs.bounded(shown({RECORD_MIME: value, "text/plain": "beside"}), "c0")["content"]
    assert {"text/plain": f"beside\n[left out by seatrial run: {RECORD_MIME}]"} == content["data"]
    (said,) = outputs.left_out
    assert said.startswith(f"cell c0: {RECORD_MIME}, which ")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1 << 2000])
def test_a_number_json_has_no_word_for_is_unknown(value):
    """The result stays, with null in its place, which is said."""
    outputs = Outputs()
    kept = outputs.bounded(shown({RECORD_MIME: {"name": "a", "value": [1.5, value]}}), "c0")["content"]["data"]
    assert {"name": "a", "value": [1.5, None]} == kept[RECORD_MIME]
    assert ["cell c0: in the result 'a', numbers that are none (NaN, infinity)"] == outputs.left_out


@pytest.mark.parametrize("data", [{"text/plain": 5}, {"text/html": ["x"]}, {"application/json": nested(101)}])
def test_other_data_no_reader_takes_is_left_out_too(data):
    """A saved notebook stays one that every program opens."""
    outputs = Outputs()
    assert {"text/plain"} == set(outputs.bounded(shown(data), "c0")["content"]["data"])
    assert 1 == len(outputs.left_out)


def test_metadata_is_plain_or_empty():
    """NaN becomes null; what is too deep or no object goes."""
    for metadata, expected in (({"a": math.nan}, {"a": None}), ({"a": nested(200)}, {}), ([1], {})):
        assert expected == Outputs().bounded(shown({}, metadata), "c0")["content"]["metadata"]


def test_streams_end_at_a_bound_for_the_whole_notebook():
    """It is said once, however much is printed after it."""
    outputs, kept = Outputs(), 0
    for _ in range(30):
        message = {"msg_type": "stream", "content": {"name": "stdout", "text": "y" * 1_000_000}}
        kept += len(outputs.bounded(message, "c0")["content"]["text"])
    assert 16 << 20 == kept
    assert ["cell c0: output beyond 16,777,216 characters"] == outputs.left_out


def test_an_error_is_cut():
    """Neither its text nor a line of its traceback is longer than a page."""
    content = {"ename": "E", "evalue": "x" * 5_000_000, "traceback": ["y" * 5_000_000]}
    cut = Outputs().bounded({"msg_type": "error", "content": content}, "c0")["content"]
    assert {20_000} == {len(cut["evalue"]), len(cut["traceback"][0])}


def test_a_message_of_another_kind_passes():
    """Nothing but output is looked at."""
    message = {"msg_type": "status", "content": {"execution_state": "idle"}}
    assert message == Outputs().bounded(message, "c0")


SHOW = f"from IPython.display import display\ndisplay({{{RECORD_MIME!r}: ['no record']}}, raw=True)"
AFTER = "from seatrial.records import record\nrecord({name!r}, {value})".format


@pytest.mark.notebook
def test_a_run_with_what_is_no_record_is_finished_and_says_so(write_notebook, tmp_path, capsys):
    """The results beside it and of the other notebook stay, the page is written, and all three say what is missing."""
    odd = write_notebook("odd", SHOW, AFTER(name="beside", value=1), AFTER(name="measurement", value=2))
    other = write_notebook("other", AFTER(name="other", value="float('nan')"))
    folder = tmp_path / "run"
    assert 0 == main(["run", str(odd), str(other), "--output", str(folder)])
    record = read_json(folder / "record.json")
    assert ["completed", "completed"] == [one["status"] for one in record["notebooks"]]
    assert record["finished_at"]
    assert {"beside": 1, "measurement": 2, "other": None} == record["results"]
    (said,) = record["notebooks"][0]["left_out"]
    assert "is no record: it needs a name, and a value" in said
    err = capsys.readouterr().err
    assert f"seatrial: odd.ipynb: left out, {said}" in err
    assert "The result 'measurement' is no measurement" in err
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "is no record: it needs a name, and a value" in page
    assert "Damaged record." in page


@pytest.mark.notebook
def test_more_output_than_a_record_may_have_is_cut(write_notebook, tmp_path):
    """The saved notebook can be opened, and the result after the flood is there."""
    path = write_notebook("flood", "for _ in range(4): print('y' * 5_000_000)", AFTER(name="after", value=1))
    run = run_notebooks([path], output=tmp_path / "run")
    assert ({"after": 1}, "completed") == (run.results, run.notebooks[0].status)
    assert ("cell cell-0: output beyond 16,777,216 characters",) == run.notebooks[0].left_out
    assert (tmp_path / "run" / "flood.ipynb").stat().st_size < 18 << 20


@pytest.mark.notebook
def test_half_characters_do_not_stop_a_run(write_notebook, tmp_path):
    """No UTF-8 file can have them: they are mended or the cell fails; the notebook beside it runs."""
    path = write_notebook("halves", r"print('\ud800')", r"'\udcff'", r"raise ValueError('\ud83d')")
    run = run_notebooks([path, write_notebook("other", AFTER(name="other", value=1))], output=tmp_path / "run")
    assert ["failed", "completed"] == [one.status for one in run.notebooks]
    assert {"other": 1} == run.results
    json.loads((tmp_path / "run" / "halves.ipynb").read_text(encoding="utf-8"))


def test_the_series_shows_nothing_that_is_left_out():
    """The bounds are far above what the notebooks of the kit keep."""
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert path.stat().st_size < 1 << 20
