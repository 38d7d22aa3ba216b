"""A launch in JupyterLab as a person sees it: the panel moves while the cell holds the kernel, and ends as a table."""

import pytest
from tests.browser.lab import ERRORS, READY, RUN_UP_TO, SCROLL, shoot

from seatrial.server import list_servers

TEXT = "() => document.querySelector('.seatrial-startup .st-start')?.innerText ?? ''"
SET_ENGINE = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.widgets;
  const cell = cells.find((one) => one.model.id === 'parameters').model.sharedModel;
  cell.setSource(cell.source.replace('engine: str = "auto"', 'engine: str = "simulated"')
    .replace('model: str = "auto"', 'model: str = "smollm2"'));
}"""

RUN_CELL = """(id) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.findIndex((cell) => cell.model.id === id);
  window.jupyterapp.commands.execute('notebook:run-cell');
}"""


@pytest.fixture
def slow_simulator(monkeypatch):
    """Let the simulator go through its phases. Use before JupyterLab, whose kernels inherit the setting."""
    monkeypatch.setenv("SEATRIAL_SIMULATED_STARTUP_S", "12")


@pytest.mark.browser
@pytest.mark.usefixtures("slow_simulator")
def test_the_panel_moves_while_the_cell_runs(lab, page):
    """Phase and count change while the kernel is busy; then the phases and how long they took; nothing is left."""
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{lab}/lab/tree/05_live_throughput.ipynb")
    page.wait_for_function(READY)
    page.evaluate(SET_ENGINE)
    page.evaluate(RUN_UP_TO, "launch")
    page.wait_for_function(f"() => ({TEXT})().includes('loading weights')")
    page.evaluate(SCROLL, "launch")
    first = page.wait_for_function(f"() => ({TEXT})().match(/loading weights, (\\d+) of 46/)?.[1]").json_value()
    assert "Ready after" not in page.inner_text("body")  # what the cell ends with
    later = page.wait_for_function(
        f"(before) => {{ const now = ({TEXT})().match(/loading weights, (\\d+) of 46/)?.[1]; return +now > +before + 5; }}",
        arg=first,
    )
    assert later
    shown = page.evaluate(TEXT)
    assert "simulated: no model behind it" in shown
    assert "not known yet" in shown or "left" in shown
    assert "simulated: loading weights, part" in shown  # the end of its log
    shoot(page, "startup-loading")
    page.wait_for_function(f"() => ({TEXT})().includes('capturing graphs')")
    shoot(page, "startup-graphs")
    page.wait_for_function(f"() => ({TEXT})().includes('ready after')")
    page.wait_for_function("() => document.body.innerText.includes('Ready after')")
    done = page.evaluate(TEXT)
    for phase in ("starting", "loading weights", "allocating caches", "capturing graphs", "warming up", "first token"):
        assert phase in done
    shoot(page, "startup-ready")
    assert [] == page.evaluate(ERRORS)
    assert [] == problems
    page.evaluate(RUN_CELL, "stop")
    page.wait_for_function("() => document.body.innerText.includes('processes left')")
    assert [] == list_servers()
