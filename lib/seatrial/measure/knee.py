"""Finds the knee of a server: the most load it holds, by raising streams or rate until goodput falls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seatrial.measure.types import Completion, Measurement, Point
from seatrial.measure.workload import MAX_LEVELS, MAX_STREAMS, Level, Workload, levels_of
from seatrial.units import format_rate, format_seconds

HELD_SHARE = 0.9
"""Share of a load's requests that must meet every objective (without one: succeed) for the load to be held."""

GIVEN_UP = "given_up"
"""Name under which requests are counted that were broken off because the queue only grew."""

_FALL = 0.95  # of the best goodput so far; less is a fall
_GAIN = 0.1  # that twice the streams must add to the throughput; less, and further streams only wait
_REFINEMENTS = 2  # loads tried between the last that is held and the first that is not
_CLOSEST = 1.2  # ratio of two loads between which none is tried
_MAX_RATE = 1e5
_QUARTERS = 4
_GROWN = 2.0  # times the first quarter's latency that the last quarter's is in a queue that only grows


@dataclass(frozen=True, slots=True)
class Knee:
    """What a search found."""

    point: Point | None  # of the most load that is held, None if none is
    front: tuple[Point, ...]  # points that no other beats at both throughput and latency, by load
    why: str  # the search ended, a clause


class KneeSearch:
    """Search for the most load that a server holds: it doubles, then narrows down."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._start = levels_of(workload)[0]
        self._held: Point | None = None  # the most load that is held so far
        self._lost: Point | None = None  # the least load that is not
        self._points: list[Point] = []
        self._refined = 0
        self.why = ""  # a clause on why the search ended or turned; empty until then

    def next_level(self) -> Level | None:
        """Return the next load to try, None if the search has ended."""
        if not self._points:
            return self._start
        requests = self._points[-1].requests
        if len(self._points) >= MAX_LEVELS or (not requests.succeeded and GIVEN_UP not in requests.errors):
            return None
        load = self._next_load()
        if load is None:
            return None
        if self._start.streams is None:
            return replace(self._start, rate=load)
        return replace(self._start, streams=round(load))

    def take(self, point: Point) -> None:
        """Judge the load that was tried last."""
        lost = self._why_lost(point)
        self._points.append(point)
        if lost:
            self._lost, self.why = point, lost
        else:
            self._held = point

    def result(self) -> Knee:
        """Return what was found so far."""
        highest = "the highest load that this client sends was reached"
        return Knee(self._held, front(self._points), self.why or highest)

    def _next_load(self) -> float | None:
        if self._lost is None:
            most = _MAX_RATE if self._start.streams is None else MAX_STREAMS
            last = _load(self._points[-1])
            return min(2 * last, most) if last < most else None
        high = _load(self._lost)
        if self._held is None:
            return high / 2 if self._start.streams is None or high > 1 else None
        low = _load(self._held)
        between = math.sqrt(low * high)
        if self._start.streams is not None:
            between = round(between)
        if self._refined >= _REFINEMENTS or high / low < _CLOSEST or not low < between < high:
            return None
        self._refined += 1
        return between

    def _why_lost(self, point: Point) -> str:
        """Return why a load is not held, a clause; empty if it is."""
        share = held_share(point)
        if share < HELD_SHARE:
            done = "met the objectives" if _has_objectives(self._workload) else "succeeded"
            return f"at {point.label} {share:.0%} of the requests {done}, less than {HELD_SHARE:.0%}"
        if point.queue_grows:
            return f"at {point.label} the queue only grew"
        best = max((one for one in self._points if one.goodput_per_s), key=_goodput, default=None)
        if best is not None and _load(best) < _load(point) and _goodput(point) < _FALL * _goodput(best):
            return f"at {point.label} goodput fell to {_goodput(point):.3g} requests/s from {_goodput(best):.3g} at {best.label}"
        below = max((one for one in self._points if _load(one) < _load(point)), key=_throughput, default=None)
        if below is not None and point.concurrency is not None:
            gain = 1 + _GAIN * (_load(point) / _load(below) - 1)
            if _throughput(point) < _throughput(below) * gain:
                return f"from {below.label} to {point.label} throughput did not rise: further streams only wait"
        return ""


def knee_of(measurement: Measurement) -> Knee | None:
    """Return what a search found, None for a load that was none or that brought no point."""
    if not measurement.workload.find_knee or not measurement.points:
        return None
    search = KneeSearch(measurement.workload)
    for point in measurement.points:
        search.take(point)
    return search.result()


def describe_knee(knee: Knee) -> str:
    """Return what a search found, a sentence."""
    if knee.point is None:
        return f"No load that was tried is held: {knee.why}."
    wait = _wait(knee.point)
    figures = [format_rate(knee.point.output_tokens_per_s)]
    figures += [f"TTFT {format_seconds(wait)} in the median"] if wait is not None else []
    return f"The most load that is held is {knee.point.label} ({', '.join(figures)}): {knee.why}."


def held_share(point: Point) -> float:
    """Return the share of a point's requests that meet every objective."""
    return (point.goodput_per_s or 0.0) * point.duration_s / (point.requests.sent or 1)


def front(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points that no other beats at both throughput and TTFT, from the least load to the most."""
    known = [(point, point.output_tokens_per_s, _wait(point)) for point in points]
    full = [(point, rate, wait) for point, rate, wait in known if rate is not None and wait is not None]
    best = [
        point
        for point, rate, wait in full
        if not any(r >= rate and w <= wait and (r, w) != (rate, wait) for _, r, w in full)
    ]
    return tuple(sorted(best, key=_load))


def queue_grows(completions: Sequence[Completion]) -> bool:
    """Return True if a queue only grew under an open loop: more requests in each quarter, and each waits ever longer.

    The first quarter does not count: a load that begins fills up.
    """
    ordered = sorted(completions, key=lambda one: one.scheduled_s)
    size = len(ordered) // _QUARTERS
    if not size:
        return False
    first, last = ordered[:size], ordered[-size:]
    begin, end = ordered[0].scheduled_s, ordered[-1].scheduled_s
    quarter = (end - begin) / _QUARTERS
    inside = [_inside(ordered, begin + index * quarter) for index in (2, 3, 4)]
    return inside[0] < inside[1] < inside[2] and _latency(last) > _GROWN * _latency(first)


def _inside(completions: Sequence[Completion], at_s: float) -> int:
    return sum(one.scheduled_s <= at_s < one.ended_s for one in completions)


def _latency(completions: Sequence[Completion]) -> float:
    """Return the median time from schedule to end."""
    times = sorted(one.ended_s - one.scheduled_s for one in completions)
    return times[len(times) // 2]


def _load(point: Point) -> float:
    return float(point.concurrency if point.concurrency is not None else point.rate or 0.0)


def _throughput(point: Point) -> float:
    return point.output_tokens_per_s or 0.0


def _goodput(point: Point) -> float:
    return point.goodput_per_s or 0.0


def _wait(point: Point) -> float | None:
    times = point.ttft_s if point.concurrency is not None else point.ttft_from_schedule_s
    return None if times is None else times.p50


def _has_objectives(workload: Workload) -> bool:
    return workload.slo_ttft_s is not None or workload.slo_tpot_s is not None
