"""Finds the engine a command starts, and says before anything is launched what is missing or too old."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from seatrial.engines.types import Command
from seatrial.errors import EngineMissingError, RefusedError, UnknownNameError
from seatrial.records import from_dict

RUNNERS = ("xllamacpp", "llama-server", "llama_cpp.server")
"""Ways to run llama.cpp, the embedded one first."""
PROBE_S = 30.0
# Says which of the modules named after the package are missing, then the package's version.
_ASK_PYTHON = (
    "import importlib.metadata as m, importlib.util as u, sys;"
    "print(','.join(n for n in sys.argv[2:] if not u.find_spec(n)));"
    "print(m.version(sys.argv[1]))"
)


@dataclass(frozen=True, slots=True)
class Program:
    """One row of programs.toml.

    Attributes:
        starts: Program, or module after ``python -m``.
        remedy: How to get it.
        package: Name under which it is installed.
        source: Where this is known from.
        checked: When.
        imports: Module that must be importable, None for programs on PATH.
        also: Modules an optional part of the package needs.
        runner: Way to run llama.cpp, None for other engines.
        minimum: Oldest release accepted.
        setting: Environment variable with the path of a python (modules) or program installed elsewhere.
        version: Arguments that make a program print its version.
        version_pattern: Where in that output it stands.

    """

    starts: str
    remedy: str
    package: str
    source: str
    checked: str
    imports: str | None = None
    also: tuple[str, ...] = ()
    runner: str | None = None
    minimum: str | None = None
    setting: str | None = None
    version: tuple[str, ...] = ()
    version_pattern: str = ""


@cache
def known_programs() -> dict[str, Program]:
    """Rows of programs.toml by what they start."""
    text = Path(__file__).with_name("programs.toml").read_text(encoding="utf-8")
    return {row["starts"]: from_dict(Program, row) for row in tomllib.loads(text)["program"]}


def resolve_runner(runner: str | None = None) -> str:
    """The way llama.cpp is run here.

    Args:
        runner: One of ``RUNNERS``; None picks the first that is installed.

    Raises:
        UnknownNameError: There is no such runner.
        EngineMissingError: None is installed.

    """
    if runner is not None:
        if runner not in RUNNERS:
            raise UnknownNameError("llama.cpp runner", runner, RUNNERS)
        return runner
    candidates = {row.runner: row for row in known_programs().values() if row.runner}
    for name in RUNNERS:
        row = candidates[name]
        if _elsewhere(row) or (find_spec(row.imports) if row.imports else shutil.which(row.starts)):
            return name
    raise EngineMissingError(
        "llama.cpp is not installed here: none of xllamacpp, llama-server and llama-cpp-python was found.",
        remedy=candidates["xllamacpp"].remedy,
        cause="engine missing",
    )


def resolve_program(command: Command) -> tuple[str, ...]:
    """The command's argv with its program as an absolute path.

    Raises:
        EngineMissingError: The program or module is not here.
        RefusedError: It is older than what is safe or runs DeepSeek V4.

    """
    first, *rest = command.argv
    if Path(first).name in {"python", "python3"} or first == sys.executable:
        module = rest[1] if rest[:1] == ["-m"] else ""
        row = known_programs().get(module)
        python = (_elsewhere(row) if row else None) or sys.executable
        if row:
            _check_module(row, python)
        return (python, *rest)
    row = known_programs().get(Path(first).name)
    path = (_elsewhere(row) if row else None) or shutil.which(first)
    if path is None:
        raise EngineMissingError(
            f"{command.engine} is not installed here: there is no program {first!r} on PATH.",
            remedy=row.remedy if row else f"Install {command.program or first}.",
            cause="engine missing",
        )
    if row and row.version:
        _check_version(row, _program_version(row, path))
    return (str(Path(path).absolute()), *rest)


def _elsewhere(row: Program) -> str | None:
    """The path a person set for it.

    Raises:
        EngineMissingError: Nothing that can be run stands there.

    """
    path = os.environ.get(row.setting, "") if row.setting else ""
    if not path:
        return None
    found = shutil.which(Path(path).expanduser())
    if found is None:
        raise EngineMissingError(
            f"{row.setting} is {path!r}, which is not a program that can be run.",
            remedy=f"Correct or unset {row.setting}. {row.remedy}",
            cause="engine missing",
        )
    return found


def _check_module(row: Program, python: str) -> None:
    assert row.imports  # noqa: S101 -- rows started with `python -m` have it
    missing = EngineMissingError(
        f"{row.package} is not installed for {python}.", remedy=row.remedy, cause="engine missing"
    )
    wanted = (row.imports, *row.also)
    if python == sys.executable:
        absent = [name for name in wanted if find_spec(name) is None]
        version = None if row.imports in absent else metadata.version(row.package)
    else:
        argv = (python, "-c", _ASK_PYTHON, row.package, *wanted)
        told = subprocess.run(argv, capture_output=True, text=True, timeout=PROBE_S, check=False)
        if told.returncode != 0:
            raise missing
        names, version = told.stdout.splitlines()
        absent = [name for name in names.split(",") if name]
    if row.imports in absent:
        raise missing
    if absent:
        raise EngineMissingError(
            f"{row.package} {version} is installed for {python} without its server: {', '.join(absent)} missing.",
            remedy=row.remedy,
            cause="engine missing",
        )
    _check_version(row, version)


def _program_version(row: Program, path: str) -> str | None:
    told = subprocess.run((path, *row.version), capture_output=True, text=True, timeout=PROBE_S, check=False)
    match = re.search(row.version_pattern, told.stdout + told.stderr)
    return match[1] if match else None


def _check_version(row: Program, version: str | None) -> None:
    # A build that does not know its own number (llama.cpp says 0 or 1) is taken as it is.
    if version is None or row.minimum is None or version in {"0", "1"}:
        return
    if _numbers(version) < _numbers(row.minimum):
        raise RefusedError(
            f"{row.package} {version} is installed, but {row.minimum} or newer is needed: "
            "older ones have known holes or do not run DeepSeek V4.",
            remedy=row.remedy,
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
