"""Finds engines that were installed into an environment of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seatrial import paths
from seatrial.catalog.engine_facts import Program
from seatrial.errors import UsageError
from seatrial.records import from_dict, read_json

NOTE = "installed.json"
"""Written last: an environment without this file is unfinished and never used."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One engine in an environment of its own."""

    name: str  # as ``seatrial engines install`` calls it
    engine: str  # engine id
    package: str  # package that brings it
    version: str  # release of that package
    path: str  # folder of the environment
    python_version: str  # python of the environment
    tool: str  # what installed it: ``uv`` or ``pip``
    packages: int  # packages in the environment
    size_bytes: int  # bytes on the disk
    took_s: float  # seconds the installation took
    installed_at: str  # UTC, ISO 8601

    @property
    def python(self) -> Path:
        """Path of the environment's python."""
        return Path(self.path) / "bin/python"


def folder_of(name: str, version: str) -> Path:
    """Return the folder of that release of an engine, installed or not."""
    return paths.engines_dir() / f"{name}-{version}"


def read_installation(folder: Path) -> Installation | None:
    """Return what is installed in a folder, None if it holds no complete environment."""
    try:
        found = from_dict(Installation, read_json(folder / NOTE))
    except UsageError:
        return None
    complete = Path(found.path) == folder and found.python.exists()  # an environment that was moved does not start
    return found if complete else None


def installations(parent: Path | None = None) -> list[Installation]:
    """Return every complete installation in ``parent`` (default: the kit's own folder), the last installed first."""
    found = map(read_installation, paths.content_of(parent or paths.engines_dir()))
    return sorted((row for row in found if row), key=lambda row: row.installed_at, reverse=True)


def own_program(row: Program) -> str | None:
    """Return the python or program that starts an engine in an environment of its own, None if there is none."""
    for found in installations():
        if found.package == row.package:
            program = found.python if row.imports else found.python.with_name(row.starts)
            if program.exists():
                return str(program)
    return None
