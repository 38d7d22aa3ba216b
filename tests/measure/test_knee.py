"""The search for the knee raises the load until goodput falls, and says what is held."""

from dataclasses import replace

import pytest
from tests.measure.test_repeats import run
from tests.measure.test_summary import MEASUREMENT, completion

from seatrial.errors import UsageError
from seatrial.measure import Workload
from seatrial.measure.client.arrivals import Outrun, arrival_times
from seatrial.measure.knee import KneeSearch, describe_knee, front, knee_of, queue_grows
from seatrial.measure.types import Quantiles, RequestCounts
from seatrial.measure.workload import describe_level, levels_of
from seatrial.measure.workload_check import check_workload

CLOSED = Workload(concurrency=1, find_knee=True)
OPEN = Workload(rate=1, find_knee=True)


def server(most, *, slots=None):
    """Return what a server shows at a load: it holds the objectives up to ``most``, and its throughput rises up to ``slots``."""

    def measure(level):
        load = level.streams if level.streams is not None else level.rate
        met = 1.0 if load <= most else 0.5
        served = min(load, slots or load)
        wait = Quantiles(load, load, load, None)
        return run(
            concurrency=level.streams, rate=level.rate, label=describe_level(level.streams, level.rate),
            output_tokens_per_s=100.0 * served, goodput_per_s=met * served, duration_s=10.0,
            requests=RequestCounts(round(10 * served), round(10 * served), 0), ttft_s=0.5, ttft_from_schedule_s=wait,
        )  # fmt: skip

    return measure


def searched(workload, measure):
    """Return the loads that a search tried, and what it found."""
    search, loads = KneeSearch(workload), []
    while (level := search.next_level()) is not None:
        loads.append(level.streams if level.streams is not None else round(level.rate, 2))
        search.take(measure(level))
    return loads, search.result()


def test_streams_double_then_narrow_down():
    """Held up to 12: 16 is not, 11 is, 13 is not; the knee is the most that was held."""
    loads, knee = searched(CLOSED, server(12))
    assert ([1, 2, 4, 8, 16, 11, 13], 11) == (loads, knee.point.concurrency)
    assert "at 13 streams 50% of the requests succeeded, less than 90%" == knee.why


def test_rates_double_then_narrow_down():
    """The same with requests per second, with objectives."""
    loads, knee = searched(replace(OPEN, slo_ttft_s=1.0), server(3))
    assert ([1.0, 2.0, 4.0, 2.83, 3.36], pytest.approx(2.83, abs=0.01)) == (loads, knee.point.rate)
    assert "met the objectives" in knee.why


def test_further_streams_that_only_wait_end_it():
    """From four streams on throughput stays: four are the knee, although every request succeeds."""
    loads, knee = searched(CLOSED, server(1000, slots=4))
    assert ([1, 2, 4, 8, 6, 5], 4) == (loads, knee.point.concurrency)
    assert "from 4 streams to 5 streams throughput did not rise: further streams only wait" == knee.why


def test_a_start_that_is_too_high_is_halved():
    """Whoever begins with 64 streams at a server that holds ten finds them, too."""
    loads, knee = searched(replace(CLOSED, concurrency=64), server(10))
    assert ([64, 32, 16, 8, 11, 9], 9) == (loads, knee.point.concurrency)


def test_nothing_is_held():
    """One stream is too many: no knee, and the reason."""
    loads, knee = searched(CLOSED, server(0))
    assert ([1], None) == (loads, knee.point)
    assert knee.why.startswith("at 1 stream 50%")


def test_a_queue_that_only_grows_ends_it():
    """All requests succeed in the end; a load whose queue grew is not held all the same."""

    def measure(level):
        return replace(server(1000)(level), queue_grows=level.rate > 4)

    loads, knee = searched(OPEN, measure)
    assert ([1.0, 2.0, 4.0, 8.0], 4.0) == (loads[:4], knee.point.rate)
    assert "the queue only grew" in knee.why


def test_a_dead_server_ends_it():
    """Nothing succeeds: no further load is tried."""
    dead = replace(server(8)(levels_of(CLOSED)[0]), requests=RequestCounts(8, 0, 8), goodput_per_s=0.0)
    assert [1] == searched(CLOSED, lambda _: dead)[0]


def test_a_server_without_a_knee():
    """The search ends at the most that the client sends."""
    loads, knee = searched(replace(CLOSED, concurrency=4096), server(1e9))
    assert ([4096, 8192, 16384], 16384) == (loads, knee.point.concurrency)
    assert "the highest load" in knee.why


def test_the_front():
    """A load that another beats at both throughput and TTFT is not on it; one without figures neither."""

    def point(streams, tokens_per_s, ttft):
        return run(tokens_per_s, ttft, concurrency=streams)

    good = [point(1, 100.0, 0.1), point(2, 180.0, 0.2), point(8, 200.0, 0.9)]
    assert tuple(good) == front([good[2], good[0], point(4, 170.0, 0.3), good[1], run(output_tokens_per_s=None)])


def test_knee_of_a_measurement():
    """A result gives the same knee that the client found; another load has none."""
    measure = server(2)
    points = tuple(measure(replace(levels_of(CLOSED)[0], streams=streams)) for streams in (1, 2, 4, 3))
    searched_for = replace(MEASUREMENT, workload=CLOSED, points=points)
    assert 2 == knee_of(searched_for).point.concurrency
    assert knee_of(replace(searched_for, workload=Workload())) is None


def test_the_knee_in_words():
    """The load, its figures and the reason; or that none is held."""
    knee = searched(CLOSED, server(2))[1]
    assert (
        "The most load that is held is 2 streams (200 tok/s, TTFT 500 ms in the median): at 3 streams 50% of the requests "
        "succeeded, less than 90%."
    ) == describe_knee(knee)
    assert describe_knee(searched(CLOSED, server(0))[1]).startswith("No load that was tried is held: at 1 stream 50%")


def queued(number, gap_s, service_s):
    """Return the requests of an open loop at a server that takes them one by one."""
    free, found = 0.0, []
    for index in range(number):
        due = index * gap_s
        free = max(free, due) + service_s
        found.append(completion(sent=due, first=free, gaps=(), ended_s=free))
    return found


def test_queues():
    """A server that is too slow has a queue that only grows; one that keeps up has none, nor has a long first fill."""
    assert queue_grows(queued(40, 1.0, 1.5))
    assert not queue_grows(queued(40, 1.0, 0.9))
    assert not queue_grows([completion(sent=at, first=at + 20.0, gaps=(), ended_s=at + 30.0) for at in range(40)])
    assert not queue_grows(queued(3, 1.0, 5.0))


@pytest.mark.parametrize(("service_s", "hopeless"), [(0.5, False), (0.95, False), (3.0, True)])
def test_outrun(service_s, hopeless):
    """Twice as many arrivals as ends are hopeless; a server that keeps up is not, however many come."""
    times = arrival_times("constant", 1.0, 200, 0)
    watch = Outrun(0)
    found = False
    ends = [(round(one.scheduled_s * 1e9), round(one.ended_s * 1e9)) for one in queued(200, 1.0, service_s)]
    for sent, at_s in enumerate(times, start=1):
        now = round(at_s * 1e9)
        while ends and ends[0][1] <= now:
            watch.ended(*ends.pop(0))
        found = found or watch.hopeless(times, sent, now)
    assert hopeless == found


@pytest.mark.parametrize(
    "changes", [{"prompt_tokens": "100,200"}, {"prefix": "both"}, {"until_stopped": True, "concurrency": 1}]
)
def test_one_kind_of_load(changes):
    """Several lengths or prefixes have no one knee."""
    with pytest.raises(UsageError, match="raises one kind of load"):
        check_workload(replace(CLOSED, **changes), None)


def test_streams_against_a_server_with_slots(measured):
    """A server of four slots: the search ends by itself, not far above them (a busy machine has noise)."""
    measurement = measured("--slots=4", concurrency=1, requests=None, find_knee=True, answer_tokens=16)
    knee = knee_of(measurement)
    assert [1, 2, 4] == [point.concurrency for point in measurement.points[:3]]
    assert 2 <= knee.point.concurrency <= 16
    assert knee.point in measurement.points


def test_a_rate_that_is_far_too_high_is_broken_off(measured):
    """One slot and two hundred requests a second: the level ends early, its requests are given up, lower rates follow."""
    measurement = measured("--slots=1", rate=200, requests=120, find_knee=True, answer_tokens=2)
    first = measurement.points[0]
    assert first.requests.sent < 120
    assert "given_up" in first.requests.errors
    assert [200.0, 100.0] == [point.rate for point in measurement.points[:2]]
    assert knee_of(measurement).point is None or knee_of(measurement).point.rate < 100
