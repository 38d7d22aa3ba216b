"""Finds the engine a command starts, and says before anything is launched what is missing or too old."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.catalog.engine_facts import Program, engine_facts, engine_ids, is_older
from seatrial.errors import EngineMissingError, RefusedError, UnknownNameError

if TYPE_CHECKING:  # an engine's own process imports this package too, and need not load the planner
    from seatrial.engines.types import Command
    from seatrial.plan.types import Plan

PROBE_S = 60.0
PYTHON = re.compile(r"python(3(\.\d+)?)?")
# Says which of the modules named after the package are missing, then the package's version.
_ASK_PYTHON = (
    "import importlib.metadata as m, importlib.util as u, sys;"
    "print(','.join(n for n in sys.argv[2:] if not u.find_spec(n)));"
    "print(next((d.version for d in m.distributions(name=sys.argv[1])), ''))"
)


@cache
def known_programs() -> dict[str, Program]:
    """Every way to start an engine, by what it starts."""
    return {
        row.starts: replace(row, minimum=row.minimum or facts.versions.safe)
        for facts in map(engine_facts, engine_ids())
        for row in facts.programs
    }


def resolve_runner(runner: str | None = None, *, on_gpus: bool = False) -> str:
    """The way llama.cpp is run here.

    Args:
        runner: One of ``seatrial.engines.RUNNERS``; None picks the first that is installed.
        on_gpus: Whether layers are to lie on GPUs; the embedded wheel computes on CPUs (on a Mac on its GPU
            too), so it is then the last choice instead of the first.

    Raises:
        UnknownNameError: There is no such runner.
        EngineMissingError: None is installed.

    """
    from seatrial.engines import RUNNERS  # noqa: PLC0415 -- see the top

    if runner is not None:
        if runner not in RUNNERS:
            raise UnknownNameError("llama.cpp runner", runner, RUNNERS)
        return runner
    candidates = {row.runner: row for row in known_programs().values() if row.runner}
    for name in sorted(RUNNERS, key=lambda name: on_gpus and sys.platform != "darwin" and name == "xllamacpp"):
        row = candidates[name]
        if _elsewhere(row) or (find_spec(row.imports) if row.imports else shutil.which(row.starts)):
            return name
    raise EngineMissingError(
        "llama.cpp is not installed here: none of xllamacpp, llama-server and llama-cpp-python was found.",
        remedy=candidates["xllamacpp"].remedy,
        cause="engine missing",
    )


def installed_command(plan: Plan, *, runner: str | None = None, model_path: str | None = None) -> Command:
    """The command of a plan with the program that is installed here.

    Args:
        plan: A plan that runs.
        runner: For llama.cpp one of ``seatrial.engines.RUNNERS``, None for what is here; see ``build_command``.
        model_path: Where the weights lie; the checkpoint id by default.

    Raises:
        UnknownNameError: There is no such runner.
        EngineMissingError: The program or module is not here.
        RefusedError: It is older than what is safe or runs DeepSeek V4.

    """
    from seatrial.engines import build_command  # noqa: PLC0415 -- see the top

    if plan.engine == "llamacpp":
        runner = resolve_runner(runner, on_gpus=bool(plan.gpu_layers))
    command = build_command(plan, model_path=model_path, runner=runner)
    return replace(command, argv=resolve_program(command))


def resolve_program(command: Command) -> tuple[str, ...]:
    """The command's argv with its program as an absolute path.

    Raises:
        EngineMissingError: The program or module is not here.
        RefusedError: It is older than what is safe or runs DeepSeek V4.

    """
    first, *rest = command.argv
    if PYTHON.fullmatch(Path(first).name) or first == sys.executable:
        row = known_programs().get(rest[1]) if rest[:1] == ["-m"] else None
        python = _program_path(first) if Path(first).is_absolute() else (_elsewhere(row) or sys.executable)
        if row:
            _check_module(row, python)
        return (python, *rest)
    row = known_programs().get(Path(first).name)
    path = _program_path(first) if Path(first).is_absolute() else (_elsewhere(row) or shutil.which(first))
    if path is None:
        raise EngineMissingError(
            f"{command.engine} is not installed here: there is no program {first!r} on PATH.",
            remedy=row.remedy if row else f"Install {command.program or first}.",
            cause="engine missing",
        )
    if row and row.version:
        _check_version(row, _program_version(row, path))
    return (str(Path(path).absolute()), *rest)


def _program_path(path: str) -> str:
    if not os.access(path, os.X_OK) or Path(path).is_dir():
        raise EngineMissingError(
            f"{path} is not a program that can be run.", remedy="Correct the path.", cause="engine missing"
        )
    return path


def _elsewhere(row: Program | None) -> str | None:
    """The path a person set for it.

    Raises:
        EngineMissingError: Nothing that can be run stands there.

    """
    path = os.environ.get(row.setting, "") if row and row.setting else ""
    if row is None or not path:
        return None
    found = shutil.which(str(Path(path).expanduser()))
    if found is None:
        raise EngineMissingError(
            f"{row.setting} is {path!r}, which is not a program that can be run.",
            remedy=f"Correct or unset {row.setting}. {row.remedy}",
            cause="engine missing",
        )
    return str(Path(found).absolute())  # not resolved: a virtual environment's python is a link


def _check_module(row: Program, python: str) -> None:
    assert row.imports  # noqa: S101 -- rows started with `python -m` have it
    wanted = (row.imports, *row.also)
    here = python == sys.executable
    absent, version = _installed_here(row, wanted) if here else _installed_there(row, wanted, python)
    if row.imports in absent:
        raise EngineMissingError(
            f"{row.package} is not installed for {python}.", remedy=row.remedy, cause="engine missing"
        )
    if absent:
        raise EngineMissingError(
            f"{row.package} {version or ''} is installed for {python} without its server: {', '.join(absent)} missing.",
            remedy=row.remedy,
            cause="engine missing",
        )
    _check_version(row, version)


def _installed_here(row: Program, wanted: tuple[str, ...]) -> tuple[list[str], str | None]:
    absent = [name for name in wanted if find_spec(name) is None]
    try:
        return absent, metadata.version(row.package)
    except metadata.PackageNotFoundError:
        return absent, None


def _installed_there(row: Program, wanted: tuple[str, ...], python: str) -> tuple[list[str], str | None]:
    argv = (python, "-c", _ASK_PYTHON, row.package, *wanted)
    told = _run(argv).splitlines()
    if len(told) != 2:  # noqa: PLR2004 -- missing modules, version
        return list(wanted), None
    return [name for name in told[0].split(",") if name], told[1] or None


def _program_version(row: Program, path: str) -> str | None:
    match = re.search(row.version_pattern, _run((path, *row.version)))
    return match[1] if match else None


def _run(argv: tuple[str, ...]) -> str:
    try:
        told = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout + told.stderr


def _check_version(row: Program, version: str | None) -> None:
    minimum = row.minimum
    # A build that does not know its own number (llama.cpp says 0 or 1) is taken as it is.
    if version is None or minimum is None or version in {"0", "1"}:
        return
    if is_older(version, minimum):
        raise RefusedError(
            f"{row.package} {version} is installed, but {minimum} or newer is needed: "
            "older ones have known holes or do not run DeepSeek V4.",
            remedy=row.remedy,
        )
