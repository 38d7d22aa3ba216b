"""What a command gives back: a document for programs and a rendering for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Answer:
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
    from rich.console import Console  # noqa: PLC0415 -- only people need it

    return Console(markup=False, highlight=False, emoji=False)


@cache
def stderr() -> Console:
    """Console for progress and messages."""
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=True, markup=False, highlight=False, emoji=False)
