"""What a command gives back: a document for programs and a rendering for people."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_OF_FILES = 120
"""Columns where the output goes to a file or another program."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command.

    Attributes:
        document: Plain JSON values, printed with ``--json``.
        show: Prints the same for people.
        exit_code: By the contract: 0 done, 3 does not fit or refused, 5 not valid.
        then: What goes on once it is printed (a server in the foreground); gives the exit code.

    """

    document: Any
    show: Callable[[], None]
    exit_code: int = 0
    then: Callable[[], int] | None = None


@cache
def stdout() -> Console:
    """Console for results. Markup is off: text from outside is never interpreted."""
    return _console(stderr=False)


@cache
def stderr() -> Console:
    """Console for progress and messages."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            """Let the command line end quietly when the reader (head, less) is gone."""
            raise BrokenPipeError

    console = PlainConsole(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDTH_OF_FILES
    return console
