"""Notebook 05 in JupyterLab as a person uses it: run, press Start, watch the plot move."""

import time

import pytest
from tests.browser.lab import ERRORS, IDLE, READY, RUN_BELOW, RUN_UP_TO, SCROLL, shoot

from seatrial.server import list_servers

DRAWN = """() => {
  const plot = document.querySelector('.js-plotly-plot');
  return plot ? plot._fullData?.[0]?.x?.length ?? 0 : -1;
}"""


@pytest.mark.browser
@pytest.mark.engine
def test_start_makes_the_plot_move(lab, page, require):
    """Press Start, see data arrive and the picture change, run the rest, and find nothing running at the end."""
    require("xllamacpp")
    require("stand-in model")
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{lab}/lab/tree/05_live_throughput.ipynb")
    page.wait_for_function(READY)
    page.evaluate(RUN_UP_TO, "panel")
    start = page.locator(".seatrial-start")
    start.wait_for()
    page.wait_for_function(IDLE)
    page.evaluate(SCROLL, "panel")
    plot = page.locator(".js-plotly-plot").first
    plot.wait_for()
    before = plot.screenshot()
    start.click()
    first = seen(page, above=2)
    during = another_picture(plot, before)
    assert before != during
    shoot(page, "05-running")
    assert seen(page, above=first) > first
    assert during != another_picture(plot, during)
    page.evaluate(SCROLL, "result")
    page.evaluate(RUN_BELOW)
    page.wait_for_function("() => document.body.innerText.includes('processes left')")
    page.wait_for_function(IDLE)
    assert [] == page.evaluate(ERRORS)
    for cell in ("launch", "panel", "result", "throughput-chart", "ttft-chart", "self-check"):
        page.evaluate(SCROLL, cell)
        shoot(page, f"05-{cell}")
    assert [] == problems
    assert [] == list_servers()


def seen(page, above):
    """How many points the live plot shows, once there are more than ``above``."""
    page.wait_for_function(f"(above) => ({DRAWN})() > above", arg=above)
    return page.evaluate(DRAWN)


def another_picture(plot, known):
    """Return the plot once it differs from ``known``, or ``known`` if it never does."""
    deadline = time.monotonic() + 30
    while (picture := plot.screenshot()) == known and time.monotonic() < deadline:
        pass  # a screenshot takes its time: no need to wait beside it
    return picture
