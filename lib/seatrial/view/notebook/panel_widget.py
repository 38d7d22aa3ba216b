"""The live side of the load panel: a small widget on canvases, fed with new rows only.

Its state in the notebook is its own code, a few kilobytes: rows travel as messages, which nobody saves.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context
from dataclasses import asdict
from importlib.resources import files
from itertools import chain
from typing import Any, TypeVar

from seatrial.view.chart.data import PALETTE
from seatrial.view.chart.svg_shapes import DARK_VARIABLES
from seatrial.view.plots.run_rows import COLUMNS, STRIPS, Row, RunRows

T = TypeVar("T")

_PACKAGE = "seatrial.view.notebook"
_REPEAT = 8  # drawings between whole pictures while no page has said that it listens


def theme_css() -> str:
    """Return the colours of the panel and of its picture: JupyterLab's own, else those of the system's theme."""
    light = "".join(f"--series-{index}:{value};" for index, value in enumerate(PALETTE))
    theme = files(_PACKAGE).joinpath("panel_theme.css").read_text(encoding="utf-8")
    return theme.replace("@LIGHT@", light).replace("@DARK@", DARK_VARIABLES)


class PanelWidget:
    """What a page shows of a panel: the rows of one run, the earlier ones, the controls.

    Args:
        on_message: Called with what a page asks for: ``kind`` and its values.
        settings: Values of the controls: ``streams``, ``most_streams``, ``prompt_tokens``, ``answer_tokens``.
    """

    def __init__(self, on_message: Callable[[dict[str, Any]], None], settings: dict[str, int]) -> None:
        import anywidget

        read = files(_PACKAGE).joinpath
        css = theme_css() + read("panel.css").read_text(encoding="utf-8")
        parts = {"_esm": read("panel.js").read_text(encoding="utf-8"), "_css": css}
        self._widget = _unasked(type("LoadPanelWidget", (anywidget.AnyWidget,), parts))
        self._settings = settings
        self._on_message = on_message
        self._heard = False
        self._sent = [0, 0, -1]  # rows, markers, and how often rows were thinned
        self._unheard = 0
        self._widget.on_msg(self._receive)

    def bundle(self) -> dict[str, Any]:
        """Return what a front end that shows widgets needs."""
        made = self._widget._repr_mimebundle_()
        return dict(made[0] if isinstance(made, tuple) else made or {})

    def show(self, run: RunRows, earlier: Sequence[RunRows], status: dict[str, Any], *, whole: bool = False) -> None:
        """Draw what is new of a run, or all of it for a page that has nothing yet."""
        self._unheard += not self._heard
        if whole or self._sent[2] != run.thinned or (not self._heard and self._unheard % _REPEAT == 0):
            self._show_all(run, earlier, status)
            return
        first, marked, _ = self._sent
        rows, markers = run.rows[first:], run.markers[marked:]
        self._sent = [first + len(rows), marked + len(markers), run.thinned]
        message = {"kind": "rows", "from": first, "markers": list(map(asdict, markers)), "status": status}
        _unasked(self._widget.send, message, [packed(rows)])

    def _show_all(self, run: RunRows, earlier: Sequence[RunRows], status: dict[str, Any]) -> None:
        rows, markers = list(run.rows), list(run.markers)
        self._sent = [len(rows), len(markers), run.thinned]
        message = {
            "kind": "full", "columns": COLUMNS, "strips": list(map(asdict, STRIPS)), "markers": list(map(asdict, markers)),
            "status": status, **self._settings,
        }  # fmt: skip
        means = [packed([(row[0], row[2]) for row in one.rows]) for one in earlier]
        _unasked(self._widget.send, message, [packed(rows), *means])

    def _receive(self, _: object, message: object, __: object) -> None:
        if isinstance(message, dict) and isinstance(message.get("kind"), str):
            self._heard = True
            self._on_message(message)


def _unasked(act: Callable[..., T], *values: object) -> T:
    """Send messages of a widget as replies to no request.

    ipykernel hands what a page says next to the shell whose request the widget's last message replied to (``comm.py``,
    ``_reply_subshell_for``). Sent as replies to a cell, they would leave Stop and the slider waiting until that cell ends.
    """
    from IPython.core.getipython import get_ipython

    def run() -> T:
        parent = getattr(getattr(get_ipython(), "kernel", None), "_shell_parent", None)
        if isinstance(parent, ContextVar):
            parent.set({})
        return act(*values)

    return copy_context().run(run)


def packed(rows: Sequence[Row]) -> bytes:
    """Return rows as float32, one after the other."""
    return array("f", chain.from_iterable(rows)).tobytes()
