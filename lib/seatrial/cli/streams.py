"""The command line's streams: outside text goes through one door, whoever prints it.

Within ``escaped_streams`` a print, a warning, a log line or a traceback can write no character that a terminal obeys.
The consoles of ``cli/answer.py`` escape the text and then write past the door, because their own colours are obeyed.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from seatrial.printable import printable


class _Door:
    """A stream that escapes all it is given."""

    def __init__(self, stream: TextIO) -> None:
        self.behind = stream

    def write(self, text: str) -> int:
        self.behind.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)


class BehindTheDoor:
    """The present standard stream of a name without its door: for a console that has escaped its text."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        stream = getattr(sys, self._name)
        # A live display of rich puts a stream of its own before ours.
        while (inner := getattr(stream, "behind", None) or getattr(stream, "rich_proxied_file", None)) is not None:
            stream = inner
        return getattr(stream, name)


@contextmanager
def escaped_streams() -> Iterator[None]:
    """Put the door before standard output and standard error, for everything that prints to them."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", _Door(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def prepare_streams() -> None:
    """Make the standard streams safe to write to.

    A stream that the calling process closed is replaced: the next file opened would take its number.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 -- for the whole run
    for stream in (sys.stdout, sys.stderr):
        # A file name may have a character that the terminal's encoding lacks.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in {"strict", "surrogateescape"}:
            stream.reconfigure(errors="backslashreplace")
