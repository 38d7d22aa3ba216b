"""Lists every way to start an engine: whether this machine has it, in which version, with which vulnerabilities."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from seatrial.catalog import Checkpoint
from seatrial.catalog.engine_facts import EngineFacts, Program, Vulnerability, engine_facts, engine_ids, is_older
from seatrial.environment import variable
from seatrial.errors import EngineMissingError, RefusedError, SeatrialError
from seatrial.hardware.types import Hardware
from seatrial.plan import make_plan
from seatrial.programs.find import known_programs, look_up
from seatrial.programs.preflight import Installed, check_requirements_here, why_too_old
from seatrial.programs.vulnerabilities import UNNUMBERED, known_vulnerabilities

PROBE_S = 10.0
"""Seconds a program may take to print its version; a list is not worth a longer wait."""

State = Literal["ready", "too old", "not installed", "broken"]


@dataclass(frozen=True, slots=True)
class EngineProgram:
    """One way to start an engine.

    Attributes:
        engine: Engine id.
        title: The engine's name as people write it.
        program: Package or program that is installed for it.
        starts: Program or module that a command starts.
        state: ``ready``; ``too old``; ``not installed``; ``broken``: installed, or named by its setting, and failing.
        path: The program, or the python that has it; None if it is not installed.
        environment: Folder of its environment, None if it is not installed or in none.
        version: Installed version, None if unknown.
        minimum: Oldest version that is started, in the program's own numbering.
        minimum_v4: Oldest version that is known to run DeepSeek V4, likewise; None if no version does.
        runs_v4: True if the installed version runs DeepSeek V4; None if its version is not known.
        holes: Known vulnerabilities of the installed version.
        formats: Checkpoint formats it loads.
        why: What is wrong, "" if it is ready.
        remedy: The one thing to do, "" if it is ready.

    """

    engine: str
    title: str
    program: str
    starts: str
    state: State
    path: str | None
    environment: str | None
    version: str | None
    minimum: str | None
    minimum_v4: str | None
    runs_v4: bool | None
    holes: tuple[Vulnerability, ...]
    formats: tuple[str, ...]
    why: str = ""
    remedy: str = ""


def list_engines() -> tuple[EngineProgram, ...]:
    """Return every program of every engine that needs one, all asked at the same time."""
    rows = [(name, known_programs()[row.starts]) for name in engine_ids() for row in engine_facts(name).programs]
    with ThreadPoolExecutor(max_workers=max(1, len(rows))) as pool:
        return tuple(pool.map(lambda pair: _look(*pair), rows))


def why_not_fetch(checkpoint: Checkpoint, hardware: Hardware) -> RefusedError | None:
    """Return why nothing on this machine could serve a checkpoint, None if something could.

    Engines that are not installed yet count if the machine has what they require. A machine without GPUs may
    fetch what only GPUs serve: clusters download on their login nodes.

    Args:
        checkpoint: What is about to be downloaded.
        hardware: This machine.

    """
    rows = [row for row in list_engines() if row.engine in checkpoint.engines]
    installed = [row for row in rows if row.path]
    reasons = []
    for row in installed or [row for row in rows if row.state == "not installed"]:
        found = Installed(row.path, row.version) if row.path else None
        checks = check_requirements_here(row.engine, hardware, found=found)
        wrong = [(row.why, row.remedy)] if row.state == "too old" else []
        wrong += [(check.found, check.remedy) for check in checks if check.status == "problem"]
        wrong += _refused_gpus(checkpoint, row.engine, hardware)
        if not wrong:
            return None
        reasons.append(wrong[0])
    if not reasons:
        return None
    what, remedy = reasons[0]
    return RefusedError(
        f"{checkpoint.id} is not downloaded, since nothing on this machine could serve it: {what}.",
        remedy=f"{remedy} With --anyway it is downloaded all the same.",
    )


def environment_of(path: str) -> str | None:
    """Return the virtual or conda environment of a program, None if it is in none."""
    prefix = os.path.dirname(os.path.dirname(path))  # noqa: PTH120 -- a link is not to be followed
    marks = ("pyvenv.cfg", "conda-meta")
    return prefix if any(os.path.exists(os.path.join(prefix, mark)) for mark in marks) else None  # noqa: PTH110, PTH118


def _refused_gpus(checkpoint: Checkpoint, engine: str, hardware: Hardware) -> list[tuple[str, str]]:
    """Return the planner's rule against this machine's GPUs with its remedy, empty if there is none."""
    if not hardware.gpus:
        return []
    try:
        plan = make_plan(checkpoint=checkpoint, hardware=hardware, engine=engine)
    except SeatrialError:  # no formula describes the checkpoint: the engine itself decides
        return []
    if plan.verdict != "refused" or not plan.reasons:
        return []
    return [(plan.reasons[0].text.rstrip("."), plan.smallest_change or "")]


def _look(engine: str, row: Program) -> EngineProgram:
    try:
        found = look_up(row, limit_s=PROBE_S)
    except EngineMissingError as error:
        named = bool(row.setting and variable(row.setting))
        state: State = "broken" if named or error.cause in {"engine incomplete", "engine broken"} else "not installed"
        return _described(engine, row, state, problem=(error.what, error.remedy))
    except OSError as error:
        return _described(engine, row, "broken", problem=(f"cannot be asked: {error}", row.remedy))
    if why := why_too_old(found):
        return _described(engine, row, "too old", found, (why, row.remedy))
    return _described(engine, row, "ready", found)


def _described(
    engine: str, row: Program, state: State, found: Installed | None = None, problem: tuple[str, str] = ("", "")
) -> EngineProgram:
    facts = engine_facts(engine)
    version = found.version if found else None
    return EngineProgram(
        engine=engine,
        title=facts.title,
        program=row.package,
        starts=row.starts,
        state=state,
        path=found.path if found else None,
        environment=environment_of(found.path) if found else None,
        version=version,
        minimum=row.minimum,
        minimum_v4=facts.versions.v4 and (row.minimum if _own_numbers(facts, row) else facts.versions.v4),
        runs_v4=_runs_v4(facts, row, version) if found else None,
        holes=_vulnerabilities_of(facts, row, version) if version else (),
        formats=facts.planning.formats,
        why=problem[0],
        remedy=problem[1],
    )


def _vulnerabilities_of(facts: EngineFacts, row: Program, version: str) -> tuple[Vulnerability, ...]:
    """Return the vulnerabilities of a version: those a newer one closed, and those that no version closed."""
    return (
        *known_vulnerabilities(row.starts, version),
        *(each for each in facts.versions.vulnerabilities if not each.below),
    )


def _runs_v4(facts: EngineFacts, row: Program, version: str | None) -> bool | None:
    if facts.versions.v4 is None:
        return False
    if version is None or version in UNNUMBERED:
        return None
    return not is_older(version, (row.minimum if _own_numbers(facts, row) else None) or facts.versions.v4)


def _own_numbers(facts: EngineFacts, row: Program) -> bool:
    """Return True if a package is numbered otherwise than its engine: its minimum is then the first that runs V4."""
    return row.minimum != facts.versions.safe
