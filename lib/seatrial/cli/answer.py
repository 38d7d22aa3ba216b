"""The result of a command: a document for programs and a rendering for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from seatrial.environment import variable

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_OF_FILES = 120  # columns if the output goes to a file or another program


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command."""

    document: Any  # plain JSON values, printed with ``--json``
    show: Callable[[], None]  # prints the same for people
    exit_code: int = 0  # 0 done, 3 does not fit or refused, 5 not valid
    then: Callable[[], int] | None = None  # runs after the result is printed, returns the exit code


@cache
def stdout() -> Console:
    """Return the console for results. Markup is off: text from outside is never interpreted."""
    return _console(stderr=False)


@cache
def stderr() -> Console:
    """Return the console for progress and messages."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            """Raise, so that the command ends quietly when its reader (head, less) is gone."""
            raise BrokenPipeError

    console = PlainConsole(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal and variable("COLUMNS") is None:
        console.width = _WIDTH_OF_FILES
    return console
