"""The one sentence that answers what a comparison was made for."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.measure.types import Point, Quantiles
from seatrial.units import format_rate
from seatrial.view.report.differences import Difference, differences
from seatrial.view.report.run_record import RunRecord
from seatrial.view.tables.measurements import describe_load
from seatrial.view.untrusted import plain_text

_SAME = 0.03
"""Two figures that differ by a smaller share are called the same."""
_TWICE, _MANY = 1.2, 9.95
_HALF = (0.45, 0.55)
_NAMED = 3
_LONGEST_NAME = 40


def answer(runs: Sequence[RunRecord], names: Sequence[str], count: int) -> str:
    """Return which of ``count`` runs serves most, by how much, and what the two fastest of them differ in."""
    measured = [(plain_text(name, _LONGEST_NAME), run) for name, run in zip(names, runs, strict=True) if run.best]
    if not measured:
        return "Nothing was measured in these runs"
    measured.sort(key=lambda one: _order(one[1]), reverse=True)
    if len(measured) == 1:
        name, run = measured[0]
        return f"Only {name} was measured: {_rate(run, run.best)}"
    (name, first), (other, second) = measured[:2]
    if first.kind != second.kind:
        kinds = [f"{one} is {run.kind or 'DeepSeek V4 itself'}" for one, run in measured[:2]]
        return f"{' and '.join(kinds)}: their figures cannot be compared"
    level = _common(first, second)
    if level is None:
        best, next_best = first.best, second.best
        text = f"{name} serves {_rate(first, best)} at {_load(best)}, {other} {_rate(second, next_best)} at {_load(next_best)}"
    else:
        text = _compared(name, other, *level) + (f" ({first.kind})" if first.kind else "")
    lead = f"Of {count:,} runs: " if count > 2 else ""  # noqa: PLR2004 -- two need no count
    return f"{lead}{text}; {_differ(differences([first, second]))}"


def _order(run: RunRecord) -> tuple[bool, bool, float]:
    best = run.best
    return (not run.simulated, best is not None and best.self_check.valid, (best and best.output_tokens_per_s) or 0.0)


def _rate(run: RunRecord, point: Point | None) -> str:
    doubt = [] if point is None or point.self_check.valid else ["not valid"]
    words = [*([run.kind] if run.kind else []), *doubt]
    labels = f" ({', '.join(words)})" if words else ""
    return f"{format_rate(point.output_tokens_per_s if point else None)}{labels}"


def _load(point: Point | None) -> str:
    return describe_load(point) if point else "an unknown load"


def _common(first: RunRecord, second: RunRecord) -> tuple[Point, Point] | None:
    """Return the figures of both at the highest load that both were measured under, valid ones first."""
    others = {(point.concurrency, point.rate, point.label): point for point in _points(second)}
    pairs = [(one, others[key]) for one in _points(first) if (key := (one.concurrency, one.rate, one.label)) in others]
    return max(pairs, key=lambda pair: (all(map(_sound, pair)), pair[0].concurrency or pair[0].rate or 0), default=None)


def _points(run: RunRecord) -> list[Point]:
    return [point for point in run.measurement.points if point.output_tokens_per_s] if run.measurement else []


def _sound(point: Point) -> bool:
    return point.self_check.valid and not point.partial


def _compared(name: str, other: str, one: Point, two: Point) -> str:
    """Return both at one load, the faster one first."""
    if (one.output_tokens_per_s or 0.0) < (two.output_tokens_per_s or 0.0):
        name, other, one, two = other, name, two, one
    ratio = (one.output_tokens_per_s or 0.0) / (two.output_tokens_per_s or 1.0)
    doubt = "" if _sound(one) and _sound(two) else ", of a level that is partial or not valid"
    if ratio - 1 < _SAME or _overlap(one, two):
        what = f"{name} and {other} serve as many tokens"
    elif ratio < _TWICE:
        what = f"{name} serves {ratio - 1:.0%} more tokens than {other}"
    else:
        what = f"{name} serves {ratio:,.{0 if ratio > _MANY else 1}f} times the tokens of {other}"
    return f"{what} at {describe_load(one)}{_wait(_ttft(one), _ttft(two))}{doubt}"


def _overlap(one: Point, two: Point) -> bool:
    """Return True if the 95 % intervals of repeated runs overlap, so that the difference may be chance."""
    first, second = one.output_tokens_per_s_interval, two.output_tokens_per_s_interval
    return first is not None and second is not None and first.low <= second.high and second.low <= first.high


def _ttft(point: Point) -> Quantiles | None:
    return point.ttft_s if point.concurrency is not None else point.ttft_from_schedule_s


def _wait(one: Quantiles | None, two: Quantiles | None) -> str:
    if one is None or two is None or not two.p50 > 0:
        return ""
    ratio = one.p50 / two.p50
    if abs(ratio - 1) < _SAME:
        return ", at the same TTFT"
    if _HALF[0] <= ratio <= _HALF[1]:
        return ", at half the TTFT"
    return f", at {ratio:.0%} of the TTFT" if ratio < 1 else f", at {ratio:,.1f} times the TTFT"


def _differ(found: Sequence[Difference]) -> str:
    """Return what two runs differ in, by name."""
    if not found:
        return "no recorded fact differs"
    words = [one for one in found if not one.what.startswith("--")]
    found = [*words, *(one for one in found if one not in words)]  # a flag says least to a reader
    names = [one.what if one.group != "versions" or "version" in one.what else f"{one.what}'s version" for one in found]
    shown, more = names[:_NAMED], len(names) - _NAMED
    if more > 0:
        return f"they differ in {', '.join(shown)} and {more} more"
    return f"they differ in {', '.join(shown[:-1])}{' and ' if shown[1:] else ''}{shown[-1]}"
