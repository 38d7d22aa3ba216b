"""Notebook 05 in JupyterLab as a person uses it: press Start, watch, steer, stop, save, close and open it again."""

import json

import pytest
from tests.browser.lab import ERRORS, IDLE, READY, RUN_BELOW, RUN_UP_TO, SCROLL, shoot
from tests.browser.test_startup_panel import RUN_CELL, SET_ENGINE

from seatrial.server import list_servers

_MOST_BYTES = 80_000
"""Of the panel's cell as JupyterLab saves it."""
SHORTER = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.widgets;
  const cell = cells.find((one) => one.model.id === 'parameters').model.sharedModel;
  cell.setSource(cell.source.replace('"1,2,4,8"', '"4,8"').replace('answer_tokens: int = 32', 'answer_tokens: int = 16'));
}"""
DETAIL = "() => document.querySelector('.st-detail')?.textContent ?? ''"
VALUE = "() => document.querySelector('.seatrial-live .st-main .st-bold + span + b')?.textContent ?? ''"
SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
THEME = "(name) => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })"
INK = """() => getComputedStyle(document.querySelector('.seatrial-panel')).getPropertyValue('--st-ink').trim()"""
LOST = "() => /model not found|Loading widget/.test(document.querySelector('.jp-OutputArea:has(.seatrial-twin)')?.innerText ?? '')"


def says(page, text):
    """Wait until the panel says this."""
    page.wait_for_function(f"(text) => ({DETAIL})().includes(text)", arg=text)


@pytest.mark.browser
def test_a_load_is_watched_and_steered(lab, page, tmp_path):
    """The plot moves, the slider changes a running load, also while a cell waits; the saved notebook shows its last picture."""
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{lab}/lab/tree/05_live_throughput.ipynb")
    page.wait_for_function(READY)
    page.evaluate(SET_ENGINE)
    page.evaluate(SHORTER)
    page.evaluate(RUN_UP_TO, "panel")
    page.locator(".seatrial-live .seatrial-start").wait_for()
    page.wait_for_function(IDLE)
    page.evaluate(SCROLL, "panel")
    assert not page.locator(".seatrial-twin").is_visible()  # the live panel stands for its picture
    page.locator(".seatrial-free").click()
    says(page, "8 streams, until you stop")
    first = page.wait_for_function(
        f"() => {{ const value = ({VALUE})(); return parseFloat(value) > 0 ? value : false; }}"
    )
    page.wait_for_function(f"(before) => ({VALUE})() !== before", arg=first.json_value())
    page.locator(".seatrial-streams input").focus()
    page.keyboard.press("ArrowRight")
    says(page, "9 streams, until you stop")
    shoot(page, "05-running")
    page.evaluate(RUN_CELL, "result")  # it waits for the load, and holds the kernel
    page.keyboard.press("Escape")
    page.evaluate(SCROLL, "panel")
    page.locator(".seatrial-streams input").focus()
    page.keyboard.press("ArrowLeft")
    says(page, "8 streams, until you stop")
    light = page.evaluate(INK)
    page.evaluate(THEME, "JupyterLab Dark")
    page.wait_for_function(f"(light) => ({INK})() !== light", arg=light)
    page.set_viewport_size({"width": 800, "height": 900})
    shoot(page, "05-dark-800")
    assert page.evaluate(
        "() => { const p = document.querySelector('.seatrial-panel'); return p.scrollWidth <= p.clientWidth; }"
    )
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.evaluate(THEME, "JupyterLab Light")
    page.locator(".seatrial-stop").click()
    says(page, "complete, 2 load levels")  # an exploration is no result: the cell sends the levels
    page.wait_for_function(IDLE)
    assert_reopens(page, tmp_path / "notebooks" / "05_live_throughput.ipynb")
    assert [] == [one for one in problems if "model not found" not in one]


def assert_reopens(page, saved):
    """Run the rest, save, close and open the notebook again: small, and its last picture is there without a kernel."""
    page.evaluate(RUN_BELOW)
    page.wait_for_function("() => document.body.innerText.includes('processes left')")
    page.wait_for_function(IDLE)
    assert [] == page.evaluate(ERRORS)
    page.evaluate(SAVE)
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    (cell,) = (cell for cell in json.loads(saved.read_text())["cells"] if cell["id"] == "panel")
    assert len(json.dumps(cell, indent=1)) < _MOST_BYTES
    page.evaluate("() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
    page.reload()
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.content?.widgets?.length > 5")
    page.evaluate(SCROLL, "panel")
    page.locator(".seatrial-twin svg").first.wait_for()
    shoot(page, "05-reopened")
    assert "complete, 2 load levels" in page.locator(".seatrial-twin").inner_text()
    assert not page.evaluate(LOST)
    assert [] == list_servers()
