"""A start in a notebook: phase, bar, time left and the end of the engine's log, while the cell still runs.

The panel is a widget: its updates travel on a channel of their own, so it moves while the launch blocks the kernel, and
from whichever thread launches. Without a front end that shows widgets, one table of the phases follows at the end.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from seatrial.server import Event
from seatrial.units import format_seconds
from seatrial.view.notebook.live import is_headless
from seatrial.view.tables.startup import OVER, startup_note, startup_phase, startup_title, table_startup
from seatrial.view.template import load_template, trusted

_PACKAGE = "seatrial.view.notebook"


def startup_panel() -> StartupPanel:
    """Return a panel for ``launch``: ``launch(plan, on_event=startup_panel())``."""
    return StartupPanel()


class StartupPanel:
    """The latest event of a start, drawn anew with each one.

    Attributes:
        event: Latest event; None before the first.

    """

    def __init__(self) -> None:
        self.event: Event | None = None
        self._widget: Any = None
        self._display: Any = None

    def __call__(self, event: Event) -> None:
        """Draw an event of ``launch``."""
        self.event = event
        if is_headless():
            if event.phase in OVER:
                from IPython.display import display

                display(table_startup(event))  # type: ignore[no-untyped-call]
            return
        if self._widget is None:
            self._build(event)
        self._widget.value = startup_html(event)
        if event.phase in OVER:
            # A saved notebook shows this: no kernel draws the widget any more.
            self._display.update(self._bundle(event), raw=True)

    def _build(self, event: Event) -> None:
        import ipywidgets
        from IPython.display import display

        self._widget = ipywidgets.HTML()
        self._widget.add_class("seatrial-startup")
        self._display = display(self._bundle(event), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def _bundle(self, event: Event) -> dict[str, Any]:
        table = table_startup(event)
        return {**self._widget._repr_mimebundle_(), "text/html": table.to_html(), "text/plain": table.to_text()}


def startup_html(event: Event) -> str:
    """Return the panel as HTML, with every text from outside escaped."""
    over = event.phase in OVER
    total_s = sum(time.seconds for time in event.passed) or 1.0
    rows: list[tuple[str, str, str | None, str]] = [
        ("done", time.name, _percent(time.seconds / total_s if over else 1.0), format_seconds(time.seconds))
        for time in event.passed
    ]
    if not over:
        share = event.done / event.total if event.done is not None and event.total else None
        counted = ("", None) if share is None else (f"{share:.0%}", _percent(share))
        rows.append(("now", startup_phase(event), counted[1], counted[0]))
    style = files(_PACKAGE).joinpath("startup.css").read_text(encoding="utf-8")
    return load_template(_PACKAGE, "startup.html.j2").render(
        style=trusted(style),
        title=startup_title(event),
        note=startup_note(event),
        over=over,
        rows=rows,
        log=event.log,
    )


def _percent(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0) * 100:.1f}"
