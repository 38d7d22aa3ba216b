"""Finds the records a person names, and reads of each the figures only: ten thousand in a second or two."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import UsageError
from seatrial.json_text import JsonDecoder, JsonError
from seatrial.measure.summary import best_point
from seatrial.measure.types import Point
from seatrial.paths import typed_path
from seatrial.records import FORMAT, FORMAT_VERSION, RECORD, SERIES, is_record_file
from seatrial.view.report.run_record import RunRecord, read_record

_PART_BYTES, _MOST_BYTES = 24 << 10, 64 << 20
_SERIES = re.compile(b',\n   "(?:%s)": ' % "|".join(SERIES).encode())
_LONGEST_MARK = 32


@dataclass(frozen=True, slots=True)
class _Machine:
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Server:
    stand_in: bool = False
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class _Measurement:
    model: str
    points: tuple[Point, ...]
    engine: str | None = None
    stand_in: bool = False
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class _Results:
    hardware: _Machine | None = None
    server: _Server | None = None
    measurement: _Measurement | None = None


@dataclass(frozen=True, slots=True)
class _Document:
    """Parts of a record that a comparison of many needs; the reader skips all others."""

    id: str
    results: _Results
    format: str
    format_version: int
    started_at: str | None = None


_decode: JsonDecoder[_Document] = JsonDecoder(_Document)


@dataclass(frozen=True, slots=True)
class Head:
    """Figures of one run, without its series, plans and machine."""

    id: str
    file: Path
    started_at: str
    machine: str  # empty if it was not recorded
    model: str  # empty if nothing was measured
    engine: str
    kind: str  # ``simulated`` or ``stand-in``; empty for DeepSeek V4 itself
    points: tuple[Point, ...]
    best: Point | None  # fastest valid load level, else the fastest; None if nothing was measured


def find_records(names: Iterable[Path | str]) -> list[Path]:
    """Return the records that are meant by files, folders of runs, and patterns, each once.

    Raises:
        UsageError: If nothing was named, or one of the names means no record.

    """
    found: dict[Path, None] = {}
    for name in names:
        found |= dict.fromkeys(_meant_by(typed_path(name, "A run")))
    if not found:
        raise UsageError("No run was named.", remedy="Name folders of runs, such as runs/*.")
    return list(found)


def _meant_by(path: Path) -> Sequence[Path]:
    try:
        if path.is_dir() and not (path / RECORD).exists():
            inside = sorted(path.glob(f"*/{RECORD}"), key=str)
            inside += [file for file in sorted(path.glob("*.json")) if is_record_file(file)]
            return inside or [path]
        if not path.exists() and any(map(_is_pattern, path.parts)):
            at = next(at for at, part in enumerate(path.parts) if _is_pattern(part))
            matches = sorted(Path(*path.parts[:at]).glob("/".join(path.parts[at:])))
            return [one for match in matches for one in _meant_by(match)] or [path]
    except (OSError, ValueError):  # a name that no file can have, a folder nobody may read: reading it says so
        pass
    return [path / RECORD if (path / RECORD).is_file() else path]


def _is_pattern(part: str) -> bool:
    return any(sign in part for sign in "*?[")


def read_head(path: Path) -> Head:
    """Read the figures of a run.

    Raises:
        UsageError: If there is no such run, or its record cannot be read.

    """
    try:
        document = _decode(_as_far_as_series(path))
    except (OSError, JsonError, ValueError):
        return head_of(read_record(path))  # slower; it reads other forms and what is left of a damaged one
    if (document.format, document.format_version) != (FORMAT, FORMAT_VERSION):
        return head_of(read_record(path))
    measured, server = document.results.measurement, document.results.server or _Server()
    simulated = server.simulated or bool(measured and measured.simulated)
    stand_in = server.stand_in or bool(measured and measured.stand_in)
    return Head(
        id=document.id,
        file=path,
        started_at=document.started_at or "",
        machine=document.results.hardware.name if document.results.hardware else "",
        model=measured.model if measured else "",
        engine=(measured.engine or "") if measured else "",
        kind="simulated" if simulated else "stand-in" if stand_in else "",
        points=measured.points if measured else (),
        best=best_point(measured.points) if measured else None,
    )


def _as_far_as_series(path: Path) -> bytes:
    """Return a record without the series at its end; the whole of a file in which they are elsewhere."""
    with path.open("rb") as file:
        content = b""
        while len(content) < _MOST_BYTES and (more := file.read(_PART_BYTES)):
            content += more
            if series := _SERIES.search(content, len(content) - len(more) - _LONGEST_MARK):
                return content[: series.start()] + b"}}}"
        return content


def head_of(run: RunRecord) -> Head:
    """Return the figures of a run that was read as a whole."""
    result = run.measurement
    return Head(
        id=run.id,
        file=run.file,
        started_at=str(run.document.get("started_at") or ""),
        machine=run.hardware.name if run.hardware else "",
        model=result.model if result else "",
        engine=(result.engine or "") if result else "",
        kind=run.kind,
        points=result.points if result else (),
        best=run.best,
    )


def names_of(runs: Sequence[Head] | Sequence[RunRecord]) -> list[str]:
    """Return a name for each run; a number tells those with the same name apart."""
    total = Counter(run.id for run in runs)
    seen: Counter[str] = Counter()
    names = []
    for run in runs:
        seen[run.id] += 1
        names.append(run.id if total[run.id] == 1 else f"{run.id} ({seen[run.id]})")
    return names
