"""The live plot: fed by a real load's recorder, drawn by one thread that ends with it."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from tests.simulator import running_simulator

from seatrial.measure import Workload, start_load
from seatrial.view.notebook.live import HEADLESS, LivePlot, is_headless

DEADLINE_S = 120.0
SHORT = Workload(concurrency=(1, 2), requests=4, prompt_tokens=40, answer_tokens=24, warmup_requests=0)
ENDLESS = Workload(concurrency=(2,), requests=100_000, prompt_tokens=40, answer_tokens=24)


@pytest.fixture(scope="module")
def url():
    """Yield a simulated engine whose answers take half a second."""
    with running_simulator("--ttft-s=0.02", "--tpot-s=0.02") as server:
        yield server.url


def drawing():
    """Threads that draw."""
    return [thread for thread in threading.enumerate() if thread.name == "live plot"]


def until(true):
    """Wait for something to become true."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_ends_with_the_load_and_shows_all_of_it(url):
    """Every sample is drawn as float32 with a break between levels, which are marked, the title says the best, the thread is gone."""
    seen = []
    plot = LivePlot(on_progress=seen.append)
    with start_load(url, SHORT) as load:
        plot.start(load)
        assert plot.wait(DEADLINE_S)
        measurement = load.result()
    output = plot.figure.data[0]
    assert np.float32 == output.x.dtype == output.y.dtype
    assert len(measurement.samples) + 1 == len(output.x)
    assert 1 == np.isnan(output.y).sum()
    assert ["1 stream", "2 streams"] == [note.text for note in plot.figure.layout.annotations]
    assert "at the best of 2 load levels" in plot.figure.layout.title.text
    named = [not np.isnan(trace.y).all() for trace in plot.figure.data]
    assert named == [trace.showlegend for trace in plot.figure.data]  # a line that is not there has no name
    assert seen[-1] == load.recorder.progress
    assert [] == drawing()


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((), ""),
        (("stand_in",), "a stand-in, not DeepSeek V4"),
        (("simulated",), "SIMULATED: no model answered"),
        (("stand_in", "simulated"), "SIMULATED: no model answered; a stand-in, not DeepSeek V4"),
    ],
)
def test_a_stand_in_and_a_simulation_say_so(url, labels, said):
    """Every line is named and dashed by its origin, and what answered stands under the title."""
    flags = {"stand_in": False, "simulated": False} | dict.fromkeys(labels, True)
    server = SimpleNamespace(url=url, model="simulated", engine="simulated", pid=None, api_key=lambda: None, **flags)
    origin, dash = ("simulated", "2px,4px") if "simulated" in labels else ("measured", "solid")
    with start_load(server, ENDLESS) as load, LivePlot().start(load) as plot:
        assert {dash} == {trace.line.dash for trace in plot.figure.data}
        assert all(trace.name.endswith(f", {origin}") for trace in plot.figure.data)
        assert said == plot.figure.layout.title.subtitle.text


def test_it_moves_while_the_load_runs(url):
    """The line grows before the end has come, and the title says the level."""
    plot = LivePlot()
    with start_load(url, ENDLESS) as load, plot.start(load):
        until(lambda: len(plot.figure.data[0].x) >= 2)
        first = len(plot.figure.data[0].x)
        until(lambda: len(plot.figure.data[0].x) > first)
        assert load.running
        assert "2 streams" in plot.figure.layout.title.text
    assert [] == drawing()


def test_one_thread_draws_however_often_it_is_started(url):
    """A new load takes the place of the old one."""
    with LivePlot() as plot, start_load(url, ENDLESS) as first, start_load(url, ENDLESS) as second:
        plot.start(first)
        plot.start(second)
        assert 1 == len(drawing())
    assert [] == drawing()


def test_a_load_that_was_stopped_at_once_does_not_claim_failure(url):
    """No level was over, so nothing is said of success."""
    with start_load(url, ENDLESS) as load:
        load.stop()
        plot = LivePlot().start(load)
        assert plot.wait(DEADLINE_S)
    assert "Ended before a load level was over" in plot.figure.layout.title.text


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("yes", True), (None, True), ("0", True)])
def test_outside_a_kernel_there_are_no_widgets(monkeypatch, value, expected):
    """A test or a script sees none, whatever the variable says."""
    if value is None:
        monkeypatch.delenv(HEADLESS, raising=False)
    else:
        monkeypatch.setenv(HEADLESS, value)
    assert expected == is_headless()
