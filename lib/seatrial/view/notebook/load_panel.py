"""A panel to start, steer and stop a load and to watch it; without a person the notebook runs the load by itself."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seatrial.errors import MeasurementError, SeatrialError
from seatrial.given import whole
from seatrial.measure.load import start_load
from seatrial.measure.summary import best_point
from seatrial.measure.target import RemoteServer
from seatrial.measure.types import Measurement
from seatrial.measure.workload import Workload, describe_lengths, label_of, levels_of
from seatrial.server import Server
from seatrial.speed.types import Prediction
from seatrial.view.notebook.live import is_headless
from seatrial.view.notebook.panel_picture import panel_picture
from seatrial.view.notebook.panel_runs import PanelRun, result_run
from seatrial.view.notebook.panel_widget import PanelWidget
from seatrial.view.plots.measurements import not_real
from seatrial.view.plots.run_rows import RunRows
from seatrial.view.plots.run_status import run_status
from seatrial.view.tables.measurements import describe_rate
from seatrial.view.tables.table import Table
from seatrial.view.untrusted import plain_text

_SLIDER_STREAMS = 64  # at least
_EARLIER = 5  # runs drawn behind the latest


def load_panel(
    server: Server | RemoteServer | str,
    workload: Workload | None = None,
    predictions: Mapping[int, Prediction] | None = None,
) -> LoadPanel:
    """Return a panel that sends ``workload`` when a person presses Start, or when a cell asks for the result.

    Args:
        server: A server from ``launch`` or ``open_server``, or the URL of an OpenAI-compatible one.
        workload: The load; None for 1, 2, 4 and 8 streams of short answers.
        predictions: By streams; drawn as a band behind the measured output.

    """
    return LoadPanel(server, workload or Workload(), predictions)


class LoadPanel:
    """Controls and live plots of a load, with a still picture beside them that a saved notebook keeps.

    Attributes:
        workload: The load it sends.
        runs: Every run so far, oldest first.

    """

    def __init__(
        self,
        server: Server | RemoteServer | str,
        workload: Workload,
        predictions: Mapping[int, Prediction] | None = None,
    ) -> None:
        self.workload = workload
        self.runs: list[PanelRun] = []
        self._server = server
        self._predictions = predictions
        self._lock = threading.RLock()
        self._pictures: list[Any] = []  # handles of the outputs with the still picture
        self._error = ""
        most = max(_SLIDER_STREAMS, 2 * max(workload.concurrency, default=1))
        settings = {
            "streams": max(workload.concurrency, default=1), "most_streams": most,
            "prompt_tokens": levels_of(workload)[0].prompt_tokens, "answer_tokens": workload.answer_tokens,
        }  # fmt: skip
        self._page = None if is_headless() else PanelWidget(self._asked, settings)

    @property
    def running(self) -> bool:
        """True while a load runs."""
        return bool(self.runs) and self.runs[-1].load.running

    def start(self, workload: Workload | None = None) -> PanelRun:
        """Start the load, or another one; a running one continues, earlier ones stay.

        Raises:
            SeatrialError: If the server is gone, or the load cannot be sent.

        """
        with self._lock:
            if self.running:
                return self.runs[-1]
            workload = workload or self.workload
            rows = RunRows(self._predictions)
            run = PanelRun(len(self.runs) + 1, workload, start_load(self._server, workload), rows)
            self._error = ""
            self.runs.append(run)
            run.follow(self._draw, self._end)
            self._draw(run, whole=True)
            return run

    def set_streams(self, streams: int) -> None:
        """Keep so many streams busy from now on, until the load is stopped; levels not yet sent are left out.

        Raises:
            UsageError: If requests arrive at a rate, or there is no such number of streams.

        """
        with self._lock:
            if self.running:
                self.runs[-1].load.set_streams(streams)
                self.runs[-1].steered = True

    def stop(self) -> None:
        """End the load now; its results until then stay."""
        with self._lock:
            if self.runs:
                self.runs[-1].stop()

    def result(self) -> Measurement:
        """Return the last complete run of the levels, else the one that got furthest; start them if nobody has.

        Waits for a load that runs. An interrupt (the notebook's stop button) ends it: what it brought until then counts.

        Raises:
            MeasurementError: If nothing was collected.
            SeatrialError: If the server is gone, or the load cannot be sent.

        """
        if self.runs and not self.runs[-1].ended:
            self._wait(self.runs[-1])
        found = result_run(self.runs)
        if found is None:
            found = self.start()
            self._wait(found)
        if found.measurement is not None:
            return found.measurement
        raise found.error or MeasurementError("Stopped by you before a request was over.", remedy="Run the cell again.")

    def _wait(self, run: PanelRun) -> None:
        try:
            while not run.wait(0.2):  # in steps, so that an interrupt is noticed
                pass
        except KeyboardInterrupt:
            self.stop()
            while not run.wait(0.2):
                pass

    def to_table(self) -> Table:
        """Return the load in words."""
        load = self.workload
        rows = (
            ("Levels, one after another", "; ".join(label_of(level, load) for level in levels_of(load))),
            ("Requests at each level", "as many as needed" if load.requests is None else f"{load.requests:,}"),
            ("Prompt", f"{describe_lengths(load)} tokens"),
            ("Answer, at most", f"{load.answer_tokens:,} tokens"),
        )
        return Table("The load that is sent; its result follows", ("Load", "Value>"), rows)

    def _asked(self, message: dict[str, Any]) -> None:
        """Do what a page asks for, beside the kernel's own work: a server may take its time to answer."""
        threading.Thread(target=self._obey, args=(message,), name="load panel asked", daemon=True).start()

    def _obey(self, message: dict[str, Any]) -> None:
        try:
            sizes: dict[str, Any] = {
                name: whole(name, message[name]) for name in ("prompt_tokens", "answer_tokens") if name in message
            }
            match message["kind"]:
                case "start":
                    self.start(replace(self.workload, **sizes))
                case "free":
                    self.start(self._endless(whole("streams", message.get("streams")), **sizes))
                case "streams":
                    self.set_streams(whole("streams", message.get("streams")))
                case "stop":
                    self.stop()
            self._error = ""
        except SeatrialError as error:  # nobody sees an error raised here
            self._error = plain_text(f"{error.what} {error.remedy}", 400)
        self._draw(self.runs[-1] if self.runs else None, whole=message["kind"] == "hello" or bool(self._error))

    def _endless(self, streams: int, **sizes: Any) -> Workload:
        load = self.workload
        kept = {"answer_tokens": load.answer_tokens, "ignore_eos": load.ignore_eos, "seed": load.seed}
        lengths = {"prompt_tokens": levels_of(load)[0].prompt_tokens}
        return Workload(concurrency=(streams,), until_stopped=True, **{**kept, **lengths, **sizes})

    def _draw(self, run: PanelRun | None, *, whole: bool = False) -> None:
        if self._page is not None:
            with self._lock:
                earlier = [one.rows for one in self.runs[:-1]][-_EARLIER:]
                self._page.show(run.rows if run else RunRows(), earlier, self._status(run), whole=whole)

    def _end(self, run: PanelRun) -> None:
        self._draw(run, whole=True)
        for picture in self._pictures:
            picture.update(panel_picture(self.to_table(), self.runs), raw=True)

    def _status(self, run: PanelRun | None) -> dict[str, Any]:
        """Return what a page shows beside the rows."""
        listed = [f"{one.describe()}." for one in self.runs if not one.load.running]
        status: dict[str, Any] = {"running": self.running, "error": self._error, "runs": listed, "share": None}
        status |= {"steered": not self.workload.open_loop, "streams": None, "label": "", "simulated": False}
        if run is None:
            detail = "Press Start: the plots move while the load runs."
            return status | {"headline": "No load yet", "detail": detail, "detail_short": ""}
        labels = not_real(stand_in=run.load.stand_in, simulated=run.load.simulated)
        status |= {"label": "; ".join(labels), "simulated": run.load.simulated}
        if not run.load.running:
            best = best_point(run.measurement.points) if run.measurement else None
            headline = "Ended" if best is None else describe_rate(best)
            return status | {"headline": headline, "detail": run.describe(), "detail_short": "ended"}
        progress = run.load.recorder.progress
        shown = run_status(progress, run.rows, run.rows.completions)
        status |= {"share": shown.share, "streams": progress.streams, "detail_short": progress.level}
        return status | {"headline": shown.headline or "…", "detail": shown.detail}

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if self._page is not None:
            display({**self._page.bundle(), "text/plain": "Live load panel"}, raw=True)  # type: ignore[no-untyped-call]
        picture = panel_picture(self.to_table(), [run for run in self.runs if run.ended])
        self._pictures.append(display(picture, raw=True, display_id=True))  # type: ignore[no-untyped-call]
