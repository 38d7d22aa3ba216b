"""A plot that moves while a load runs: one figure, redrawn a few times a second by one thread.

The figure is a plotly ``FigureWidget``: its updates travel on the widget's own channel, so the
plot keeps moving while a cell waits for the result, and nothing is ever printed or cleared.
Without a front end that shows widgets, the panel draws plain figures at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from seatrial.environment import variable
from seatrial.measure.load import Load
from seatrial.measure.recorder import LoadProgress, Recorder
from seatrial.measure.summary import best_point
from seatrial.measure.types import Sample
from seatrial.units import GIB, counted, format_rate
from seatrial.view.chart.data import PALETTE, SeriesOrigin
from seatrial.view.chart.plotly import AXIS, COLORS, TITLE, literal, plotly_dash, span_names, span_stripes
from seatrial.view.plots.measurements import OUTPUT, TIME, load_levels, not_real, with_breaks
from seatrial.view.tables.measurements import describe_rate

_NAMES = ("output", "engine's host memory", "memory of all GPUs")
_PERIOD_S = 0.33
HEADLESS = "SEATRIAL_HEADLESS"
_MOST_POINTS = 2000
_WAITING = "Press Start: the plot moves while the load runs"


def is_headless() -> bool:
    """Return True if nobody sees widgets: a batch run or test sets a variable, or this is no notebook kernel."""
    if variable(HEADLESS) not in {None, "0"}:
        return True
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return True
    return not hasattr(get_ipython(), "kernel")


class LivePlot:
    """Output tokens per second and memory over time, while they are measured.

    The drawing thread ends with the load, or with the ``with`` block.

    Args:
        on_progress: Called by the drawing thread after each redraw; for a line of text beside the plot.

    Attributes:
        figure: The widget; a cell that ends in ``figure`` shows it.

    """

    def __init__(self, on_progress: Callable[[LoadProgress], None] | None = None) -> None:
        self.figure = _figure()
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, load: Load) -> Self:
        """Follow ``load`` until it ends, instead of an earlier one."""
        with self._lock:
            self._end()
            self._label(load)
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._follow, args=(load, self._stop), name="live plot", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """End the drawing; the plot stays as it is."""
        with self._lock:
            self._end()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the load has ended and its last state is drawn; return True if that is done."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _label(self, load: Load) -> None:
        """Set names, dashes and the line under the title; a stand-in and a simulation are labelled."""
        origin: SeriesOrigin = "simulated" if load.simulated else "measured"
        with self.figure.batch_update():
            for trace, name in zip(self.figure.data, _NAMES, strict=True):
                trace.name = f"{name}, {origin}"
                trace.line.dash = plotly_dash(origin)
            labels = not_real(stand_in=load.stand_in, simulated=load.simulated)
            self.figure.layout.title.subtitle.text = literal("; ".join(labels))

    def _follow(self, load: Load, stop: threading.Event) -> None:
        drawn = -1
        while True:
            running = load.running  # read first: a load that ends while this draws is drawn once more
            recorder = load.recorder
            samples = recorder.samples
            if len(samples) != drawn or not running:
                drawn = len(samples)
                self._draw(recorder, samples, running=running)
            if not running or stop.wait(_PERIOD_S):
                return

    def _draw(self, recorder: Recorder, samples: Sequence[Sample], *, running: bool) -> None:
        progress = recorder.progress
        every = max(1, -(-len(samples) // _MOST_POINTS))
        shown = with_breaks(samples[::every])
        with self.figure.batch_update():
            for trace, values in zip(self.figure.data, _rows(shown), strict=True):
                trace.x = _floats([one.at_s for one in shown])
                trace.y = _floats(values)
                # Without a GPU its line has no name in the legend.
                trace.showlegend = any(value is not None for value in values)
            self.figure.layout.title.text = f"<b>{literal(_title(recorder, progress, running=running))}</b>"
            if not running:
                spans = load_levels(recorder.samples, recorder.points)
                self.figure.layout.shapes, self.figure.layout.annotations = span_stripes(spans), span_names(spans)
        if self._on_progress is not None:
            self._on_progress(progress)


def _figure() -> Any:
    """Return the empty plot: tokens above, memory below, one time axis."""
    from plotly.graph_objects import FigureWidget

    axis = AXIS | {"rangemode": "tozero"}
    return FigureWidget(
        data=[
            {"type": "scatter", "mode": "lines", "name": name, "yaxis": place, "x": _floats([]), "y": _floats([]),
             "line": {"color": color, "width": 2.5}}
            for name, place, color in zip(_NAMES, ("y", "y2", "y2"), PALETTE, strict=False)
        ],
        layout={
            **COLORS,
            "title": TITLE | {"text": f"<b>{_WAITING}</b>", "subtitle": {"text": "", "font": {"size": 13}}},
            "height": 460,
            "margin": {"l": 60, "r": 30, "t": 90, "b": 60},
            "showlegend": True,
            "legend": {"orientation": "h", "y": -0.16, "yanchor": "top", "x": 0},
            "xaxis": axis | {"title": {"text": TIME}, "anchor": "y2"},
            "yaxis": axis | {"title": {"text": OUTPUT}, "domain": [0.42, 1]},
            "yaxis2": axis | {"title": {"text": "Memory (GiB)"}, "domain": [0, 0.32]},
        },
    )  # fmt: skip


def _floats(values: Sequence[float | None]) -> Any:
    """Return values as float32, half the bytes of plotly's own; an unknown value is a gap."""
    import numpy as np

    return np.array([np.nan if value is None else value for value in values], dtype=np.float32)


def _rows(samples: Sequence[Sample]) -> tuple[list[float | None], list[float | None], list[float | None]]:
    gpus = [[size for size in one.gpu_memory_bytes if size is not None] for one in samples]
    return (
        [one.tokens_per_s for one in samples],
        [None if one.memory_bytes is None else one.memory_bytes / GIB for one in samples],
        [sum(sizes) / GIB if sizes else None for sizes in gpus],
    )


def _title(recorder: Recorder, progress: LoadProgress, *, running: bool) -> str:
    if running:
        if progress.point < 0:
            return "The load begins ..."
        rate = f": {format_rate(progress.tokens_per_s)}" if progress.tokens_per_s is not None else ""
        return f"{progress.level}{rate}"
    points = recorder.points
    best = best_point(points)
    if best is None:
        return "No request succeeded" if points else "Ended before a load level was over"
    return f"{describe_rate(best)} at the best of {counted(len(points), 'load level')}"
