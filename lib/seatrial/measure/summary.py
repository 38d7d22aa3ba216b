"""Sums up the requests of a load level: latency, throughput, goodput, and a check of the client itself.

Pure arithmetic over completions; docs/measuring.md explains every definition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from seatrial.measure.figures import quantiles, steady_window, tokens_between, tpot_s, ttft_s
from seatrial.measure.knee import queue_grows
from seatrial.measure.messages import PointBegins, PointEnds
from seatrial.measure.self_check import CheckedLevel, check_level
from seatrial.measure.types import Completion, Measurement, Point, RequestCounts, Sample
from seatrial.measure.workload import Level, Workload, describe_level, label_of, levels_of

T = TypeVar("T")

_TOKEN_SOURCES = ("chunks", "tokenize", "usage")  # from the weakest count to the best


def summarize(
    completions: Sequence[Completion],
    workload: Workload,
    begins: PointBegins,
    ended: PointEnds,
    samples: Sequence[Sample] = (),
) -> Point:
    """Sum up one load level. Latencies are of the requests that succeeded, failures count as goodput misses.

    Args:
        completions: Requests of the level.
        workload: The load.
        begins: Which level, and when it began.
        ended: The client's own figures of the level.
        samples: Telemetry of the level, after the last sample of an earlier one if there is any.

    """
    level = begins.level
    every = completions  # questions among the load are part of its throughput, and of nothing else
    completions = [one for one in every if one.right is None]
    answers = [one for one in every if one.right is not None]
    good = [one for one in completions if one.error is None]
    ttft, tpot = quantiles(_known(map(ttft_s, good))), quantiles(_known(map(tpot_s, good)))
    window = steady_window(every, level.streams)
    duration = max(ended.at_s - begins.at_s, 1e-9)
    chunks = sum(one.chunks for one in good)
    sources = {one.token_source for one in good}
    cached = list(_known(one.cached_tokens for one in good))
    return Point(
        concurrency=level.streams,
        rate=level.rate,
        label=label_of(level, workload),
        queue_grows=queue_grows(completions) if level.streams is None else None,
        requests=_count(completions),
        ttft_s=ttft,
        ttft_from_schedule_s=quantiles(
            one.first_token_s - one.scheduled_s for one in good if one.first_token_s is not None
        ),
        ttfo_s=quantiles(one.first_answer_s - one.sent_s for one in good if one.first_answer_s is not None),
        tpot_s=tpot,
        chunk_gap_s=quantiles(gap for one in good for gap in one.gaps_s),
        e2e_s=quantiles(one.last_token_s - one.sent_s for one in good if one.last_token_s is not None),
        output_tokens_per_s=None
        if window is None or not good
        else sum(tokens_between(one, *window) for one in (*good, *answers) if one.error is None)
        / (window[1] - window[0]),
        output_tokens_per_s_whole_run=sum(one.tokens for one in every if one.error is None) / duration
        if good
        else None,
        checked_answers=len(answers) or None,
        right_answers=sum(bool(one.right) for one in answers) if answers else None,
        tokens_per_chunk=sum(one.tokens for one in good) / chunks if chunks else None,
        goodput_per_s=sum(_meets(one, workload, level) for one in good) / duration,
        token_source=min(sources, key=_TOKEN_SOURCES.index, default=None),
        cached_tokens=sum(cached) if cached else None,
        duration_s=duration,
        self_check=check_level(CheckedLevel(completions, ttft, tpot, level, ended, samples)),
        partial=ended.partial,
    )


def best_point(points: Sequence[Point]) -> Point | None:
    """Return the load level with the highest throughput: a valid and complete one if there is any."""
    known = [point for point in points if point.output_tokens_per_s is not None]
    return max(
        known,
        key=lambda point: (point.self_check.valid, not point.partial, point.output_tokens_per_s or 0.0),
        default=None,
    )


def find_problems(measurement: Measurement) -> tuple[str, ...]:
    """Return why the measurement is not valid, one sentence a point; empty if it is."""
    workload = measurement.workload
    levels, complete = len(levels_of(workload)), sum(not point.partial for point in measurement.points)
    problems = [f"{complete} of {levels} load levels were completed."] if complete < levels else []
    for point in measurement.points:
        level = point.label or describe_level(point.concurrency, point.rate)
        if not point.requests.succeeded and not point.partial:
            problems.append(f"{level}: none of {point.requests.sent} requests succeeded{_reasons(point.requests)}.")
        elif not point.self_check.valid and point.requests.succeeded:
            problems.append(f"{level}: {point.self_check.why}")
    return tuple(problems)


def _count(completions: Sequence[Completion]) -> RequestCounts:
    failures = [one.error.partition(": ") for one in completions if one.error is not None]
    kinds = Counter(kind for kind, _, _ in failures)
    reasons = {kind: reason for kind, _, reason in reversed(failures)}  # of equal kinds the first
    return RequestCounts(
        sent=len(completions),
        succeeded=len(completions) - len(failures),
        failed=len(failures),
        errors=dict(sorted(kinds.items())),
        retries=sum(one.retries for one in completions),
        reasons=dict(sorted(reasons.items())),
    )


def _reasons(requests: RequestCounts) -> str:
    """Return the kinds of failure, each with what was said of its first, the most frequent kind first."""
    if not requests.errors:
        return " (none was sent)"
    kinds = sorted(requests.errors.items(), key=lambda item: -item[1])
    return " (" + "; ".join(f"{kind} x{times}: {requests.reasons.get(kind, '')}" for kind, times in kinds) + ")"


def _meets(completion: Completion, workload: Workload, level: Level) -> bool:
    """Return True if every objective is met; TTFT counts as a person waits.

    Under open load that is from the schedule; after attempts that the server turned away, from the first of them.
    """
    if completion.error is not None:
        return False
    begin = completion.scheduled_s if level.streams is None or completion.retries else completion.sent_s
    if workload.slo_ttft_s is not None and (
        completion.first_token_s is None or completion.first_token_s - begin > workload.slo_ttft_s
    ):
        return False
    tpot = tpot_s(completion)
    return workload.slo_tpot_s is None or tpot is None or tpot <= workload.slo_tpot_s


def _known(values: Iterable[T | None]) -> Iterable[T]:
    return (value for value in values if value is not None)
