"""A panel to start and stop a load and to watch it; without a person the notebook runs the load by itself."""

from __future__ import annotations

import html
import threading
from typing import Any

from seatrial.errors import SeatrialError
from seatrial.measure.load import Load, start_load
from seatrial.measure.recorder import LoadProgress
from seatrial.measure.target import RemoteServer
from seatrial.measure.types import Measurement
from seatrial.measure.workload import Workload, describe_lengths, label_of, levels_of
from seatrial.server import Server
from seatrial.units import format_rate
from seatrial.view.chart.chart import show_chart
from seatrial.view.notebook.live import LivePlot, is_headless
from seatrial.view.notebook.widgets import show_widget
from seatrial.view.plots.measurements import memory_over_time_chart, tokens_chart
from seatrial.view.tables.table import Table
from seatrial.view.untrusted import plain_text


def load_panel(server: Server | RemoteServer | str, workload: Workload | None = None) -> LoadPanel:
    """Return a panel that sends ``workload`` when a person presses Start, or when a cell asks for the result.

    Args:
        server: A server from ``launch`` or ``open_server``, or the URL of an OpenAI-compatible one.
        workload: The load; None for 1, 2, 4 and 8 streams of short answers.

    """
    return LoadPanel(server, workload or Workload())


class LoadPanel:
    """Start, Stop, a line of progress and a live plot; without a front end a table of the load.

    Attributes:
        workload: The load it sends.

    """

    def __init__(self, server: Server | RemoteServer | str, workload: Workload) -> None:
        self.workload = workload
        self._server = server
        self._load: Load | None = None
        self._lock = threading.Lock()
        self._plot: LivePlot | None = None
        self._widgets: dict[str, Any] = {}
        if not is_headless():
            self._build()

    @property
    def running(self) -> bool:
        """True while a load runs."""
        return self._load is not None and self._load.running

    def start(self) -> Load:
        """Start the load; a running one continues.

        Raises:
            SeatrialError: If the server is gone, or the load cannot be sent.

        """
        with self._lock:
            if self._load is not None and self._load.running:
                return self._load
            if self._load is not None:
                self._load.stop()
            self._load = start_load(self._server, self.workload)
            if self._plot is not None:
                self._set_running(running=True)
                self._plot.start(self._load)
            return self._load

    def stop(self) -> None:
        """End the load now; its results until then stay."""
        with self._lock:
            if self._load is not None:
                self._load.stop()

    def result(self) -> Measurement:
        """Wait for the load and sum it up; start it if nobody has.

        An interrupt (the notebook's stop button) ends the load and is raised again.

        Raises:
            MeasurementError: If nothing was collected.
            SeatrialError: If the server is gone, or the load cannot be sent.

        """
        load = self._load or self.start()
        try:
            while not load.wait(0.2):  # in steps, so that an interrupt is noticed
                pass
            measurement = load.result()
        finally:
            load.stop()  # also closes the files of an ended load
        if self._plot is not None:
            self._plot.wait()
        else:
            show_chart(tokens_chart(measurement))
            show_chart(memory_over_time_chart(measurement))
        return measurement

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

    def _build(self) -> None:
        import ipywidgets

        start = ipywidgets.Button(description="Start", button_style="primary", icon="play", tooltip="Send the load")
        stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True, tooltip="End the load now")
        status = ipywidgets.HTML(value="", layout={"margin": "2px 12px"})
        start.add_class("seatrial-start")
        stop.add_class("seatrial-stop")
        status.add_class("seatrial-status")
        start.on_click(lambda _: self._pressed_start())
        stop.on_click(lambda _: self.stop())
        self._plot = LivePlot(on_progress=self._show_progress)
        box = ipywidgets.VBox([ipywidgets.HBox([start, stop, status]), self._plot.figure])
        self._widgets = {"start": start, "stop": stop, "status": status, "box": box}

    def _pressed_start(self) -> None:
        try:
            self.start()
        except SeatrialError as error:  # nobody sees an error raised in a callback
            self._set_status(f"{error.what} {error.remedy}")

    def _show_progress(self, progress: LoadProgress) -> None:
        """Show a line of progress; the drawing thread calls this."""
        if self.running:
            rate = "" if progress.tokens_per_s is None else f", {format_rate(progress.tokens_per_s)}"
            place = f"level {progress.point + 1} of {progress.points} ({progress.level})"
            self._set_status(
                f"{place}: {progress.done} of {progress.requests} requests{rate}" if progress.points else ""
            )
            return
        self._set_running(running=False)
        self._set_status("Done." if self._load is None else self._outcome(self._load))

    def _outcome(self, load: Load) -> str:
        try:
            notes = load.result().notes
        except SeatrialError as error:
            return f"{error.what} {error.remedy}"
        finally:
            load.stop()
        return " ".join(["Done.", *notes])

    def _set_running(self, *, running: bool) -> None:
        self._widgets["start"].disabled = running
        self._widgets["stop"].disabled = not running

    def _set_status(self, text: str) -> None:
        self._widgets["status"].value = html.escape(plain_text(text, 400))

    def _ipython_display_(self) -> None:
        table = self.to_table()
        if self._widgets:
            show_widget(self._widgets["box"], table.to_html(), table.to_text())
            return
        from IPython.display import display

        display(table)  # type: ignore[no-untyped-call]
