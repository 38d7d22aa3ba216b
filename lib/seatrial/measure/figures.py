"""Computes the figures of one request, quantiles of many, and the window in which all streams were busy.

docs/measuring.md explains every definition.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

from seatrial.measure.types import Completion, Quantiles

_P99_REQUESTS = 100  # under so many a 99th percentile is the maximum by another name


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
