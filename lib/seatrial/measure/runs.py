"""Says which of several runs of a load is the result: nothing finished is thrown away."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.measure.types import Measurement
from seatrial.measure.workload import levels_of


def is_complete(measurement: Measurement) -> bool:
    """Return True if every load level was measured to its end, and some request succeeded at each."""
    return _complete_levels(measurement) >= len(levels_of(measurement.workload))


def result_of(runs: Sequence[Measurement]) -> Measurement | None:
    """Return the run that counts, None without any: the last complete one, else the one with most complete levels.

    Of runs with as many complete levels, the one in which more requests succeeded counts, then the later one.

    Args:
        runs: Runs in the order in which they were started.

    """
    complete = [run for run in runs if is_complete(run)]
    if complete:
        return complete[-1]
    return max(reversed(runs), key=lambda run: (_complete_levels(run), _succeeded(run)), default=None)


def _complete_levels(measurement: Measurement) -> int:
    return sum(not point.partial and point.requests.succeeded > 0 for point in measurement.points)


def _succeeded(measurement: Measurement) -> int:
    return sum(one.error is None for one in measurement.completions)
