"""Errors seatrial raises, each with an exit code and a remedy.

    SeatrialError                 1  any error seatrial raises on purpose
    ├── UsageError                2  bad usage or bad input
    │   ├── UnknownNameError      2  no such hardware, model, engine, notebook, server ...
    │   └── ModelFileError        2  a malformed model file or config
    ├── NetworkError              1  a host does not answer
    ├── DoesNotFitError           3  more memory or disk is needed than there is
    ├── RefusedError              3  the engine rejects this machine, checkpoint or setting
    ├── EngineError               4  the engine could not be started, or failed
    │   └── EngineMissingError    4  the engine is not installed
    └── MeasurementError          5  no request succeeded, or the self-check failed

The message says what happened, with the numbers. ``remedy`` says what to do next. Commands print both, without a
traceback.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from seatrial.printable import printable, shortened

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as shells count."""

_MOST_NAMES = 12
_MOST_TEXT = 8000  # characters of a message: a hundred lines of a terminal
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
"""Error numbers for a full disk or an exhausted quota."""


class SeatrialError(Exception):
    """Base of every error raised on purpose.

    Args:
        what: What happened, with the numbers.
        remedy: Next step for the person; one sentence, may be empty.

    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        # They may hold names and log lines from outside.
        what, remedy = (shortened(printable(text[: _MOST_TEXT + 1]), _MOST_TEXT) for text in (what, remedy))
        super().__init__(f"{what}\n{remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in a notebook: the message, without a traceback."""
        return [f"{type(self).__name__}: {self}"]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the keyword, so that an error survives a process boundary."""
        return _rebuild, (type(self), self.what, self.remedy), self.__dict__


def _rebuild(kind: type[SeatrialError], what: str, remedy: str) -> SeatrialError:
    error = kind.__new__(kind)
    SeatrialError.__init__(error, what, remedy=remedy)
    return error


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or the notebook's stop button: what a person asked for, and no error.

    Args:
        what: What became of the work, as a clause.

    """

    def __init__(self, what: str) -> None:
        super().__init__(f"Stopped by you: {what}.")

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in a notebook: one line, without a traceback."""
        return [str(self)]


@contextlib.contextmanager
def stopped_by_you(what: str) -> Iterator[None]:
    """Turn an interrupt into ``Interrupted`` with this text; inner ones keep theirs."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(what) from error


class UsageError(SeatrialError):
    """Bad usage or bad input: nothing was started or written."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is in no list; the remedy offers the nearest ones.

    Args:
        kind: Kind of thing, as a person calls it ("hardware", "checkpoint").
        name: The unknown name.
        known: Every valid name.
        hint: What the name means elsewhere; the remedy begins with it.

    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        names = list(known)
        folded = {candidate.casefold(): candidate for candidate in names}
        close = difflib.get_close_matches(name[:200].casefold(), folded, n=3, cutoff=0.4)
        nearest = [folded[match] for match in close]
        if nearest:
            remedy = f"Nearest: {', '.join(map(shortened, nearest))}."
        elif names:
            shown = ", ".join(map(shortened, names[:_MOST_NAMES]))
            remedy = f"Known: {shown}{' ...' if len(names) > _MOST_NAMES else '.'}"
        else:
            remedy = f"There is no {kind} at all."
        super().__init__(f"Unknown {kind} {shortened(name)!r}.", remedy=f"{hint} {remedy}".strip())
        self.kind = kind
        self.name = name
        self.nearest = nearest


class ModelFileError(UsageError):
    """A malformed model file or config."""


class NetworkError(SeatrialError):
    """A host that does not answer, or gives another answer than expected."""


class DoesNotFitError(SeatrialError):
    """More memory or disk is needed than there is."""

    exit_code = 3


def cannot_write(path: Path, error: OSError, remedy: str) -> SeatrialError:
    """Return the error for a failed write: ``DoesNotFitError`` for a full disk, else ``UsageError``."""
    kind = DoesNotFitError if error.errno in DISK_FULL else UsageError
    return kind(f"{path} cannot be written: {error.strerror}.", remedy=remedy)


class RefusedError(SeatrialError):
    """The engine rejects this hardware, checkpoint, version or setting."""

    exit_code = 3


class EngineError(SeatrialError):
    """The engine could not be started, or failed.

    Attributes:
        cause: Short name of the diagnosed cause, ``"unknown"`` if none was found.
        evidence: Log lines that show the cause.
        phase: Phase of the start in which it failed, empty if it was not starting.
        next_command: After memory ran out, the command of the next smaller plan that fits; empty if there is none.

    """

    exit_code = 4

    def __init__(  # noqa: PLR0913 -- all that may be known of a failure
        self,
        what: str,
        *,
        remedy: str = "",
        cause: str = "unknown",
        evidence: tuple[str, ...] = (),
        phase: str = "",
        next_command: str = "",
    ) -> None:
        super().__init__(what, remedy=remedy)
        self.cause = cause
        self.evidence = evidence
        self.phase = phase
        self.next_command = next_command


class EngineMissingError(EngineError):
    """The engine, or the package that contains it, is not installed."""


class MeasurementError(SeatrialError):
    """The measurement is not valid: no request succeeded, or the self-check failed."""

    exit_code = 5
