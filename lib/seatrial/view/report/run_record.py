"""Reads a run's record; of a damaged or partial one, everything that can be read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from seatrial.errors import UsageError
from seatrial.hardware.types import Hardware
from seatrial.measure.record import read_document, read_measurement
from seatrial.measure.summary import best_point
from seatrial.measure.types import Measurement, Point
from seatrial.plan.types import Plan
from seatrial.records import RECORD, from_dict
from seatrial.server.state import PhaseTime
from seatrial.speed.types import Prediction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Contents of a run's ``record.json``, as far as they could be read."""

    id: str
    file: Path
    document: dict[str, Any]
    hardware: Hardware | None = None
    plans: tuple[Plan, ...] = ()  # for each model, on this machine
    examples: tuple[Plan, ...] = ()  # the same for a machine that was named as an example
    plan: Plan | None = None  # of what was launched
    command: dict[str, Any] = field(default_factory=dict)  # program, arguments and environment, without secrets
    server: dict[str, Any] = field(default_factory=dict)  # how it started and stopped
    measurement: Measurement | None = None
    predictions: dict[int, Prediction] = field(default_factory=dict)  # expected speed by concurrency
    problems: tuple[str, ...] = ()  # a sentence for each result that could not be read

    @property
    def folder(self) -> Path:
        """Folder of the run, with its logs."""
        return self.file.parent

    @property
    def notebooks(self) -> list[dict[str, Any]]:
        """Entries of the notebooks that ran."""
        rows = self.document.get("notebooks")
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Notebooks that did not complete."""
        return [row for row in self.notebooks if row.get("status") != "completed"]

    @property
    def left_out(self) -> list[str]:
        """Outputs of notebooks that the run did not keep, a sentence for each."""
        found = [(row.get("notebook"), row.get("left_out")) for row in self.notebooks]
        return [f"{name}, {what}." for name, whats in found if isinstance(whats, list) for what in whats]

    @property
    def phases(self) -> tuple[PhaseTime, ...]:
        """Phases of the server's start and their durations; rows that make no sense are left out."""
        rows = self.server.get("phases")
        found = []
        for row in rows if isinstance(rows, list) else ():
            with contextlib.suppress(UsageError):
                found.append(from_dict(PhaseTime, row))
        return tuple(found)

    @property
    def logs(self) -> list[str]:
        """Log files of the server, relative to the run's folder."""
        return [name for name in self.all_logs if name.endswith(f"-{self.server.get('name')}.log")]

    @property
    def all_logs(self) -> list[str]:
        """Log files of every server that a notebook of the run launched, relative to the run's folder."""
        rows = [row.get("logs") for row in self.notebooks]
        return [name for row in rows if isinstance(row, list) for name in row if isinstance(name, str)]

    @property
    def stand_in(self) -> bool:
        """True if a stand-in answered."""
        return bool(self.server.get("stand_in")) or (self.measurement is not None and self.measurement.stand_in)

    @property
    def simulated(self) -> bool:
        """True if no real engine answered."""
        return bool(self.server.get("simulated")) or (self.measurement is not None and self.measurement.simulated)

    @property
    def kind(self) -> str:
        """``simulated`` or ``stand-in``; empty for DeepSeek V4 itself."""
        return "simulated" if self.simulated else "stand-in" if self.stand_in else ""

    @property
    def best(self) -> Point | None:
        """Fastest valid load level, else the fastest; None if nothing was measured."""
        return best_point(self.measurement.points) if self.measurement else None


def read_record(path: Path) -> RunRecord:
    """Read a run's folder, or its ``record.json``.

    Raises:
        UsageError: If there is no such run, or its record cannot be read.

    """
    file = path if path.is_file() or (path.name == RECORD and not path.is_dir()) else path / RECORD
    if not file.exists():
        known = [str(found.parent) for found in sorted(path.parent.glob(f"*/{RECORD}"))[-3:]]
        hint = f" Runs beside it: {', '.join(known)}." if known else ""
        raise UsageError(f"There is no run in {path}: {file} does not exist.", remedy=f"Name a folder of runs/.{hint}")
    document = read_document(file)
    reader = _Reader(document["results"])
    return RunRecord(
        id=str(document.get("id") or (file.parent.name if file.name == RECORD else file.stem)),
        file=file,
        document=document,
        hardware=reader.one("hardware", Hardware),
        # A run of notebook 00 alone knows what each model needs as well.
        plans=tuple(reader.several("plans", Plan) or reader.several("verdict", Plan)),
        examples=tuple(reader.several("example_plans", Plan)),
        plan=reader.one("plan", Plan),
        command=reader.plain("command"),
        server=reader.plain("server"),
        measurement=reader.read("measurement", read_measurement),
        predictions=reader.predictions(),
        problems=tuple(reader.problems),
    )


class _Reader:
    """Reader of single results that collects a sentence for each one it cannot read."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.results = results
        self.problems: list[str] = []

    def one(self, name: str, kind: type[T]) -> T | None:
        return self.read(name, partial(from_dict, kind))

    def read(self, name: str, how: Callable[[Any], T]) -> T | None:
        value = self.results.get(name)
        return None if value is None else self._convert(name, how, value)

    def several(self, name: str, kind: type[T]) -> list[T]:
        value = self.results.get(name)
        rows: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [made for row in rows if (made := self._convert(name, partial(from_dict, kind), row)) is not None]

    def plain(self, name: str) -> dict[str, Any]:
        value = self.results.get(name)
        if value is None or isinstance(value, dict):
            return value or {}
        self.problems.append(f"The result {name!r} could not be read.")
        return {}

    def predictions(self) -> dict[int, Prediction]:
        """Return the predictions by concurrency."""
        value = self.plain("prediction")
        rows = {
            key: self._convert("prediction", partial(from_dict, Prediction), row)
            for key, row in value.items()
            if key.isdecimal()
        }
        return {int(key): made for key, made in rows.items() if made is not None}

    def _convert(self, name: str, how: Callable[[Any], T], value: Any) -> T | None:
        try:
            return how(value)
        except UsageError as error:
            self.problems.append(f"The result {name!r} could not be read. {error.what}")
            return None
