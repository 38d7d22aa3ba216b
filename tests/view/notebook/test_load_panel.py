"""The load panel: widgets in a kernel, a still picture without one; nothing waits for a click, nothing finished is lost."""

import json
import subprocess
import sys
import time

import nbformat
import pytest
from tests.simulator import running_simulator
from tests.view.made_up import HOSTILE

from seatrial.errors import MeasurementError
from seatrial.measure import Workload
from seatrial.view import load_panel

SHORT = "Workload(concurrency=(1, 2), requests=4, prompt_tokens=40, answer_tokens=16)"
LONG = "Workload(concurrency=(1, 2), requests=4000, prompt_tokens=40, answer_tokens=16)"
VIEW = "application/vnd.jupyter.widget-view+json"
UNTIL = """\
import time
def until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
"""
INTERRUPT = f"""\
import os, signal, threading
{UNTIL}
def interrupt():
    until(lambda: panel.runs and len(panel.runs[-1].load.recorder.completions) > 2)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
"""
_MOST_BYTES = 200_000


def panel_cell(url, workload=SHORT):
    """Return a cell that shows a panel."""
    lines = ("from seatrial import Workload", "from seatrial.view import load_panel")
    return "\n".join((*lines, f"panel = load_panel({url!r}, {workload})", "panel"))


@pytest.fixture(scope="module")
def url():
    """Yield a simulated engine with quick answers."""
    with running_simulator("--ttft-s=0.02", "--tpot-s=0.01") as server:
        yield server.url


@pytest.fixture
def panel(url):
    """Yield a panel outside of a kernel, whose loads end with the test."""
    made = load_panel(url, Workload(concurrency=(1, 2), requests=4, prompt_tokens=40, answer_tokens=16))
    yield made
    made.stop()


def until(true):
    """Wait for something to become true."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def plain(outputs):
    """Return the text forms of a cell's outputs."""
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_headless_the_panel_becomes_its_picture(run_cells, url):
    """The load in words, then in its place pictures and figures as text; no widget and no plotly anywhere."""
    shown, _, measured = run_cells(
        panel_cell(url), "measurement = panel.result()", "[len(measurement.points), panel.running]", headless=True
    )
    assert [{"text/html", "text/plain"}] == [set(output.data) for output in shown]
    assert "<svg" in shown[0].data["text/html"]
    assert "Run 1: complete, 2 load levels" in plain(shown)
    assert "TTFT: p50" in plain(shown)
    assert "[2, False]" == plain(measured)


def test_in_a_front_end_the_picture_stands_beside_the_widget(run_cells, url):
    """Two outputs: the live view, and what a saved notebook shows of it, brought up to date at the end."""
    shown, result = run_cells(panel_cell(url), "(len(panel.result().points), panel.running)", headless=False)
    assert [{VIEW, "text/plain"}, {"text/html", "text/plain"}] == [set(output.data) for output in shown]
    assert "Run 1: complete" in shown[1].data["text/html"]
    assert "(2, False)" == plain(result)


def test_a_page_starts_and_stops(run_cells, url):
    """What a page sends is done beside the kernel: start, other streams, stop; odd messages are answered or ignored."""
    said = "panel._asked({!r}); until(lambda: {})".format
    cells = (
        panel_cell(url, LONG),
        UNTIL,
        said({"kind": "start", "answer_tokens": "12"}, "panel.running"),
        "panel.runs[-1].workload.answer_tokens",
        said({"kind": "streams", "streams": 3}, "panel.runs[-1].load.recorder.progress.level == '3 streams'"),
        said({"kind": "streams", "streams": "many"}, "'streams' in panel._error"),
        said({"kind": "nonsense"}, "not panel._error"),
        said({"kind": "stop"}, "not panel.running and panel.runs[-1].ended"),
        "[panel.runs[-1].complete, panel.runs[-1].describe()]",
        said({"kind": "free", "streams": 2}, "panel.running"),
        "[panel.runs[-1].workload.until_stopped, panel.stop()]",
    )
    *_, tokens, _, _, _, _, stopped, _, endless = run_cells(*cells, headless=False)
    assert "12" == plain(tokens)
    assert plain(stopped).startswith("[False")
    assert "Run 1: stopped by you" in plain(stopped)
    assert "[True, None]" == plain(endless)


def test_a_second_start_keeps_the_first_result(panel):
    """While a load runs Start does nothing more; a second run that is stopped leaves the first as the result."""
    first = panel.start()
    assert first is panel.start()
    measurement = panel.result()
    second = panel.start()
    second.stop()
    assert second.wait(60)
    assert measurement is panel.result()
    assert [True, False] == [run.complete for run in panel.runs]
    assert second.describe().startswith("Run 2: stopped by you")


def test_a_run_that_was_stopped_is_a_result_if_there_is_no_other(url):
    """Its finished and partial levels stay."""
    panel = load_panel(url, Workload(concurrency=(1, 2), requests=4000, prompt_tokens=40, answer_tokens=16))
    run = panel.start()
    until(lambda: len(run.load.recorder.completions) > 2)
    panel.stop()
    assert panel.result() is run.measurement
    measurement = run.measurement
    assert measurement.points[-1].partial
    assert measurement.points[-1].requests.succeeded > 0


def test_an_exploration_is_no_result(panel):
    """Streams that were turned up and down by hand do not stand for the levels that were asked for."""
    panel.start(panel._endless(3))
    panel.stop()
    assert 2 == len(panel.result().points)
    assert [True, False] == [run.workload.until_stopped for run in panel.runs]


def test_an_interrupt_keeps_what_was_complete(run_cells, url):
    """The notebook's stop button ends the load without a traceback, and what it brought is the result."""
    _, result, _ = run_cells(
        panel_cell(url, LONG), f"{INTERRUPT}panel.result().points[-1].partial", "panel.stop()", headless=True
    )
    assert "True" == plain(result)


def test_a_server_that_is_gone_is_said_in_the_panel(run_cells):
    """An error after a click would go unseen: it stands beside the buttons."""
    cells = (
        panel_cell("http://127.0.0.1:9"),
        f"{UNTIL}panel._obey({{'kind': 'start'}})\nuntil(lambda: not panel.runs or panel.runs[-1].ended)",
        "print(panel._error, panel._status(None)['runs'])",
    )
    *_, status = run_cells(*cells, headless=False)
    assert "127.0.0.1:9" in plain(status)


def test_the_result_of_a_server_that_is_gone_is_an_error():
    """Asked for the result, the panel raises what the measurement raised."""
    with pytest.raises(MeasurementError):
        load_panel("http://127.0.0.1:9", Workload(concurrency=(1,), requests=1)).result()


def test_what_a_server_says_is_text(panel):
    """An error with markup and escape codes stays text in the picture of the run."""
    run = panel.start()
    assert run.wait(60)
    run.measurement, run.error = None, MeasurementError(HOSTILE, remedy=HOSTILE)
    page = panel_picture_of(panel)
    assert "<script>" not in page["text/html"]
    assert "\x1b" not in page["text/html"] + page["text/plain"]


def panel_picture_of(panel):
    """Return the still picture of a panel's runs."""
    from seatrial.view.notebook.panel_picture import panel_picture

    return panel_picture(panel.to_table(), panel.runs)


@pytest.mark.parametrize("program", ["papermill", "nbconvert"])
def test_a_notebook_that_others_run_stays_small_and_shows_the_run(url, tmp_path, program):
    """Plain papermill and nbconvert know nothing of us: at most 200 kB, no plotly, and the picture of the run is there."""
    cells = (panel_cell(url), "measurement = panel.result()")
    source, done = tmp_path / "source.ipynb", tmp_path / "done.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, source)
    command = {
        "papermill": ["papermill", str(source), str(done)],
        "nbconvert": ["nbconvert", "--execute", "--to", "notebook", f"--output={done}", str(source)],
    }[program]
    subprocess.run([sys.executable, "-W", "ignore", "-m", *command], check=True, capture_output=True, timeout=300)
    assert done.stat().st_size < _MOST_BYTES
    outputs = json.loads(done.read_text())["cells"][0]["outputs"]
    assert any("Run 1: complete" in "".join(output["data"].get("text/html", "")) for output in outputs)
    assert "plotly" not in done.read_text()
