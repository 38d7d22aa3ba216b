"""Shows a starting engine: in a terminal a bar with progress and the time left, elsewhere lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from seatrial.cli.answer import stderr
from seatrial.server import Event
from seatrial.server.phases import STARTING
from seatrial.server.startup.watch import FAILED
from seatrial.units import format_seconds

_REPEAT_S = 30.0  # between two lines about one phase, if no bar can be drawn


@contextmanager
def startup_progress() -> Iterator[Callable[[Event], None]]:
    """Yield a listener for ``launch`` that writes to stderr."""
    console = stderr()
    if not console.is_terminal:
        yield _Lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}", markup=False)
    left = TextColumn("{task.fields[left]}", markup=False)
    with Progress(text, BarColumn(bar_width=24), TimeElapsedColumn(), left, console=console, transient=True) as bar:
        yield _Bar(bar)


class _Bar:
    """One bar for the current phase; each phase leaves its line above."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar
        self.task = bar.add_task("", total=None, left="")

    def __call__(self, event: Event) -> None:
        if event.phase == FAILED:  # the error reports it
            return
        if event.begins:
            self.bar.console.print(_line(event), soft_wrap=True)
            self.bar.reset(self.task, total=None)
        counted = f" {event.done}/{event.total}" if event.done is not None else ""
        step = f", {event.step}" if event.step else ""
        self.bar.update(
            self.task,
            description=f"{event.phase}{step}{counted}{f', {event.detail}' if event.detail else ''}",
            total=event.total,
            completed=event.done or 0,
            left=event.left.to_text() if event.left else "",
        )


class _Lines:
    """A line for each phase, repeated while the phase lasts."""

    def __init__(self) -> None:
        self.written_s = 0.0

    def __call__(self, event: Event) -> None:
        if event.phase == FAILED:  # the error reports it
            return
        if event.begins or event.elapsed_s - self.written_s >= _REPEAT_S:
            self.written_s = event.elapsed_s
            stderr().print(_line(event), soft_wrap=True)


def _line(event: Event) -> str:
    # Why the time left is unknown is shown once.
    known = event.left and (event.left.seconds or event.phase == STARTING)
    left = f"; {event.left.to_text()}" if event.left and known else ""
    return f"{format_seconds(event.elapsed_s):>8}  {event.text}{left}"
