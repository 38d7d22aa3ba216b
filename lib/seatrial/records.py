"""Writes and reads results as JSON, each figure with its origin.

Every type that flows through seatrial is a frozen dataclass. ``to_dict`` and ``from_dict`` turn one into plain JSON values
and back. ``record`` hands a result from a notebook to the program that runs it (papermill, nbval, the report), so that
nobody has to read printed text.
"""

from __future__ import annotations

import json
import math
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from seatrial.errors import UsageError
from seatrial.json_text import JsonError, parse_json
from seatrial.printable import escaped
from seatrial.writing import Ours, write_text

Origin = Literal["measured", "verified", "derived", "assumed"]
"""Measured on this machine; verified by a vendor who ran it; derived from exact data; assumed."""

FORMAT, FORMAT_VERSION = "seatrial run", 1
"""Name and version of a run's record, which begins with them; records before version 1 have neither."""

RECORD, REPORT = "record.json", "report.html"
"""Files in a run's folder: its results, and the page that shows them."""

RECORD_MIME = "application/vnd.seatrial.record+json"

_MAX_JSON_BYTES = 256 << 20
"""More than any record or notebook has: reading stops here for a device or an endless stream."""

MOST_RECORD_LEVELS = 100
_MOST_LEVELS = 150
"""Brackets inside one another in what is written: readers of JSON give up above some hundreds."""
_MOST_WHOLE = 1 << 1023
"""Whole numbers of more digits are infinity to a reader that counts in floating point."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence behind a decision, with its origin and source."""

    text: str
    origin: Origin
    source: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A predicted figure: ``low <= expected <= high``, all in the unit of the field that holds it."""

    low: float
    expected: float
    high: float


def to_dict(value: Any) -> Any:
    """Return ``value`` (a dataclass, or containers of them) as plain JSON values."""
    return msgspec.to_builtins(value, order="sorted", str_keys=True, enc_hook=_own_document)


def _own_document(value: Any) -> Any:
    """Return what a type that is no dataclass gives of itself, such as a server without its whole record."""
    try:
        return value.to_dict()
    except AttributeError:
        raise NotImplementedError from None  # msgspec names the type


_CONVERTING = threading.Lock()
"""msgspec crashes (a segmentation fault) if two threads ask it for the same new type at once."""


def from_dict(kind: type[T], data: Any) -> T:
    """Rebuild a dataclass from the result of ``to_dict``.

    Raises:
        UsageError: If a field is missing or has the wrong type; the message names the field.

    """
    try:
        with _CONVERTING:
            return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"This is not a {kind.__name__} record: {error}.", remedy="Write it again with the command that made it."
        ) from error


def finite(value: Any, levels: int = _MOST_LEVELS) -> Any:
    """Return a JSON value with None for what JSON has no number for: NaN, infinity, and whole numbers as large.

    Raises:
        ValueError: If it is nested more than ``levels`` deep.

    """
    if levels < 0:
        raise ValueError("is nested too deeply")
    if isinstance(value, dict):
        return {name: finite(one, levels - 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one, levels - 1) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if not isinstance(value, int) or abs(value) < _MOST_WHOLE else None


def document_text(value: Any) -> str:
    """Return ``value`` as one indented JSON document, in which a terminal obeys nothing and an eye misses nothing.

    Raises:
        ValueError: If it is nested too deeply.

    """
    text = json.dumps(finite(to_dict(value)), indent=2, ensure_ascii=False)
    return escaped(text, lambda sign: json.dumps(sign)[1:-1])


def write_json(path: Path, value: Any, mode: int = 0o644, *, ours: Ours | None = None) -> None:
    """Write ``value`` as indented JSON to ``path``, by the rule of ``writing.write_text``."""
    write_text(path, document_text(value) + "\n", mode, ours=ours)


def write_record(path: Path, document: Any, *, ours: Ours | None = None) -> None:
    """Write a run's record: a line for each of its parts, the figures first and the long series last.

    Whoever compares many runs reads each file only as far as the series.
    """
    plain = finite(to_dict(document))
    first = {"format": FORMAT, "format_version": FORMAT_VERSION}
    text = _lines(plain | first, ("results", "measurement"))
    write_text(path, escaped(text + "\n", lambda sign: json.dumps(sign)[1:-1]), ours=ours)


_FIRST = ("format", "format_version", "id", "started_at", "results", "hardware", "server", "measurement")
SERIES = ("completions", "samples")
"""Parts of a measurement that come last in a record's file."""


def _lines(value: dict[str, Any], inner: tuple[str, ...], indent: str = " ") -> str:
    """Return an object with a line for each field; of the fields named ``inner``, one in another, likewise."""

    def rank(name: str) -> tuple[bool, int, str]:
        return name in SERIES, _FIRST.index(name) if name in _FIRST else len(_FIRST), name

    rows = []
    for name in sorted(value, key=rank):
        one = value[name]
        deeper = bool(inner) and name == inner[0] and isinstance(one, dict)
        text = (
            _lines(one, inner[1:], indent + " ")
            if deeper
            else json.dumps(one, separators=(",", ":"), ensure_ascii=False)
        )
        rows.append(f"{indent}{json.dumps(name, ensure_ascii=False)}: {text}")
    return "{\n" + ",\n".join(rows) + f"\n{indent[1:]}}}" if rows else "{}"


def is_record_file(path: Path) -> bool:
    """Return True if an ordinary file begins as a record of today's form does."""
    with path.open("rb") as file:
        return file.read(len(_BEGINNING)) == _BEGINNING


_BEGINNING = f'{{\n "format": {json.dumps(FORMAT)},'.encode()
RECORDS = Ours("a record of seatrial", is_record_file)
"""What a record may be written over, if somebody named its file."""


def document_with(*fields: str) -> Ours:
    """Return the kind of JSON document that has exactly these fields."""

    def recognise(path: Path) -> bool:
        try:
            return set(read_json(path)) == set(fields)
        except (UsageError, TypeError):
            return False

    return Ours(f"a JSON document of {', '.join(fields)}", recognise)


def read_json(path: Path, most_bytes: int = _MAX_JSON_BYTES, *, mended: bool = False) -> Any:
    """Load the JSON document in ``path``.

    Raises:
        UsageError: If the file is missing, unreadable, a pipe, larger than ``most_bytes``, or no JSON document.

    """
    again = "Fetch it again, or write it again with the command that made it."
    try:
        # A named pipe that nobody writes to would be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
                raise UsageError(f"{path} is a pipe, not a file.", remedy="Check the path.")
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise UsageError(
                f"{path} holds more than {most_bytes:,} bytes, too many for a record.", remedy="Check the path."
            )
        return parse_json(content, mend_halves=mended, mend_numbers=mended)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", remedy="Check the path.") from error
    except JsonError as error:
        raise UsageError(f"{path} {error}.", remedy=again) from error


def record(name: str, value: Any) -> None:
    """Hand ``value`` to the program that runs this notebook, under ``name``.

    The notebook shows one line of text. A MIME bundle (``application/vnd.seatrial.record+json``) carries the value, and
    ``seatrial run`` collects it into ``record.json``. Outside a notebook nothing happens.

    Raises:
        UsageError: If ``value`` is nested too deeply.

    """
    try:
        kept = value.recorded() if hasattr(value, "recorded") else value
        plain = finite(to_dict(kept), MOST_RECORD_LEVELS)
    except (ValueError, RecursionError) as error:
        what = f"The result {name!r} is nested more than {MOST_RECORD_LEVELS} levels deep."
        raise UsageError(what, remedy="Record a flatter value.") from error
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if get_ipython() is not None:
        display(
            {RECORD_MIME: {"name": name, "value": plain}, "text/plain": f"recorded: {name}"},
            raw=True,
        )  # type: ignore[no-untyped-call]
