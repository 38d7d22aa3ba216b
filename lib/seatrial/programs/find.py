"""Finds the program a command starts, and says before the launch what is missing or too old."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from seatrial.catalog.engine_facts import Program, engine_facts, engine_ids, program_of
from seatrial.engines import RUNNERS, build_command
from seatrial.engines.types import Command
from seatrial.environment import variable
from seatrial.errors import EngineMissingError, RefusedError, UnknownNameError, UsageError
from seatrial.flags import Flags
from seatrial.paths import typed_path
from seatrial.plan.types import Plan
from seatrial.programs.own import own_program
from seatrial.programs.preflight import (
    Installed,
    check_requirements_here,
    check_version,
    notes_on,
    proceeds_anyway,
)
from seatrial.programs.probing import PROBE_S, flags_taken, package_in, package_installed, program_version
from seatrial.programs.search_path import find_on_path, passed_over
from seatrial.programs.vulnerabilities import is_too_old

_PYTHON = re.compile(r"python(3(\.\d+)?)?")


@cache
def known_programs() -> dict[str, Program]:
    """Return every way to start an engine, by the program or module it starts."""
    return {
        row.starts: replace(row, minimum=row.minimum or facts.versions.safe)
        for facts in map(engine_facts, engine_ids())
        for row in facts.programs
    }


def resolve_runner(runner: str | None = None, *, on_gpus: bool = False) -> str:
    """Return the way this machine runs llama.cpp.

    Args:
        runner: One of ``seatrial.engines.RUNNERS``; None picks the first that is installed.
        on_gpus: The plan puts layers on GPUs. The embedded wheel computes on CPUs (on a Mac on its GPU too), so it
            is then the last choice instead of the first.

    Raises:
        UnknownNameError: If there is no such runner.
        EngineMissingError: If no runner is installed.

    """
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
        f"llama.cpp is not installed; {needed} or newer is needed.",
        remedy=candidates["xllamacpp"].remedy,
        cause="engine missing",
    )


def installed_command(plan: Plan, *, runner: str | None = None, model_path: str | None = None) -> Command:
    """Return the command of a plan with the program that is installed on this machine.

    Args:
        plan: A plan that runs.
        runner: For llama.cpp one of ``seatrial.engines.RUNNERS``, None for the installed one; see ``build_command``.
        model_path: Path of the weights; the checkpoint id by default.

    Raises:
        UnknownNameError: If there is no such runner.
        EngineMissingError: If the program or module is not installed.
        RefusedError: If it is older than what is safe or runs DeepSeek V4, or this machine lacks what it requires.

    """
    if plan.engine == "llamacpp":
        runner = resolve_runner(runner, on_gpus=bool(plan.gpu_layers))
    command = build_command(plan, model_path=model_path, runner=runner)
    found = find_program(command)
    if found.version is not None:
        command = build_command(plan, model_path=model_path, runner=runner, version=found.version)
    notes = [*command.notes]
    check_version(found)
    _check_plan_version(plan, found)
    _check_flags(found, command.flags)
    if not plan.hardware.only_named:
        checks = check_requirements_here(plan.engine, plan.hardware, found=found, nodes=plan.nodes)
        notes += notes_on(checks, anyway=proceeds_anyway(), hint="With --anyway it is tried all the same.")
    return replace(command, argv=(found.path, *command.argv[1:]), notes=tuple(notes))


def _check_plan_version(plan: Plan, found: Installed) -> None:
    """Refuse a program that is new enough for the engine, and not for what this plan asks of it."""
    row, least = found.row, plan.engine_version_min
    if row is None or found.version is None or least is None or row.minimum != engine_facts(plan.engine).versions.safe:
        return  # a package with other version numbers than the engine; its own minimum was checked
    if is_too_old(found.version, least):
        raise RefusedError(
            f"{row.package} {found.version} is installed, and this plan needs {least} or newer: it drafts or splits tensors.",
            remedy=f"Update {row.package}, or plan without --drafter and --tensor-parallel.",
        )


def resolve_program(command: Command) -> tuple[str, ...]:
    """Return the command's argv with its program as an absolute path.

    Raises:
        EngineMissingError: If the program or module is not installed.
        RefusedError: If it is older than what is safe or runs DeepSeek V4, or does not take these flags.

    """
    found = find_program(command)
    check_version(found)
    _check_flags(found, command.flags)
    return (found.path, *command.argv[1:])


def find_program(command: Command) -> Installed:
    """Return the program a command starts, whatever its version.

    Raises:
        EngineMissingError: If the program or module is not installed.

    """
    first = command.argv[0]
    known = program_of(command.argv)
    row = known_programs()[known.starts] if known else None
    python = bool(_PYTHON.fullmatch(Path(first).name)) or first == sys.executable
    if row and (row.imports or not python):
        return look_up(row, first)
    if python:
        return Installed(_program_path(first) if Path(first).is_absolute() else sys.executable)
    path = _program_path(first) if Path(first).is_absolute() else find_on_path(first)
    if path is None:
        raise EngineMissingError(
            f"{command.engine} is not installed: there is no program {first!r} on PATH.{passed_over(first)}",
            remedy=f"Install {command.program or first}.",
            cause="engine missing",
        )
    return Installed(str(Path(path).absolute()))


def look_up(row: Program, first: str | None = None, limit_s: float = PROBE_S) -> Installed:
    """Return the path and version of one of ``known_programs`` on this machine.

    Args:
        row: The way to start an engine.
        first: Program or python that a command names; an absolute path is taken as it is.
        limit_s: Seconds the program may take to print its version.

    Raises:
        EngineMissingError: If it is not installed, or lacks its server.

    """
    named = _program_path(first) if first and Path(first).is_absolute() else None
    if row.imports:
        python = named or _elsewhere(row) or sys.executable
        return Installed(python, _module_version(row, row.imports, python, limit_s), row)
    path = named or _elsewhere(row) or find_on_path(row.starts)
    if path is None:
        raise EngineMissingError(
            f"{row.package} is not installed: there is no program {row.starts!r} on PATH; "
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


def _elsewhere(row: Program) -> str | None:
    """Return the path in the program's setting, else in its own environment, None if it is in neither.

    Raises:
        EngineMissingError: If the setting names no program that can be run.

    """
    path = variable(row.setting) if row.setting else None
    if path is None:
        return own_program(row)
    found = None
    with contextlib.suppress(UsageError):  # no path at all, so no program either
        found = shutil.which(typed_path(path, str(row.setting)))
    if found is None:
        raise EngineMissingError(
            f"{row.setting} is {path!r}, which is not a program that can be run.",
            remedy=f"Correct or unset {row.setting}. {row.remedy}",
            cause="engine missing",
        )
    return str(Path(found).absolute())  # not resolved: a virtual environment's python is a link


def _module_version(row: Program, module: str, python: str, limit_s: float) -> str | None:
    wanted = (module, *row.also)
    own = python == sys.executable
    absent, version = package_installed(row, wanted) if own else package_in(python, row, wanted, limit_s)
    if module in absent:
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


def _check_flags(found: Installed, flags: Flags) -> None:
    """Check that a program takes these flags, if it lists its flags in no time."""
    row = found.row
    if row is None or not row.help:
        return
    taken = flags_taken(row, found.path)
    unknown = sorted(set(flags) - taken)
    if unknown and "--model" in taken:  # else it is no list of a server's flags
        raise RefusedError(
            f"{row.package} {found.version or ''} ({found.path}) does not take {', '.join(unknown)}: "
            f"its own {row.help[0]} does not name {'it' if len(unknown) == 1 else 'them'}.",
            remedy=row.remedy,
        )
