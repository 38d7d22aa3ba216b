"""What can go wrong, each with the exit code and the remedy a person needs.

    SeatrialError                 1  anything this kit raises on purpose
    ├── UsageError                2  bad usage or bad input
    │   ├── UnknownNameError      2  no such hardware, model, engine, notebook, server ...
    │   └── ModelFileError        2  a model file or config that is not what it says it is
    ├── NetworkError              1  a host that does not answer
    ├── DoesNotFitError           3  more memory or disk needed than there is
    ├── RefusedError              3  the engine rejects this machine, checkpoint or setting
    ├── EngineError               4  the engine could not be started, or failed
    │   └── EngineMissingError    4  the engine is not installed
    └── MeasurementError          5  no request succeeded, or the self-check failed

A message says what happened and the numbers; ``remedy`` says what to do next. Both are
printed; a traceback is not.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from seatrial.printable import printable, shortened

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as shells count."""

DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
"""What the system says where the disk, or one's share of it, is full."""


class SeatrialError(Exception):
    """Base of every error raised on purpose.

    Args:
        what: What happened, with the numbers involved.
        remedy: What to do next; one sentence, may be empty.

    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        what, remedy = printable(what), printable(remedy)  # names and log lines in them come from outside
        super().__init__(f"{what}\n{remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows (IPython asks for it): the message, without a traceback."""
        return [f"{type(self).__name__}: {self}"]

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with the keyword, so that an error survives a process boundary."""
        return _rebuild, (type(self), self.what, self.remedy), self.__dict__


def _rebuild(kind: type[SeatrialError], what: str, remedy: str) -> SeatrialError:
    error = kind.__new__(kind)
    SeatrialError.__init__(error, what, remedy=remedy)
    return error


class UsageError(SeatrialError):
    """Bad usage or bad input: nothing was started or written."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that stands in no list; the nearest ones are named.

    Args:
        kind: What was looked up, as a person calls it ("hardware", "checkpoint").
        name: What was given.
        known: Every valid name.

    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = list(known)
        folded = {candidate.casefold(): candidate for candidate in names}
        close = difflib.get_close_matches(name[:200].casefold(), folded, n=3, cutoff=0.4)
        nearest = [folded[match] for match in close]
        if nearest:
            remedy = f"Nearest: {', '.join(nearest)}."
        elif names:
            remedy = f"Known: {', '.join(names[:12])}{' ...' if len(names) > 12 else '.'}"  # noqa: PLR2004
        else:
            remedy = f"There is no {kind} at all."
        super().__init__(f"Unknown {kind} {shortened(name)!r}.", remedy=remedy)
        self.kind = kind
        self.name = name
        self.nearest = nearest


class ModelFileError(UsageError):
    """A model file or config that is not what it says it is."""


class NetworkError(SeatrialError):
    """A host that does not answer, or answers with something else."""


class DoesNotFitError(SeatrialError):
    """More memory or disk is needed than there is."""

    exit_code = 3


def cannot_write(path: Path, error: OSError, remedy: str) -> SeatrialError:
    """The error for something that could not be written: a full disk does not fit, all else is bad input."""
    kind = DoesNotFitError if error.errno in DISK_FULL else UsageError
    return kind(f"{path} cannot be written: {error.strerror}.", remedy=remedy)


class RefusedError(SeatrialError):
    """The engine rejects this hardware, checkpoint, version or setting."""

    exit_code = 3


class EngineError(SeatrialError):
    """The engine could not be started, or failed.

    Attributes:
        cause: Short name of the diagnosed cause, ``"unknown"`` where none was found.
        evidence: The log lines the diagnosis rests on.
        phase: Phase of the start in which it failed, empty where it was not starting.
        next_command: After memory ran out: the command of the next smaller plan that fits, empty where there is none.

    """

    exit_code = 4

    def __init__(  # noqa: PLR0913 -- what is known of a failure
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
    """The engine, or the package that brings it, is not installed."""


class MeasurementError(SeatrialError):
    """The measurement is not valid: no request succeeded, or the self-check failed."""

    exit_code = 5
