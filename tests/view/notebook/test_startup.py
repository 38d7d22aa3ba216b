"""The start-up panel: what it shows of an event, escaped, and one table where no front end shows widgets."""

from dataclasses import replace

import pytest
from nbclient.exceptions import CellExecutionError

from seatrial.records import Interval
from seatrial.server import Event
from seatrial.server.startup.history import TimeLeft
from seatrial.server.state import PhaseTime
from seatrial.view.notebook.startup import startup_html
from seatrial.view.tables.startup import table_startup

UNDER_WAY = Event(
    "loading weights",
    "sglang: loading weights, 12 of 46",
    73.0,
    done=12,
    total=46,
    left=TimeLeft(Interval(200, 240, 300), "from 2 earlier starts here"),
    passed=(PhaseTime("starting", 8.25),),
    log=("[TP0] Load weight begin.", "Loading safetensors checkpoint shards: 26% | 12/46"),
    model="deepseek-ai/DeepSeek-V4-Flash",
    engine="sglang",
)
READY = replace(UNDER_WAY, phase="ready", left=None, passed=(*UNDER_WAY.passed, PhaseTime("loading weights", 300.0)))


def test_the_panel_shows_phase_count_time_left_and_log():
    """Everything a person who waits asks: where is it, how far, for how long, what does it say."""
    shown = startup_html(UNDER_WAY)
    assert "deepseek-ai/DeepSeek-V4-Flash with SGLang: starting for 1 min 13 s" in shown
    assert "About 4 min left (3 to 5 min; from 2 earlier starts here)" in shown
    assert "loading weights, 12 of 46" in shown
    assert 'style="width:26.1%"' in shown
    assert "8.25 s" in shown
    assert "Load weight begin." in shown


def test_the_panel_ends_with_what_each_phase_took():
    """Ready: how long it took, and which share of it each phase."""
    shown = startup_html(READY)
    assert "ready after 1 min 13 s" in shown
    assert 'style="width:97.3%"' in shown
    assert "left" not in shown.partition("</style>")[2].replace("left:", "")


def test_a_failure_is_said():
    """Where it got to, and why it went no further."""
    failed = replace(READY, phase="failed", text="sglang did not get ready: it stalled.")
    assert "failed after 1 min 13 s" in startup_html(failed)
    assert "it stalled" in startup_html(failed)
    assert "it stalled" in table_startup(failed).to_text()


def test_an_unknown_count_has_an_open_bar():
    """Nothing is counted: no figure is made up."""
    shown = startup_html(replace(UNDER_WAY, done=None, total=None))
    assert '<div class="b now open"></div></td><td class="n"></td>' in shown


@pytest.mark.parametrize("label", [("simulated", "simulated: no model behind it"), ("stand_in", "a stand-in")])
def test_what_is_not_v4_says_so(label):
    """A simulation and a stand-in are labelled wherever they are shown."""
    flag, words = label
    event = replace(UNDER_WAY, **{flag: True})
    assert words in startup_html(event)
    assert words in table_startup(event).to_text()


@pytest.mark.parametrize("where", ["log", "model", "step", "phase"])
def test_text_from_outside_is_escaped(where):
    """An engine's log, a model's name: text and nothing else."""
    evil = "<img src=x onerror=alert(1)>\x1b[31m&"
    event = replace(UNDER_WAY, **{where: (evil,) if where == "log" else evil})
    for shown in (startup_html(event), table_startup(event).to_html()):
        assert "<img" not in shown
        assert "\x1b" not in shown


LAUNCH = """
from seatrial import launch, plan_here
from seatrial.view import startup_panel
plan = plan_here("smollm2", engine="simulated")
panel = startup_panel()
stopped = launch(plan, name="shown", on_event=panel).stop()
"""
THREAD = """
import threading
thread = threading.Thread(target=lambda: launch(plan, name="shown", on_event=startup_panel()).stop())
thread.start(); thread.join()
"""
FAILS = """
from dataclasses import replace
from seatrial import build_command
command = build_command(plan)
launch(replace(command, argv=(*command.argv, "--no-such-flag")), name="shown", on_event=startup_panel())
"""
WIDGET = "application/vnd.jupyter.widget-view+json"


def test_headless_shows_one_table_at_the_end(run_cells):
    """Under papermill and nbval: nothing while it starts, and one table of always the same form when it is over."""
    ((shown,),) = run_cells(LAUNCH, headless=True)
    assert {"text/html", "text/plain"} == set(shown.data)
    assert "(simulated: no model behind it): ready after" in shown.data["text/plain"]
    assert "first token" in shown.data["text/plain"]


def test_in_a_front_end_the_widget_is_kept_with_how_it_ended(run_cells):
    """One output, moved on as the start goes on: a saved notebook shows the phases, though no kernel draws it."""
    shown, value, thread = run_cells(LAUNCH, "print(panel._widget.value)", THREAD, headless=False)
    assert {WIDGET, "text/html", "text/plain"} == set(shown[0].data)
    assert "ready after" in shown[0].data["text/html"]
    assert "first token" in value[0].text
    assert {WIDGET, "text/html", "text/plain"} == set(thread[0].data)
    assert [1, 1] == [len(shown), len(thread)]


def test_a_launch_that_fails_leaves_the_panel_and_the_error(run_cells):
    """The panel says that it failed and how far it got; the cell says why."""
    with pytest.raises(CellExecutionError, match="--no-such-flag"):
        run_cells(LAUNCH, FAILS, headless=False)
