"""The runs of a load panel: each is kept, and one of them is the result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seatrial.errors import SeatrialError
from seatrial.measure.load import Load
from seatrial.measure.runs import is_complete, result_of
from seatrial.measure.summary import best_point
from seatrial.measure.types import Measurement
from seatrial.measure.workload import Workload
from seatrial.units import counted
from seatrial.view.plots.run_rows import RunRows
from seatrial.view.tables.measurements import describe_load, describe_rate

_PERIOD_S = 0.25


@dataclass(eq=False)
class PanelRun:
    """One press of Start: the load, its rows, and what it brought.

    A thread of its own follows the load, draws, and sums up at the end. It ends with the load.
    """

    number: int
    workload: Workload
    load: Load
    rows: RunRows
    stopped: bool = False  # by a person, before its end
    steered: bool = False  # a person set its streams
    measurement: Measurement | None = None  # once it has ended, if anything was collected
    error: SeatrialError | None = None  # if nothing was

    def follow(self, on_rows: Callable[[PanelRun], None], on_end: Callable[[PanelRun], None]) -> None:
        """Call ``on_rows`` four times a second, and ``on_end`` once the result is there."""
        self._thread = threading.Thread(target=self._follow, args=(on_rows, on_end), name="load panel", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """True once its result is there and was shown."""
        return not self._thread.is_alive()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end, at most so long; return True if the run has ended."""
        self._thread.join(timeout_s)
        return self.ended

    def stop(self) -> None:
        """End the load now; its results until then stay."""
        self.stopped = self.stopped or self.load.running
        self.load.stop()

    @property
    def complete(self) -> bool:
        """True if every level of the workload was sent to its end."""
        steered = self.steered or self.workload.until_stopped
        return self.measurement is not None and not steered and is_complete(self.measurement)

    def describe(self) -> str:
        """Return in a line how it went, for the list of runs."""
        if self.measurement is None:
            why = "stopped by you before a request was over" if self.stopped else "runs"
            if self.error is not None:
                why = f"{self.error.what} {self.error.remedy}"
            return f"Run {self.number}: {why}"
        points = self.measurement.points
        best = best_point(points)
        speed = f", {describe_rate(best)} with {describe_load(best)}" if best is not None else ""
        if self.complete:
            return f"Run {self.number}: complete, {counted(len(points), 'load level')}{speed} at best"
        done = sum(one.error is None for one in self.measurement.completions)
        how = "stopped by you" if self.stopped else "ended early"
        return f"Run {self.number}: {how} after {counted(done, 'request')}{speed}{' at best' if speed else ''}"

    def _follow(self, on_rows: Callable[[PanelRun], None], on_end: Callable[[PanelRun], None]) -> None:
        while not self.load.wait(_PERIOD_S):
            self.rows.update(self.load.recorder)
            on_rows(self)
        self.rows.update(self.load.recorder)
        try:
            found = self.load.result()
            self.measurement = found if found.points or found.completions else None
        except SeatrialError as error:
            self.error = error
        finally:
            self.load.stop()  # closes the files of an ended load
        on_end(self)


def result_run(runs: Sequence[PanelRun]) -> PanelRun | None:
    """Return the run that is the result, None without any: a complete one, else one of the levels that brought something.

    A load without an end is an exploration and no result.
    """
    ended = [run for run in runs if run.measurement is not None and not run.workload.until_stopped]
    counted = [run for run in ended if run.complete] or ended
    found = result_of([run.measurement for run in counted if run.measurement is not None])
    return next((run for run in counted if run.measurement is found), None)
