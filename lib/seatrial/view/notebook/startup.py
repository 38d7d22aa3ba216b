"""An engine on its way up, in a notebook: phase, bar, time left and the end of its log, while the cell still runs.

The panel is a widget: its updates travel on a channel of their own, so it moves while the launch holds the kernel, and
from whichever thread launches. Where no front end shows widgets, one table of the phases follows at the end.
"""

from __future__ import annotations

import html
from importlib.resources import files
from typing import Any

from seatrial.server import Event
from seatrial.units import format_seconds
from seatrial.view.notebook.live import is_headless
from seatrial.view.tables.startup import OVER, startup_note, startup_phase, startup_title, table_startup
from seatrial.view.tables.table import Table
from seatrial.view.untrusted import plain_text

_LONGEST_LINE = 200


def startup_panel() -> StartupPanel:
    """A panel to give to ``launch`` as ``on_event``: ``launch(plan, on_event=startup_panel())``."""
    return StartupPanel()


class StartupPanel:
    """What was last heard of one start, drawn anew with each event.

    Attributes:
        event: The last one, None before the first.

    """

    def __init__(self) -> None:
        self.event: Event | None = None
        self._widget: Any = None
        self._display: Any = None

    def __call__(self, event: Event) -> None:
        """Take what ``launch`` has to tell."""
        self.event = event
        if is_headless():
            if event.phase in OVER:
                _show(table_startup(event))
            return
        if self._widget is None:
            self._build()
        self._widget.value = startup_html(event)
        if event.phase in OVER:
            # What a saved notebook shows, where no kernel draws the widget any more.
            self._display.update(self._bundle(event), raw=True)

    def _build(self) -> None:
        import ipywidgets
        from IPython.display import display

        assert self.event is not None  # noqa: S101 -- set by the caller
        self._widget = ipywidgets.HTML()
        self._widget.add_class("seatrial-startup")
        self._display = display(self._bundle(self.event), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def _bundle(self, event: Event) -> dict[str, Any]:
        table = table_startup(event)
        return {**self._widget._repr_mimebundle_(), "text/html": table.to_html(), "text/plain": table.to_text()}


def startup_html(event: Event) -> str:
    """The panel as HTML; every text from outside is escaped."""
    over = event.phase in OVER
    whole = sum(time.seconds for time in event.passed) or 1.0
    rows = [
        _row("done", time.name, time.seconds / whole if over else 1.0, format_seconds(time.seconds))
        for time in event.passed
    ]
    if not over:
        share = event.done / event.total if event.done is not None and event.total else None
        rows.append(_row("now", startup_phase(event), share, "" if share is None else f"{share:.0%}"))
    lines = "\n".join(_text(line) for line in event.log)
    log = f'<pre aria-label="the last lines of its log">{lines}</pre>' if lines else ""
    note = f"<p>{_text(startup_note(event))}</p>" if startup_note(event) else ""
    head = f"<p><b>{_text(startup_title(event))}</b></p>"
    shares = "<tr><th></th><th>share of the time</th><th></th></tr>" if over else ""
    return f'<style>{_css()}</style><div class="st-start">{head}{note}<table>{shares}{"".join(rows)}</table>{log}</div>'


def _row(kind: str, name: str, share: float | None, right: str) -> str:
    """A phase: what it is, a bar (how much of it is done, in the end its share of the time), a figure."""
    width = "" if share is None else f' style="width:{min(max(share, 0.0), 1.0) * 100:.1f}%"'
    bar = f'<div class="b {kind}"><i{width}></i></div>' if share is not None else f'<div class="b {kind} open"></div>'
    return f'<tr class="{kind}"><td>{_text(name)}</td><td>{bar}</td><td class="n">{_text(right)}</td></tr>'


def _text(text: str) -> str:
    return html.escape(plain_text(text, _LONGEST_LINE))


def _css() -> str:
    return files("seatrial.view.notebook").joinpath("startup.css").read_text(encoding="utf-8")


def _show(table: Table) -> None:
    from IPython.display import display

    display(table)  # type: ignore[no-untyped-call]
