"""Sums up requests: quantiles, throughput, goodput, and a check of the client itself.

Pure arithmetic over completions; docs/measuring.md explains every definition.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

from seatrial.measure.client_limits import CLIENT_LIMIT
from seatrial.measure.doubts import held_back
from seatrial.measure.messages import PointEnds
from seatrial.measure.types import Completion, Measurement, Point, Quantiles, RequestCounts, SelfCheck, Workload
from seatrial.measure.workload import describe_level, levels_of

if TYPE_CHECKING:
    from seatrial.server.metrics import ServerMetrics

T = TypeVar("T")

_P99_REQUESTS = 100  # under so many a 99th percentile is the maximum by another name
_LAG_SHARE = 0.05  # of TPOT, that the event loop may be late
CPU_SHARE = 0.8  # of a core; above, the client itself may be the limit
_DISPATCH_SHARE = 0.05  # of the median TTFT, that a request may leave late ...
_DISPATCH_FLOOR_S = 0.005  # ... but at least this: event loops round timers to a millisecond
_TOKEN_SOURCES = ("chunks", "tokenize", "usage")  # from the weakest count to the best


def quantiles(values: Iterable[float]) -> Quantiles | None:
    """Return mean and percentiles (nearest rank); None without values, no p99 under 100."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Quantiles(
        mean=sum(ordered) / len(ordered),
        p50=rank(ordered, 0.50),
        p90=rank(ordered, 0.90),
        p99=rank(ordered, 0.99) if len(ordered) >= _P99_REQUESTS else None,
    )


def rank(ordered: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the sorted values lie (nearest rank)."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def ttft_s(completion: Completion) -> float | None:
    """Return the seconds from passing the request to its connection to the first token."""
    return None if completion.first_token_s is None else completion.first_token_s - completion.sent_s


def tpot_s(completion: Completion) -> float | None:
    """Return the seconds for each token after the first chunk; None for an answer that came in one read."""
    if completion.first_token_s is None or completion.last_token_s in {None, completion.first_token_s}:
        return None
    later = completion.tokens - (completion.first_chunk_tokens or 1)
    return (completion.last_token_s - completion.first_token_s) / later if later > 0 else None


def steady_window(completions: Sequence[Completion], streams: int | None) -> tuple[float, float] | None:
    """Return when every slot was busy: from the last slot's first request to the first idle slot.

    Open loop (``streams`` None): from the first request to the last arrival.
    """
    if not completions:
        return None
    sent = sorted(one.sent_s for one in completions)
    if streams is None:
        begin, end = sent[0], max(one.scheduled_s for one in completions)
    elif len(sent) < streams:
        return None
    else:
        begin = sent[streams - 1]
        end = min(one.ended_s for one in completions if one.ended_s >= sent[-1])
    return (begin, end) if end > begin else None


def tokens_between(completion: Completion, begin: float, end: float) -> float:
    """Return the output tokens that arrived in ``begin..end``; each chunk has an equal share of the answer's tokens."""
    if completion.first_token_s is None or not completion.tokens:
        return 0.0
    times = list(accumulate(completion.gaps_s, initial=completion.first_token_s))
    first = completion.first_chunk_tokens
    if first is None or first > completion.tokens or len(times) == 1:
        return sum(begin <= at <= end for at in times) * completion.tokens / len(times)
    later = sum(begin <= at <= end for at in times[1:]) * (completion.tokens - first) / (len(times) - 1)
    return later + (first if begin <= times[0] <= end else 0)


def summarize(completions: Sequence[Completion], workload: Workload, begin_s: float, ended: PointEnds) -> Point:
    """Sum up one load level. Latencies are of the requests that succeeded, failures count as goodput misses."""
    streams = levels_of(workload)[ended.point]
    good = [one for one in completions if one.error is None]
    ttft, tpot = quantiles(_known(map(ttft_s, good))), quantiles(_known(map(tpot_s, good)))
    window = steady_window(completions, streams)
    duration = max(ended.at_s - begin_s, 1e-9)
    chunks = sum(one.chunks for one in good)
    sources = {one.token_source for one in good}
    cached = list(_known(one.cached_tokens for one in good))
    return Point(
        concurrency=streams,
        rate=workload.rate if streams is None else None,
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
        else sum(tokens_between(one, *window) for one in good) / (window[1] - window[0]),
        output_tokens_per_s_whole_run=sum(one.tokens for one in good) / duration if good else None,
        tokens_per_chunk=sum(one.tokens for one in good) / chunks if chunks else None,
        goodput_per_s=sum(_meets(one, workload) for one in good) / duration,
        token_source=min(sources, key=_TOKEN_SOURCES.index, default=None),
        cached_tokens=sum(cached) if cached else None,
        duration_s=duration,
        self_check=_check(completions, good, ttft, tpot, ended),
    )


def with_acceptance(point: Point, before: ServerMetrics | None, after: ServerMetrics | None) -> Point:
    """Return the point with the drafted tokens that were accepted during it, if the server counts them."""
    if before is None or after is None or after.draft_steps is None or before.draft_steps is None:
        return point
    steps = after.draft_steps - before.draft_steps
    if after.accepted_tokens is None:  # SGLang counts the steps: what they generated tells the rest
        generated = (after.generated_tokens or 0) - (before.generated_tokens or 0)
        return replace(point, acceptance_length=generated / steps) if generated >= steps > 0 else point
    drafted = (after.drafted_tokens or 0) - (before.drafted_tokens or 0)
    accepted = after.accepted_tokens - (before.accepted_tokens or 0)
    if steps <= 0 or drafted < accepted or accepted < 0:  # nothing was drafted, or the server began anew
        return point
    return replace(point, acceptance_length=1 + accepted / steps, drafted_tokens=drafted, accepted_tokens=accepted)


def best_point(points: Sequence[Point]) -> Point | None:
    """Return the load level with the highest throughput: a valid one if there is any."""
    known = [point for point in points if point.output_tokens_per_s is not None]
    return max(known, key=lambda point: (point.self_check.valid, point.output_tokens_per_s or 0.0), default=None)


def find_problems(measurement: Measurement) -> tuple[str, ...]:
    """Return why the measurement is not valid, one sentence a point; empty if it is."""
    workload = measurement.workload
    levels, complete = len(levels_of(workload)), len(measurement.points)
    problems = [f"{complete} of {levels} load levels were completed."] if complete < levels else []
    for point in measurement.points:
        level = describe_level(point.concurrency, point.rate)
        if not point.requests.succeeded:
            problems.append(f"{level}: none of {point.requests.sent} requests succeeded{_reasons(point.requests)}.")
        elif not point.self_check.valid:
            problems.append(f"{level}: {point.self_check.why}")
    return tuple(problems)


def _check(
    completions: Sequence[Completion],
    good: Sequence[Completion],
    ttft: Quantiles | None,
    tpot: Quantiles | None,
    ended: PointEnds,
) -> SelfCheck:
    lag_s, cpu_share = ended.loop_lag_p99_s, ended.cpu_share
    # Not after retries: those left late because the server asked for it.
    delays = sorted(max(one.sent_s - one.scheduled_s, 0.0) for one in completions if not one.retries)
    delay = rank(delays, 0.99) if delays else 0.0
    allowed = max(_DISPATCH_FLOOR_S, _DISPATCH_SHARE * ttft.p50 if ttft else 0.0)
    # Of a stream that was held back, TPOT is no measure of how late the client may be.
    held = held_back(good, lag_s)
    why = [held] if held else []
    name, bound = ("TPOT", tpot) if tpot or all(one.chunks < 2 for one in good) else ("TTFT", ttft)  # noqa: PLR2004
    if not held and bound is not None and lag_s > _LAG_SHARE * bound.p50:
        why.append(
            f"the client's event loop was {lag_s * 1e3:.2f} ms late (p99), "
            f"more than {_LAG_SHARE:.0%} of the {name} of {bound.p50 * 1e3:.2f} ms"
        )
    if cpu_share > CPU_SHARE:
        why.append(f"the client used {cpu_share:.0%} of a core, more than {CPU_SHARE:.0%}")
    if delay > allowed:
        why.append(f"requests left {delay * 1e3:.1f} ms late (p99), more than {allowed * 1e3:.1f} ms")
    kept = [error for one in completions if (error := one.error or "").startswith(CLIENT_LIMIT)]
    if kept:
        limit = kept[0].partition(": ")[2]
        why.append(f"{len(kept)} of {len(completions)} requests did not leave: {limit}")
    text = "; ".join(why)
    return SelfCheck(lag_s, cpu_share, delay, not why, f"{text[:1].upper()}{text[1:]}." if why else "")


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


def _meets(completion: Completion, workload: Workload) -> bool:
    """Return True if every objective is met; TTFT counts as a person waits.

    Under open load that is from the schedule; after attempts that the server turned away, from the first of them.
    """
    if completion.error is not None:
        return False
    begin = completion.scheduled_s if workload.rate is not None or completion.retries else completion.sent_s
    if workload.slo_ttft_s is not None and (
        completion.first_token_s is None or completion.first_token_s - begin > workload.slo_ttft_s
    ):
        return False
    tpot = tpot_s(completion)
    return workload.slo_tpot_s is None or tpot is None or tpot <= workload.slo_tpot_s


def _known(values: Iterable[T | None]) -> Iterable[T]:
    return (value for value in values if value is not None)
