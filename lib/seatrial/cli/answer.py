"""The result of a command: a document for programs and a rendering for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import IO, TYPE_CHECKING, Any, cast

from seatrial.cli.streams import BehindTheDoor
from seatrial.environment import variable
from seatrial.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_OF_FILES = 120  # columns if the output goes to a file or another program
_LEAST_WIDTH = 20  # a COLUMNS of 0, or of less than this, is no width that anybody reads


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command."""

    document: Any  # plain JSON values, printed with ``--json``
    show: Callable[[], None]  # prints the same for people
    exit_code: int = 0  # 0 done, 3 does not fit or refused, 4 a log shows a failure, 5 not valid
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
    from rich.segment import Segment
    from rich.text import Text

    class PlainConsole(Console):
        """A console for text from outside: only its own styles and cursor movements reach the terminal."""

        def print(self, *objects: Any, **how: Any) -> None:
            """Print; of a ``Text`` only the letters: rich reads styles from what others print beside a live display."""
            super().print(*(one.plain if isinstance(one, Text) else one for one in objects), **how)

        def render_str(self, text: str, **how: Any) -> Text:
            """Escape a string before its lines are broken."""
            return super().render_str(printable(text), **how)

        def render(self, *what: Any, **how: Any) -> Iterator[Segment]:
            """Escape what a table or a progress bar brings along."""
            for segment in super().render(*what, **how):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

        def on_broken_pipe(self) -> None:
            """Raise, so that the command ends quietly when its reader (head, less) is gone."""
            raise BrokenPipeError

    behind = cast("IO[str]", BehindTheDoor("stderr" if stderr else "stdout"))
    console = PlainConsole(file=behind, markup=False, highlight=False, emoji=False)
    if console.width < _LEAST_WIDTH or not (console.is_terminal or variable("COLUMNS")):
        console.width = _WIDTH_OF_FILES
    return console
