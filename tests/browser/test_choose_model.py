"""Notebook 02 in JupyterLab as a person uses it: move the controls with the keyboard, see the plan follow."""

import pytest
from tests.browser.lab import ERRORS, IDLE, READY, RUN_UP_TO, SCROLL, shoot

CHANGED = """(before) => {
  const page = document.querySelector('.seatrial-page .st-page');
  return page && page.innerText !== before ? page.innerText : false;
}"""
DONE = """(id) => window.jupyterapp.shell.currentWidget.content.widgets.some(
  (cell) => cell.model.id === id && cell.model.outputs.length > 0)"""
CUT_OFF = """() => [...document.querySelectorAll('.seatrial-page .st-page, .seatrial-page .st-page *')]
  .filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0 && !one.closest('svg'))
  .map((one) => one.outerHTML.slice(0, 80))"""


@pytest.mark.browser
def test_the_explorer_follows_its_controls(lab, page):
    """Arrow keys move context and load, lists choose machine and engine; a no is shown as well as a yes."""
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{lab}/lab/tree/02_choose_model.ipynb")
    page.wait_for_function(READY)
    page.evaluate(RUN_UP_TO, "explorer")
    page.wait_for_function(DONE, arg="explorer")
    page.evaluate(SCROLL, "explorer")  # what is out of sight is not drawn
    shown = page.locator(".seatrial-page .st-page")
    shown.wait_for()
    page.wait_for_function(IDLE)
    for cell in ("other-tools", "fits-example", "fit-chart", "fit-chart-crowd", "explorer"):
        page.evaluate(SCROLL, cell)
        shoot(page, f"02-{cell}")
    assert "a vendor ran exactly this" in shown.inner_text()
    page.locator(".seatrial-context-tokens .noUi-handle").focus()
    shown = after(page, lambda: page.keyboard.press("ArrowRight"))
    assert "--context-length=3072" in shown
    page.locator(".seatrial-concurrency .noUi-handle").focus()
    shown = after(page, lambda: page.keyboard.press("ArrowRight"))
    assert "2 requests at once" in shown
    shown = after(page, lambda: page.locator(".seatrial-machine select").select_option("GeForce RTX 4090 24GB"))
    assert "llamacpp on rtx4090x4" in shown
    shown = after(page, lambda: page.locator(".seatrial-engine select").select_option("SGLang"))
    assert "⊘ Refused by the engine" in shown
    assert "Smallest change that fits" in shown
    shoot(page, "02-refused")
    assert [] == page.evaluate(CUT_OFF)
    assert [] == page.evaluate(ERRORS)
    assert [] == problems


def after(page, act):
    """Return the text of the page once it follows the last action."""
    before = page.locator(".seatrial-page .st-page").inner_text()
    act()
    return page.wait_for_function(CHANGED, arg=before).json_value()
