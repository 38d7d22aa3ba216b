"""Figures are what docs/measuring.md says they are."""

from dataclasses import replace

import pytest

from seatrial.measure import Completion, Quantiles, Workload, find_problems, steady_window, tokens_between, tpot_s
from seatrial.measure.figures import quantiles
from seatrial.measure.messages import PointBegins, PointEnds
from seatrial.measure.summary import best_point, summarize
from seatrial.measure.types import Measurement
from seatrial.measure.workload import levels_of
from seatrial.records import from_dict, to_dict

WORKLOAD = Workload(concurrency=(2,))
MEASUREMENT = Measurement(
    url="http://127.0.0.1:1",
    model="m",
    engine=None,
    workload=Workload(concurrency=(2, 4)),
    points=(),
    samples=(),
    completions=(),
    started_at="2026-01-01T00:00:00+00:00",
)


def completion(sent=0.0, first=0.5, gaps=(0.1, 0.1, 0.1), **changes):
    """Return a request sent at ``sent`` whose chunks came at ``first`` and then after each gap."""
    chunks = len(gaps) + 1
    values = {
        "point": 0,
        "scheduled_s": sent,
        "sent_s": sent,
        "first_token_s": first,
        "first_answer_s": first,
        "last_token_s": first + sum(gaps),
        "chunks": chunks,
        "tokens": chunks,
        "token_source": "usage",
        "first_chunk_tokens": None,
        "prompt_tokens": 10,
        "cached_tokens": None,
        "gaps_s": gaps,
        "error": None,
        "text": "",
        "ended_s": first + sum(gaps),
    }
    return Completion(**values | changes)


def summary(completions, workload=WORKLOAD, streams=2, samples=(), **changes):
    """Return a point of ten seconds in which the client kept up."""
    if workload.rate is None:
        workload = replace(workload, concurrency=(streams,))
    facts = {"loop_lag_p99_s": 0.0, "cpu_share": 0.01}
    begins = PointBegins(0, 0.0, len(completions), levels_of(workload)[0], "")
    return summarize(completions, workload, begins, PointEnds(0, 10.0, **facts | changes), samples)


def test_tpot_counts_tokens_not_chunks():
    """Ten tokens in four chunks: the time after the first chunk, over the nine tokens after the first."""
    assert pytest.approx(0.3 / 9) == tpot_s(completion(tokens=10))


def test_tpot_leaves_out_the_whole_first_chunk():
    """If the first chunk is known to have four tokens, six came after it."""
    assert pytest.approx(0.3 / 6) == tpot_s(completion(tokens=10, first_chunk_tokens=4))


@pytest.mark.parametrize("gaps", [(), None])
def test_tpot_of_one_chunk_is_unknown(gaps):
    """An answer of one chunk, or none, has no TPOT."""
    one = completion(gaps=()) if gaps == () else completion(first_token_s=None, last_token_s=None, chunks=0, tokens=0)
    assert tpot_s(one) is None


@pytest.mark.parametrize(("number", "p99"), [(99, None), (100, 99.0), (200, 198.0)])
def test_no_p99_under_100(number, p99):
    """Percentiles are nearest ranks; a p99 needs 100 requests."""
    assert p99 == quantiles(map(float, range(1, number + 1))).p99


def test_quantiles():
    """Mean, median and 90th percentile of ten values; nothing of none."""
    assert Quantiles(mean=5.5, p50=5.0, p90=9.0, p99=None) == quantiles(map(float, range(1, 11)))
    assert quantiles([]) is None


def test_steady_window():
    """Two slots: from the second slot's first request to the first slot that finds no more work."""
    load = [completion(sent=0.0, ended_s=4.0), completion(sent=0.2, ended_s=5.0), completion(sent=4.1, ended_s=8.0)]
    assert steady_window(load, 2) == (0.2, 5.0)


def test_open_loop_window():
    """Open loop: from the first request to the last arrival."""
    load = [completion(sent=0.0), completion(sent=3.0, scheduled_s=2.9)]
    assert steady_window(load, None) == (0.0, 2.9)


def test_steady_throughput_leaves_out_the_tail():
    """Tokens after the first idle slot do not count, nor does their time; the whole run is the second figure."""
    gaps = (1.0,) * 4
    load = [
        completion(first=1.0, gaps=gaps),
        completion(first=1.0, gaps=gaps),
        completion(sent=5.0, first=6.0, gaps=gaps),
    ]
    point = summary(load)
    assert pytest.approx(10 / 5) == point.output_tokens_per_s
    assert pytest.approx(15 / 10) == point.output_tokens_per_s_whole_run


@pytest.mark.parametrize(
    ("first_chunk_tokens", "begin", "end", "tokens"),
    [(None, 0.0, 1.0, 8), (None, 0.45, 0.65, 4), (5, 0.45, 0.55, 5), (5, 0.55, 1.0, 3)],
)
def test_tokens_between(first_chunk_tokens, begin, end, tokens):
    """Eight tokens in four chunks from 0.5 s on: a chunk counts for its share, the first for what it is known to hold."""
    one = completion(tokens=8, first_chunk_tokens=first_chunk_tokens)
    assert pytest.approx(tokens) == tokens_between(one, begin, end)


def test_failures_miss_every_objective():
    """Goodput counts requests that meet both objectives; a failed one never does, however fast it was."""
    load = [
        completion(),
        completion(first=0.9),
        completion(gaps=(0.5, 0.5)),
        completion(error="disconnected: x"),
    ]
    point = summary(load, Workload(slo_ttft_s=0.6, slo_tpot_s=0.2))
    assert pytest.approx(1 / 10) == point.goodput_per_s


def test_goodput_without_objectives_counts_success():
    """Without objectives every request that succeeded is good."""
    assert pytest.approx(1 / 10) == summary([completion(), completion(error="http_500: x")]).goodput_per_s


def test_open_loop_goodput_counts_the_wait():
    """Under open load a request that left late misses an objective its own TTFT would meet."""
    late = completion(sent=1.0, first=1.1, scheduled_s=0.0)
    assert summary([late], Workload(rate=1.0, slo_ttft_s=0.5), None).goodput_per_s == 0


def test_latency_is_of_requests_that_succeeded():
    """Failed requests are counted by kind and are no part of the latencies."""
    point = summary([completion(), completion(first=9.0, error="stream_error: x"), completion(error="http_500: y")])
    assert (3, 1, 2) == (point.requests.sent, point.requests.succeeded, point.requests.failed)
    assert {"http_500": 1, "stream_error": 1} == point.requests.errors
    assert pytest.approx(0.5) == point.ttft_s.p90


def test_weakest_token_count_is_named():
    """A point is as good as its weakest token count."""
    assert summary([completion(), completion(token_source="chunks")]).token_source == "chunks"


def test_problems_name_the_level():
    """A level at which nothing succeeded, and levels that never ran, are problems."""
    failed = summary([completion(error="http_500: x")])
    measurement = replace(MEASUREMENT, points=(failed,))
    assert find_problems(measurement) == (
        "1 of 2 load levels were completed.",
        "2 streams: none of 1 requests succeeded (http_500 x1: x).",
    )


def test_one_stream_is_no_streams():
    """A level of one stream is called so, also in the problems."""
    failed = summary([completion(error="http_500: x")], Workload(concurrency=(1,)), 1)
    assert ("1 stream: none of 1 requests succeeded (http_500 x1: x).",) == find_problems(
        replace(MEASUREMENT, workload=Workload(concurrency=(1,)), points=(failed,))
    )


def test_the_best_level_is_a_valid_one():
    """A level the client did not keep up with is the best only if there is no other."""
    fast = replace(summary([completion()] * 2), output_tokens_per_s=90.0)
    doubtful = replace(fast, output_tokens_per_s=200.0, self_check=replace(fast.self_check, valid=False))
    assert fast == best_point([fast, doubtful])
    assert doubtful == best_point([doubtful])
    assert best_point([replace(fast, output_tokens_per_s=None)]) is None


def test_a_partial_level_is_not_called_a_failure():
    """A level that was stopped before its first answer is not complete; that no request succeeded is no finding."""
    stopped = replace(summary([]), partial=True)
    measurement = replace(MEASUREMENT, points=(summary([completion()]), stopped))
    assert ("1 of 2 load levels were completed.",) == find_problems(measurement)
    fast = replace(summary([completion()] * 2), output_tokens_per_s=90.0)
    assert fast == best_point([replace(fast, output_tokens_per_s=100.0, partial=True), fast])


def test_a_record_says_where_its_figures_come_from():
    """Origin and source are written with a measurement; a record from before they were is read the same."""
    written = to_dict(MEASUREMENT)
    assert ("measured", True) == (written["origin"], "docs/measuring.md" in written["source"])
    older = {name: value for name, value in written.items() if name not in {"origin", "source"}}
    assert MEASUREMENT == from_dict(Measurement, older)


def test_goodput_counts_the_wait_after_an_attempt_that_was_turned_away():
    """The person waited ten seconds for the first token, however quickly the second attempt was answered."""
    workload = replace(WORKLOAD, slo_ttft_s=1.0)
    turned_away = completion(sent=10.0, first=10.1, scheduled_s=0.0, retries=1)
    at_once = completion(sent=10.0, first=10.1, scheduled_s=0.0)
    assert 0.1 == summary([turned_away, at_once], workload).goodput_per_s
