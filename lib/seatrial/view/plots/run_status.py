"""How far a running load is, in words and as a share: the same for the panel and the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.measure.recorder import LoadProgress
from seatrial.units import format_rate, format_seconds
from seatrial.view.plots.run_rows import RunRows


@dataclass(frozen=True, slots=True)
class RunStatus:
    """State of a running load.

    Attributes:
        headline: Mean output of the level so far; empty before the first token.
        detail: What the mean is of, how far the load is, and the time left if it can be told.
        share: Requests that are over, of all; None for a load without an end.
        left_s: Seconds left at the pace of this level; None if unknown.

    """

    headline: str
    detail: str
    share: float | None
    left_s: float | None


def run_status(progress: LoadProgress, rows: RunRows, done: int) -> RunStatus:
    """Return the state of a load that runs.

    Args:
        progress: Of the load's recorder.
        rows: Of the same.
        done: Requests that are over, of all levels.

    """
    if progress.point < 0:
        return RunStatus("", "The load begins: the first request is sent and discarded.", None, None)
    mean = rows.mean_tokens_per_s
    headline = "" if mean is None else format_rate(mean)
    if not progress.points:
        return RunStatus(headline, f"mean of this level so far: {progress.level}, until you stop", None, None)
    remaining = max(progress.requests - progress.done, 0) + progress.later
    now_s = rows.rows[-1][0] if rows.rows else progress.begun_s
    left_s = remaining * (now_s - progress.begun_s) / progress.done if progress.done else None
    left = "" if left_s is None else f", about {format_seconds(round(left_s))} left" if left_s >= 1 else ", nearly done"
    detail = (
        f"mean of this level so far: {progress.level}, level {progress.point + 1} of {progress.points}, "
        f"{progress.done:,} of {progress.requests:,} requests{left}"
    )
    return RunStatus(headline, detail, done / max(done + remaining, 1), left_s)
