"""Engines that were installed into an environment of their own: where they lie, and which of them are whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seatrial import paths
from seatrial.catalog.engine_facts import Program
from seatrial.errors import UsageError
from seatrial.records import from_dict, read_json

NOTE = "installed.json"
"""Written last: an environment without it was never finished, and is not used."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One engine in an environment of its own.

    Attributes:
        name: As ``seatrial engines install`` calls it.
        engine: Engine id.
        package: Package that brings it.
        version: Release of that package.
        path: Folder of the environment.
        python_version: Python it lives in.
        tool: What installed it: ``uv`` or ``pip``.
        packages: Packages in the environment.
        size_bytes: What it takes on the disk.
        took_s: Seconds the installation took.
        installed_at: UTC, ISO 8601.

    """

    name: str
    engine: str
    package: str
    version: str
    path: str
    python_version: str
    tool: str
    packages: int
    size_bytes: int
    took_s: float
    installed_at: str

    @property
    def python(self) -> Path:
        """The python of the environment."""
        return Path(self.path) / "bin/python"


def folder_of(name: str, version: str) -> Path:
    """Where that release of an engine lies, or would."""
    return paths.engines_dir().absolute() / f"{name}-{version}"


def read_installation(folder: Path) -> Installation | None:
    """What is installed in a folder; None where nothing whole is."""
    try:
        found = from_dict(Installation, read_json(folder / NOTE))
    except UsageError:
        return None
    whole = Path(found.path) == folder and found.python.exists()  # an environment that was moved does not start
    return found if whole else None


def installations(parent: Path | None = None) -> list[Installation]:
    """Every engine that is whole, the last installed first; in ``parent``, or where the kit keeps them."""
    found = [
        row
        for folder in _folders(parent or paths.engines_dir().absolute())
        if (row := read_installation(folder)) is not None
    ]
    return sorted(found, key=lambda row: row.installed_at, reverse=True)


def own_program(row: Program) -> str | None:
    """The python or program that starts an engine in an environment of its own, None where there is none."""
    for found in installations():
        if found.package == row.package:
            program = found.python if row.imports else found.python.with_name(row.starts)
            if program.exists():
                return str(program)
    return None


def _folders(parent: Path) -> Iterator[Path]:
    try:
        yield from sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return
