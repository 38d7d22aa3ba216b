"""The load panel: widgets in a kernel, plain tables without one; nothing waits for a click."""

import pytest
from tests.simulator import running_simulator

from seatrial.errors import MeasurementError
from seatrial.measure import Workload
from seatrial.view import load_panel
from seatrial.view.chart.chart import PLOTLY_MIME

SHORT = "Workload(concurrency=(1, 2), requests=4, prompt_tokens=40, answer_tokens=16)"
PANEL = f"""\
from seatrial import Workload
from seatrial.view import load_panel
panel = load_panel(URL, {SHORT})
panel"""


@pytest.fixture(scope="module")
def url():
    """Yield a simulated engine with quick answers."""
    with running_simulator("--ttft-s=0.02", "--tpot-s=0.01") as server:
        yield server.url


def plain(outputs):
    """Return the text forms of a cell's outputs."""
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
    assert "Streams at once" in shown[0].data["text/html"]
    assert "Streams at once" in shown[0].data["text/plain"]
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
