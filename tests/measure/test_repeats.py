"""Runs of a repeated level become one point with 95 % intervals."""

from dataclasses import replace

import pytest

from seatrial.measure.repeats import MAX_REPEATS, interval, merge_levels, merge_runs
from seatrial.measure.types import Point, Quantiles, RequestCounts, SelfCheck
from seatrial.records import Interval, from_dict, to_dict

CALM = SelfCheck(0.001, 0.1, 0.002, valid=True)


def run(tokens_per_s=100.0, ttft_s=0.5, **changes):
    """Return the point of one run."""
    times = Quantiles(ttft_s, ttft_s, ttft_s, None)
    values = {
        "concurrency": 4, "rate": None, "requests": RequestCounts(8, 8, 0), "ttft_s": times,
        "ttft_from_schedule_s": replace(times, p50=2 * ttft_s), "ttfo_s": None, "tpot_s": Quantiles(0.01, 0.01, 0.01, None),
        "chunk_gap_s": None, "e2e_s": times, "output_tokens_per_s": tokens_per_s,
        "output_tokens_per_s_whole_run": tokens_per_s / 2, "tokens_per_chunk": 1.0, "goodput_per_s": 2.0,
        "token_source": "usage", "cached_tokens": 3, "duration_s": 10.0, "self_check": CALM, "label": "4 streams",
    }  # fmt: skip
    return Point(**values | changes)


def test_student_s_interval():
    """The textbook's: 10, 12, 14 have mean 12, deviation 2, and 4.303 * 2 / sqrt(3) to each side."""
    found = interval([10.0, 12.0, 14.0])
    assert (7.031, 12.0, 16.969) == tuple(round(value, 3) for value in (found.low, found.expected, found.high))


def test_one_value_has_no_interval():
    """Neither has none; unknown values do not count."""
    assert (None, None) == (interval([]), interval([3.0, None]))
    assert 0.0 == interval([0.1, 5.0]).low
    assert Interval(2.0, 2.0, 2.0) == interval([2.0] * MAX_REPEATS)


def test_merged():
    """Rates and times are means, counts are sums, and the single runs are there."""
    runs = [run(90.0, 0.4), run(100.0, 0.5), run(110.0, 0.6)]
    merged = merge_runs(runs, 3)
    assert (100.0, 50.0, 30.0, 9, 24) == (
        merged.output_tokens_per_s, merged.output_tokens_per_s_whole_run, merged.duration_s, merged.cached_tokens,
        merged.requests.sent,
    )  # fmt: skip
    assert pytest.approx(0.5) == merged.ttft_s.p50 == merged.ttft_interval_s.expected
    assert interval([90.0, 100.0, 110.0]) == merged.output_tokens_per_s_interval
    assert (tuple(runs), False, "4 streams") == (merged.runs, merged.partial, merged.label)
    assert pytest.approx(0.01) == merged.tpot_interval_s.expected


def test_open_loop_waits_from_the_schedule():
    """The interval is of what a person waits."""
    runs = [run(concurrency=None, rate=2.0, ttft_s=seconds) for seconds in (0.4, 0.6)]
    assert pytest.approx(1.0) == merge_runs(runs, 2).ttft_interval_s.expected


def test_fewer_runs_than_planned_are_partial():
    """A load that was stopped in the second of three runs has two at most, and says so."""
    assert merge_runs([run(), run()], 3).partial
    assert merge_runs([run(), run(partial=True)], 2).partial
    assert merge_runs([run()], 3).output_tokens_per_s_interval is None


def test_the_worst_self_check_counts():
    """One run that is not valid makes the point not valid, with its reason."""
    bad = SelfCheck(0.5, 0.9, 0.0, valid=False, why="Late.", warnings=("Few.",), ttft_error_s=0.1)
    check = merge_runs([run(), run(self_check=bad), run(self_check=bad)], 3).self_check
    assert replace(bad, dispatch_delay_p99_s=0.002) == check


def test_failures_are_counted_together():
    """Kinds add up; the first reason of each stays; a run without any success has no times."""
    failed = run(
        requests=RequestCounts(8, 6, 2, {"timeout": 2}, 1, {"timeout": "first"}), ttft_s=0.5, output_tokens_per_s=None
    )
    again = run(requests=RequestCounts(8, 7, 1, {"timeout": 1}, 0, {"timeout": "second"}), tpot_s=None)
    merged = merge_runs([failed, again], 2)
    assert RequestCounts(16, 13, 3, {"timeout": 3}, 1, {"timeout": "first"}) == merged.requests
    assert (100.0, None, None) == (
        merged.output_tokens_per_s, merged.output_tokens_per_s_interval, merged.tpot_interval_s
    )  # fmt: skip


def test_a_merged_point_is_a_record():
    """It is written and read back, runs and all."""
    merged = merge_runs([run(), run()], 2)
    assert merged == from_dict(Point, to_dict(merged))


def test_levels_are_told_apart():
    """As many runs as planned make a level, or fewer if another follows: it was broken off."""
    runs = [run(label=label) for label in ("a", "a", "a", "a", "b", "c", "c")]
    levels = merge_levels(runs, 2)
    assert [("a", 2, False), ("a", 2, False), ("b", 1, True), ("c", 2, False)] == [
        (one.label, len(one.runs), one.partial) for one in levels
    ]


def test_repeated_levels(measured):
    """Each level is one point of as many runs; requests of all runs are there."""
    measurement = measured(concurrency="1,2", requests=4, repeat=2, answer_tokens=8)
    assert [("1 stream", 2, 8), ("2 streams", 2, 8)] == [
        (point.label, len(point.runs), point.requests.succeeded) for point in measurement.points
    ]
    assert 16 == len(measurement.completions)
    for point in measurement.points:
        assert (
            point.output_tokens_per_s_interval.low
            <= point.output_tokens_per_s
            <= point.output_tokens_per_s_interval.high
        )
        assert point.ttft_interval_s.expected == pytest.approx(point.ttft_s.p50)
