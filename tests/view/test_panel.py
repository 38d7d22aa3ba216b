"""The load panel and the plan explorer: widgets in a kernel, plain tables without one; nothing waits for a click."""

import ast
import os

import nbformat
import pytest
from nbclient import NotebookClient
from tests.simulator import running_simulator

from seatrial.errors import MeasurementError, UnknownNameError
from seatrial.measure import Workload
from seatrial.view import load_panel, plan_explorer
from seatrial.view.live import HEADLESS
from seatrial.view.plotly_chart import PLOTLY_MIME

SHORT = "Workload(concurrency=(1, 2), requests=4, prompt_tokens=40, answer_tokens=16)"
PANEL = f"""\
from seatrial import Workload
from seatrial.view import load_panel
panel = load_panel(URL, {SHORT})
panel"""
EXPLORER = """\
from seatrial.view import plan_explorer
explorer = plan_explorer("h200x4", context_tokens=5000)
explorer"""
TURN = """\
controls, shown = explorer._controls, explorer._shown
controls["model"].value = "pro"
said = [explorer.plan.model, shown["verdict"].value]
controls["hardware"].value = "<b>h2O0x4</b>"
said += [explorer.plan.hardware.name, shown["verdict"].value]
controls["hardware"].value = "h100x8"
said += [explorer.plan.hardware.name, bytes(shown["memory"].value[:4]).decode(), shown["command"].value]
said"""


@pytest.fixture(scope="module")
def url():
    """A simulated engine with quick answers."""
    with running_simulator("--ttft-s=0.02", "--tpot-s=0.01") as server:
        yield server.url


@pytest.fixture
def run_cells(monkeypatch):
    """Run cells in a real kernel, with or without a front end, and give their outputs."""

    def run(*cells, headless):
        monkeypatch.setenv(HEADLESS, "1" if headless else "")
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute(env=dict(os.environ))
        return [cell.outputs for cell in notebook.cells]

    return run


def plain(outputs):
    """The text forms of a cell's outputs."""
    return "\n".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def test_headless_the_panel_is_a_table_and_the_result_runs_the_load(run_cells, url):
    """Two plain figures from the recorder, each as plotly, SVG and text; no widget anywhere."""
    _, shown, result, measured = run_cells(
        f"URL = {url!r}",
        PANEL,
        "measurement = panel.result()",
        "[len(measurement.points), panel.running]",
        headless=True,
    )
    assert "Streams at once" in plain(shown)
    assert [{PLOTLY_MIME, "image/svg+xml", "text/plain"}] * 2 == [set(output.data) for output in result]
    assert "[2, False]" == plain(measured)


def test_in_a_front_end_the_button_starts_and_the_plot_follows(run_cells, url):
    """A click starts one load, the buttons change, the status and the plot say how it ended."""
    click = "panel._widgets['start'].click(); (panel.running, panel._widgets['stop'].disabled)"
    end = "(len(panel.result().points), len(panel._plot.figure.data[0].x) > 0, panel._widgets['stop'].disabled)"
    _, shown, started, result, status = run_cells(
        f"URL = {url!r}", PANEL, click, end, "panel._widgets['status'].value", headless=False
    )
    assert "application/vnd.jupyter.widget-view+json" in shown[0].data
    assert "(True, False)" == plain(started)
    assert "(2, True, True)" == plain(result)
    assert "Done." in plain(status)


def test_in_a_front_end_nothing_waits_for_the_click(run_cells, url):
    """The result is there although nobody pressed anything; asked again it is the same."""
    *_, result = run_cells(
        f"URL = {url!r}", PANEL, "(len(panel.result().points), panel.result() == panel.result())", headless=False
    )
    assert "(2, True)" == plain(result)


def test_a_server_that_is_gone_is_said_in_the_panel(run_cells):
    """An error in a click would go unseen: it stands beside the button."""
    cells = ("URL = 'http://127.0.0.1:9'", PANEL, "panel._widgets['start'].click(); _ = panel._plot.wait(60)")
    *_, status = run_cells(*cells, "panel._widgets['status'].value", headless=False)
    assert "127.0.0.1:9" in plain(status)


def test_the_result_of_a_server_that_is_gone_is_an_error():
    """Asked for the result, the panel raises what the measurement raised."""
    with pytest.raises(MeasurementError):
        load_panel("http://127.0.0.1:9", Workload(concurrency=(1,), requests=1)).result()


def test_headless_the_explorer_shows_its_plan(run_cells):
    """Verdict, memory, command as a table, then the bars."""
    (shown,) = run_cells(EXPLORER, headless=True)
    assert "on h200x4: " in plain(shown)
    assert "--context-length=5000" in plain(shown)
    assert PLOTLY_MIME in shown[1].data


def test_controls_change_the_plan_at_once(run_cells):
    """Model and machine are taken over; an unknown machine says so as text and the plan stays."""
    _, said = run_cells(EXPLORER, TURN, headless=False)
    model, verdict, kept, complaint, machine, picture, command = ast.literal_eval(plain(said))
    assert ("pro", "h200x4", "h100x8") == (model, kept, machine)
    assert "on h200x4: " in verdict
    assert "Unknown" in complaint
    assert "<b>h2O0x4" not in complaint
    assert "<svg" == picture
    assert command.startswith("<pre")


def test_an_unknown_machine_is_an_error_at_once():
    """A parameter that is wrong is not hidden in a widget."""
    with pytest.raises(UnknownNameError):
        plan_explorer("h2O0x4")


def test_every_machine_that_is_offered_can_be_planned_for():
    """No choice of the list ends in an error."""
    from seatrial.view.explorer import _machines

    verdicts = {plan_explorer(name).plan.verdict for name in _machines()}
    assert verdicts <= {"verified", "fits", "does_not_fit", "refused"}
