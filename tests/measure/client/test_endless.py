"""A load without an end: its streams change while it runs, each change begins a level, nothing is left afterwards."""

import time
from dataclasses import replace

import pytest
from tests.measure.conftest import SMALL

from seatrial.errors import UsageError
from seatrial.measure import start_load

DEADLINE_S = 60.0
ENDLESS = replace(SMALL, concurrency=(2,), requests=None, until_stopped=True)


def until(true):
    """Wait for something to become true."""
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def in_flight(load):
    """Return the streams in flight at the last sample."""
    samples = load.recorder.samples
    return samples[-1].active_streams if samples else 0


def test_the_streams_follow_what_was_set(simulate):
    """Two, then six, then one at a time: each number is a level with its own figures, and every request succeeds."""
    with start_load(simulate("--answer-tokens=400").url, replace(ENDLESS, answer_tokens=400)) as load:
        for index, streams in enumerate((2, 6, 1)):
            if index:
                load.set_streams(streams)
            until(lambda: load.recorder.progress.point == index and in_flight(load) == streams)  # noqa: B023
            until(lambda: sum(one.point == index for one in load.recorder.completions) >= streams)  # noqa: B023
        assert ("1 stream", 0, 0) == (
            load.recorder.progress.level, load.recorder.progress.requests, load.recorder.progress.points
        )  # fmt: skip
        load.stop()
        measurement = load.result()
    assert [2, 6] == [point.concurrency for point in measurement.points[:2]]
    assert [0, 0] == [point.requests.failed for point in measurement.points[:2]]
    assert {None} == {one.error for one in measurement.completions}


def test_requests_sent_before_a_change_count_in_no_later_level(simulate):
    """A level's figures come from requests that were sent while it ran."""
    with start_load(simulate().url, ENDLESS) as load:
        until(lambda: load.recorder.completions)
        load.set_streams(4)
        until(lambda: load.recorder.progress.point == 1)
        load.set_streams(3)
        until(lambda: load.recorder.progress.point == 2)
        first, second = load.recorder.points
    sent = [sum(one.point == index for one in load.recorder.completions) for index in (0, 1)]
    assert first.requests.sent <= sent[0]
    assert second.requests.sent <= sent[1]


def test_the_same_number_again_changes_nothing(simulate):
    """A slider that is let go where it was begins no level."""
    with start_load(simulate().url, ENDLESS) as load:
        until(lambda: load.recorder.completions)
        load.set_streams(2)
        done = len(load.recorder.completions)
        until(lambda: len(load.recorder.completions) > done + 20)
        assert 0 == load.recorder.progress.point


@pytest.mark.parametrize("streams", [0, -1, 1 << 20])
def test_an_impossible_number_is_refused(simulate, streams):
    """The message names the bounds, and the load goes on."""
    with start_load(simulate().url, ENDLESS) as load:
        with pytest.raises(UsageError, match="from 1 to 16,384"):
            load.set_streams(streams)
        until(lambda: load.recorder.completions)


def test_a_person_takes_over_from_the_levels(simulate):
    """The level that was being sent ends at once, as partial; then so many streams as were set, and no level more."""
    levels = replace(SMALL, concurrency=(2, 4), requests=2000)
    with start_load(simulate().url, levels) as load:
        until(lambda: load.recorder.completions)
        assert (2, 2000, 2000) == (
            load.recorder.progress.points, load.recorder.progress.requests, load.recorder.progress.later
        )  # fmt: skip
        load.set_streams(3)
        until(lambda: in_flight(load) == 3)
        load.set_streams(1)
        until(lambda: in_flight(load) == 1)
        first, second = load.recorder.points
        assert ((2, True), (3, False)) == ((first.concurrency, first.partial), (second.concurrency, second.partial))
        assert ("1 stream", 0, 0) == (
            load.recorder.progress.level, load.recorder.progress.requests, load.recorder.progress.points
        )  # fmt: skip
    assert {None} == {one.error for one in load.recorder.completions}


def test_arrivals_have_no_streams(simulate):
    """An open loop is not changed by a number of streams, and goes on."""
    with (
        start_load(simulate().url, replace(SMALL, rate=5.0)) as load,
        pytest.raises(UsageError, match="until it is stopped"),
    ):
        load.set_streams(3)


def test_set_after_the_end_does_nothing(simulate):
    """The slider of an ended load is no error."""
    with start_load(simulate().url, ENDLESS) as load:
        load.stop()
        load.set_streams(3)
        assert not load.running


@pytest.mark.parametrize("changes", [{"concurrency": (1, 2)}, {"rate": 2.0}, {"concurrency": ()}])
def test_it_begins_with_one_number_of_streams(simulate, changes):
    """Several levels, or arrivals, contradict a load without an end."""
    with pytest.raises(UsageError):
        start_load(simulate().url, replace(ENDLESS, **changes))


def test_a_server_that_is_gone_ends_it(simulate):
    """Requests that all fail are not sent for ever; what succeeded before stays."""
    server = simulate()
    with start_load(server.url, ENDLESS) as load:
        until(lambda: load.recorder.completions)
        server.process.kill()
        until(lambda: not load.running)
        measurement = load.result()
    assert measurement.points[0].requests.succeeded > 0
    assert {"unreachable", "disconnected"} >= set(measurement.points[0].requests.errors)
