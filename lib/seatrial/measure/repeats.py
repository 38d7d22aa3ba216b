"""Merges the runs of a repeated level into one point, whose figures have 95 % intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from seatrial.measure.types import Point, Quantiles, RequestCounts, SelfCheck
from seatrial.records import Interval

# Student's t for 95 %, both sides, by degrees of freedom from 1: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
)  # fmt: skip
MAX_REPEATS = len(_STUDENT) + 1
_MEANS = (
    "output_tokens_per_s", "output_tokens_per_s_whole_run", "tokens_per_chunk", "goodput_per_s", "acceptance_length",
    "energy_per_token_j",
)  # fmt: skip
_SUMS = ("cached_tokens", "drafted_tokens", "accepted_tokens", "preemptions", "checked_answers", "right_answers")
_QUANTILES = ("ttft_s", "ttft_from_schedule_s", "ttfo_s", "tpot_s", "chunk_gap_s", "e2e_s")


def merge_levels(runs: Sequence[Point], planned: int) -> tuple[Point, ...]:
    """Return a point for each level: its runs follow one another under the same label, ``planned`` at most."""
    levels: list[list[Point]] = []
    for run in runs:
        if levels and levels[-1][0].label == run.label and len(levels[-1]) < planned:
            levels[-1].append(run)
        else:
            levels.append([run])
    return tuple(merge_runs(level, planned) for level in levels)


def merge_runs(runs: Sequence[Point], planned: int) -> Point:
    """Return one point for the runs of a level: rates and quantiles are means over the runs, counts are sums.

    Args:
        runs: At least one; the merged point has them.
        planned: Runs that were asked for; with fewer the point is partial.

    """
    first = runs[0]
    # Under open load a person waits from the schedule on.
    waited = [run.ttft_s if first.concurrency is not None else run.ttft_from_schedule_s for run in runs]
    figures: dict[str, Any] = {name: _mean(getattr(run, name) for run in runs) for name in _MEANS}
    figures |= {name: _sum(getattr(run, name) for run in runs) for name in _SUMS}
    figures |= {name: _mean_quantiles([getattr(run, name) for run in runs]) for name in _QUANTILES}
    return replace(
        first,
        **figures,
        requests=_all_requests([run.requests for run in runs]),
        duration_s=sum(run.duration_s for run in runs),
        self_check=_worst([run.self_check for run in runs]),
        partial=len(runs) < planned or any(run.partial for run in runs),
        output_tokens_per_s_interval=interval([run.output_tokens_per_s for run in runs]),
        ttft_interval_s=interval([None if times is None else times.p50 for times in waited]),
        tpot_interval_s=interval([None if run.tpot_s is None else run.tpot_s.p50 for run in runs]),
        runs=tuple(runs),
    )


def interval(values: Sequence[float | None]) -> Interval | None:
    """Return mean and 95 % interval by Student's t, not below 0; None for fewer than two known values."""
    known = [value for value in values if value is not None]
    if len(known) < 2:  # noqa: PLR2004 -- one value has no spread
        return None
    mean = sum(known) / len(known)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in known) / (len(known) - 1))
    half = _STUDENT[len(known) - 2] * deviation / math.sqrt(len(known))
    return Interval(max(mean - half, 0.0), mean, mean + half)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _mean_quantiles(runs: Sequence[Quantiles | None]) -> Quantiles | None:
    known = [run for run in runs if run is not None]
    means: dict[str, Any] = {one.name: _mean(getattr(run, one.name) for run in known) for one in fields(Quantiles)}
    return replace(known[0], **means) if known else None


def _all_requests(runs: Sequence[RequestCounts]) -> RequestCounts:
    errors: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    for run in runs:
        errors.update(run.errors)
        reasons = run.reasons | reasons
    return RequestCounts(
        sent=sum(run.sent for run in runs),
        succeeded=sum(run.succeeded for run in runs),
        failed=sum(run.failed for run in runs),
        errors=dict(sorted(errors.items())),
        retries=sum(run.retries for run in runs),
        reasons=dict(sorted(reasons.items())),
    )


def _worst(runs: Sequence[SelfCheck]) -> SelfCheck:
    """Return the largest figure of each kind; not valid if one run is not, with what was said of each."""
    return replace(
        runs[0],
        loop_lag_p99_s=max(run.loop_lag_p99_s for run in runs),
        cpu_share=max(run.cpu_share for run in runs),
        dispatch_delay_p99_s=max(run.dispatch_delay_p99_s for run in runs),
        valid=all(run.valid for run in runs),
        why=" ".join(dict.fromkeys(run.why for run in runs if run.why)),
        ttft_error_s=max((run.ttft_error_s for run in runs if run.ttft_error_s is not None), default=None),
        tpot_error_s=max((run.tpot_error_s for run in runs if run.tpot_error_s is not None), default=None),
        warnings=tuple(dict.fromkeys(warning for run in runs for warning in run.warnings)),
    )
