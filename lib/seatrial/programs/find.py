"""Finds the engine a command starts, and says before anything is launched what is missing or too old."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.catalog.engine_facts import Program, engine_facts, engine_ids, program_of
from seatrial.errors import EngineMissingError, RefusedError, UnknownNameError
from seatrial.programs.own import own_program
from seatrial.programs.preflight import Installed, check_requirements_here, judged, version_check
from seatrial.programs.probing import (
    PROBE_S,
    flags_taken,
    installed_here,
    installed_there,
    program_version,
)
from seatrial.programs.search_path import find_on_path, passed_over

if TYPE_CHECKING:  # an engine's own process imports this package too, and need not load the planner
    from seatrial.engines.types import Command
    from seatrial.plan.types import Plan

_INSIST = "With --anyway it is tried all the same."
_PYTHON = re.compile(r"python(3(\.\d+)?)?")


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
    from seatrial.engines import RUNNERS

    if runner is not None:
        if runner not in RUNNERS:
            raise UnknownNameError("llama.cpp runner", runner, RUNNERS)
        return runner
    candidates = {row.runner: row for row in known_programs().values() if row.runner}
    for name in sorted(RUNNERS, key=lambda name: on_gpus and sys.platform != "darwin" and name == "xllamacpp"):
        row = candidates[name]
        if _elsewhere(row) or (find_spec(row.imports) if row.imports else find_on_path(row.starts)):
            return name
    needed = " or ".join(f"{row.package if row.imports else row.starts} {row.minimum}" for row in candidates.values())
    raise EngineMissingError(
        f"llama.cpp is not installed here; {needed} or newer is needed.",
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
        RefusedError: It is older than what is safe or runs DeepSeek V4, or this machine lacks what it requires.

    """
    from seatrial.engines import build_command

    if plan.engine == "llamacpp":
        runner = resolve_runner(runner, on_gpus=bool(plan.gpu_layers))
    command = build_command(plan, model_path=model_path, runner=runner)
    found = find_program(command)
    if found.version is not None:
        command = build_command(plan, model_path=model_path, runner=runner, version=found.version)
    notes = [*command.notes, *judged(version_check(found))]
    _check_flags(found, command.argv)
    if not plan.hardware.only_named:
        notes += judged(check_requirements_here(plan.engine, plan.hardware, found=found, nodes=plan.nodes), _INSIST)
    return replace(command, argv=(found.path, *command.argv[1:]), notes=tuple(notes))


def resolve_program(command: Command) -> tuple[str, ...]:
    """The command's argv with its program as an absolute path.

    Raises:
        EngineMissingError: The program or module is not here.
        RefusedError: It is older than what is safe or runs DeepSeek V4, or does not take these flags.

    """
    found = find_program(command)
    judged(version_check(found))
    _check_flags(found, command.argv)
    return (found.path, *command.argv[1:])


def find_program(command: Command) -> Installed:
    """The program a command starts, whatever its version.

    Raises:
        EngineMissingError: The program or module is not here.

    """
    first = command.argv[0]
    known = program_of(command.argv)
    row = known_programs()[known.starts] if known else None
    if _PYTHON.fullmatch(Path(first).name) or first == sys.executable:
        if row and row.imports:
            return look_up(row, first)
        return Installed(_program_path(first) if Path(first).is_absolute() else sys.executable)
    if row:
        return look_up(row, first)
    path = _program_path(first) if Path(first).is_absolute() else find_on_path(first)
    if path is None:
        raise EngineMissingError(
            f"{command.engine} is not installed here: there is no program {first!r} on PATH.{passed_over(first)}",
            remedy=f"Install {command.program or first}.",
            cause="engine missing",
        )
    return Installed(str(Path(path).absolute()))


def look_up(row: Program, first: str | None = None, limit_s: float = PROBE_S) -> Installed:
    """Where one of ``known_programs`` is here, and in which version.

    Args:
        row: The way to start an engine.
        first: Program or python a command names; an absolute path is taken as it is.
        limit_s: Seconds it may take to say its version.

    Raises:
        EngineMissingError: It is not here, or lacks its server.

    """
    named = _program_path(first) if first and Path(first).is_absolute() else None
    if row.imports:
        python = named or _elsewhere(row) or sys.executable
        return Installed(python, _module_version(row, python, limit_s), row)
    path = named or _elsewhere(row) or find_on_path(row.starts)
    if path is None:
        raise EngineMissingError(
            f"{row.package} is not installed here: there is no program {row.starts!r} on PATH; "
            f"{row.minimum} or newer is needed.{passed_over(row.starts)}",
            remedy=row.remedy,
            cause="engine missing",
        )
    path = str(Path(path).absolute())
    return Installed(path, program_version(row, path, limit_s), row)


def _program_path(path: str) -> str:
    if not os.access(path, os.X_OK) or Path(path).is_dir():
        raise EngineMissingError(
            f"{path} is not a program that can be run.", remedy="Correct the path.", cause="engine missing"
        )
    return path


def _elsewhere(row: Program | None) -> str | None:
    """The path a person set for it, else where the kit installed it.

    Raises:
        EngineMissingError: Nothing that can be run stands there.

    """
    if row is None:
        return None
    path = os.environ.get(row.setting, "") if row.setting else ""
    if not path:
        return own_program(row)
    found = shutil.which(str(Path(path).expanduser()))
    if found is None:
        raise EngineMissingError(
            f"{row.setting} is {path!r}, which is not a program that can be run.",
            remedy=f"Correct or unset {row.setting}. {row.remedy}",
            cause="engine missing",
        )
    return str(Path(found).absolute())  # not resolved: a virtual environment's python is a link


def _module_version(row: Program, python: str, limit_s: float) -> str | None:
    assert row.imports  # noqa: S101 -- rows started with `python -m` have it
    wanted = (row.imports, *row.also)
    here = python == sys.executable
    absent, version = installed_here(row, wanted) if here else installed_there(row, wanted, python, limit_s)
    if row.imports in absent:
        raise EngineMissingError(
            f"{row.package} is not installed for {python}; {row.minimum} or newer is needed.",
            remedy=row.remedy,
            cause="engine missing",
        )
    if absent:
        raise EngineMissingError(
            f"{row.package} {version or ''} is installed for {python} without its server: {', '.join(absent)} missing.",
            remedy=row.remedy,
            cause="engine incomplete",
        )
    return version


def _check_flags(found: Installed, argv: tuple[str, ...]) -> None:
    """Ask a program that lists its flags in no time whether it takes these; one that lists none is not asked."""
    row = found.row
    if row is None or not row.help:
        return
    taken = flags_taken(row, found.path)
    unknown = sorted({word.partition("=")[0] for word in argv if word.startswith("--")} - taken)
    if unknown and "--model" in taken:  # else it is no list of a server's flags
        raise RefusedError(
            f"{row.package} {found.version or ''} ({found.path}) does not take {', '.join(unknown)}: "
            f"its own {row.help[0]} does not name {'it' if len(unknown) == 1 else 'them'}.",
            remedy=row.remedy,
        )
