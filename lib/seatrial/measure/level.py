"""Collects what a load level brings while it runs, and sums it up at its end, or when it is broken off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from seatrial.measure.counted import with_counted
from seatrial.measure.figures import rank
from seatrial.measure.messages import PointBegins, PointEnds, Tick
from seatrial.measure.summary import summarize
from seatrial.measure.types import Completion, Point, Sample
from seatrial.measure.workload import Workload

if TYPE_CHECKING:  # the measuring client does without the planner, which engines bring
    from seatrial.server.metrics import ServerMetrics

_NO_SERVER = "unreachable"
_BROKEN = frozenset({_NO_SERVER, "disconnected", "incomplete"})
"""Kinds of failure of the requests to a server that is gone."""


class RunningLevel:
    """What a level has brought so far.

    Args:
        begins: Which level, and when it began.
        workload: The load.
        counted: What the server had counted then, None if it does not tell.
        before: The last sample of an earlier level; empty without one.

    """

    def __init__(
        self, begins: PointBegins, workload: Workload, counted: ServerMetrics | None, before: Sequence[Sample]
    ) -> None:
        self.completions: list[Completion] = []
        self._begins, self._workload = begins, workload
        self._counted, self._before = counted, before
        self._samples: list[Sample] = []
        self._ticks: list[Tick] = []

    def add_tick(self, tick: Tick, sample: Sample) -> None:
        """Store a tick of the client and the sample made of it."""
        self._ticks.append(tick)
        self._samples.append(sample)

    def end(self, ended: PointEnds, counted: ServerMetrics | None) -> Point:
        """Sum up; a level in which some requests succeeded before the server went away is partial."""
        point = summarize(self.completions, self._workload, self._begins, ended, [*self._before, *self._samples])
        if point.requests.succeeded and server_gone(self.completions):
            point = replace(point, partial=True)
        return with_counted(point, self.completions, self._samples, self._counted, counted)

    def break_off(self, counted: ServerMetrics | None) -> Point | None:
        """Sum up what came until now as a partial level; None if nothing came.

        Requests in flight are not known. Their tokens are in the client's ticks, from which the throughput is taken.
        """
        if not self.completions and not any(tick.tokens_per_s for tick in self._ticks):
            return None
        times = [tick.at_s for tick in self._ticks] + [one.ended_s for one in self.completions]
        lags = sorted(tick.loop_lag_s for tick in self._ticks) or [0.0]
        shares = [tick.cpu_share for tick in self._ticks] or [0.0]
        begins = self._begins
        ended = PointEnds(
            begins.point,
            max(times),
            rank(lags, 0.99),
            sum(shares) / len(shares),
            partial=begins.requests > 0,  # a level without an end is complete when it is stopped
            loop_lag_p90_s=rank(lags, 0.9),
        )
        busy = _busy(self._samples, begins.level.streams)
        return replace(self.end(ended, counted), output_tokens_per_s=sum(busy) / len(busy) if busy else None)


def server_gone(completions: Sequence[Completion]) -> str | None:
    """Return the error that shows that the server is gone: nobody listens, and nothing succeeded since; None if it lives."""
    last = max((one.ended_s for one in completions if one.error is None), default=float("-inf"))
    errors = [one.error for one in completions if one.error is not None and one.ended_s > last]
    kinds = {error.partition(":")[0] for error in errors}
    if _NO_SERVER not in kinds or not kinds <= _BROKEN:
        return None
    return next(error for error in errors if error.startswith(_NO_SERVER))


def _busy(samples: Sequence[Sample], streams: int | None) -> list[float]:
    """Return the throughput of each sample in which every stream was busy; of an open loop that of all."""
    return [
        one.tokens_per_s
        for one in samples
        if one.tokens_per_s is not None and (streams is None or one.active_streams == streams)
    ]
