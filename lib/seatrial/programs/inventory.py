"""Every way to start an engine, and what of it is here: where, which version, with which known holes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from seatrial.catalog.engine_facts import EngineFacts, Program, Vulnerability, engine_facts, engine_ids, is_older
from seatrial.errors import EngineMissingError, RefusedError, SeatrialError
from seatrial.programs.find import known_programs, look_up
from seatrial.programs.preflight import Installed, check_requirements_here, version_check
from seatrial.programs.vulnerabilities import UNNUMBERED, known_vulnerabilities

if TYPE_CHECKING:
    from seatrial.catalog import Checkpoint
    from seatrial.hardware import Hardware

PROBE_S = 10.0
"""Seconds a program may take to say its version; a list is not worth a longer wait."""

State = Literal["ready", "too old", "not installed", "broken"]


@dataclass(frozen=True, slots=True)
class EngineProgram:
    """One way to start an engine.

    Attributes:
        engine: Engine id.
        title: The engine's name as people write it.
        program: What is installed for it: a package or program.
        starts: What a command begins with.
        state: ``ready``; ``too old``; ``not installed``; ``broken``: here or named by its setting, and does not work.
        path: The program, or the python that has it; None where it is not here.
        environment: Folder of the environment it lies in, None where it is not here or lies in none.
        version: Installed version, None where it is not here or does not tell.
        minimum: Oldest version that is started, in the program's own numbering.
        minimum_v4: Oldest version that is known to run DeepSeek V4, likewise; None where none does.
        runs_v4: Whether what is installed runs DeepSeek V4; None where its version is not known.
        holes: Known security holes of what is installed.
        formats: Checkpoint formats it loads.
        why: What is wrong, "" where it is ready.
        remedy: The one thing to do, "" where it is ready.

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
    """Every program of every engine that needs one, asked at the same time; none holds up the others for long."""
    rows = [(name, known_programs()[row.starts]) for name in engine_ids() for row in engine_facts(name).programs]
    with ThreadPoolExecutor(max_workers=max(1, len(rows))) as pool:
        return tuple(pool.map(lambda pair: _look(*pair), rows))


def why_not_fetch(checkpoint: Checkpoint, hardware: Hardware) -> RefusedError | None:
    """Why nothing on this machine could serve a checkpoint once it is here; None where something could.

    Engines that are not installed yet count where the machine has what they require. A machine without GPUs may
    fetch what only GPUs serve: clusters download on their login nodes.

    Args:
        checkpoint: What is about to be downloaded.
        hardware: This machine.

    """
    rows = [row for row in list_engines() if row.engine in checkpoint.engines]
    here = [row for row in rows if row.path]
    reasons = []
    for row in here or [row for row in rows if row.state == "not installed"]:
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
        f"{checkpoint.id} is not downloaded, since nothing here could serve it: {what}.",
        remedy=f"{remedy} With --anyway it is downloaded all the same.",
    )


def _refused_gpus(checkpoint: Checkpoint, engine: str, hardware: Hardware) -> list[tuple[str, str]]:
    """The planner's rule against this machine's GPUs and what would help, empty where it has none."""
    from seatrial.plan import make_plan

    if not hardware.gpus:
        return []
    try:
        plan = make_plan(checkpoint=checkpoint, hardware=hardware, engine=engine)
    except SeatrialError:  # no formula describes it: the engine will tell
        return []
    if plan.verdict != "refused" or not plan.reasons:
        return []
    return [(plan.reasons[0].text.rstrip("."), plan.smallest_change or "")]


def _look(engine: str, row: Program) -> EngineProgram:
    facts = engine_facts(engine)
    try:
        found = look_up(row, limit_s=PROBE_S)
    except EngineMissingError as error:
        named = bool(row.setting and os.environ.get(row.setting))
        state: State = "broken" if named or error.cause in {"engine incomplete", "engine broken"} else "not installed"
        return _described(engine, facts, row, state=state, why=error.what, remedy=error.remedy)
    except OSError as error:
        return _described(engine, facts, row, state="broken", why=f"cannot be asked: {error}", remedy=row.remedy)
    for check in version_check(found):
        if check.status == "problem":
            return _described(
                engine,
                facts,
                row,
                state="too old",
                path=found.path,
                version=found.version,
                why=check.found,
                remedy=check.remedy,
            )
    return _described(engine, facts, row, state="ready", path=found.path, version=found.version)


def _described(  # noqa: PLR0913 -- what was found of one program
    engine: str,
    facts: EngineFacts,
    row: Program,
    *,
    state: State,
    path: str | None = None,
    version: str | None = None,
    why: str = "",
    remedy: str = "",
) -> EngineProgram:
    return EngineProgram(
        engine=engine,
        title=facts.title,
        program=row.package,
        starts=row.starts,
        state=state,
        path=path,
        environment=environment_of(path) if path else None,
        version=version,
        minimum=row.minimum,
        minimum_v4=facts.versions.v4 and (row.minimum if _own_numbers(facts, row) else facts.versions.v4),
        runs_v4=_runs_v4(facts, row, version) if path else None,
        holes=tuple(_holes_of(facts, row, version)) if version else (),
        formats=facts.planning.formats,
        why=why,
        remedy=remedy,
    )


def environment_of(path: str) -> str | None:
    """The virtual or conda environment a program lies in."""
    prefix = os.path.dirname(os.path.dirname(path))  # noqa: PTH120 -- a link is not to be followed
    marks = ("pyvenv.cfg", "conda-meta")
    return prefix if any(os.path.exists(os.path.join(prefix, mark)) for mark in marks) else None  # noqa: PTH110, PTH118


def _holes_of(facts: EngineFacts, row: Program, version: str) -> Iterator[Vulnerability]:
    """The holes a version has: those closed later, and those that none has closed."""
    yield from known_vulnerabilities(row.starts, version)
    yield from (hole for hole in facts.versions.vulnerabilities if hole.below is None)


def _runs_v4(facts: EngineFacts, row: Program, version: str | None) -> bool | None:
    if facts.versions.v4 is None:
        return False
    if version is None or version in UNNUMBERED:
        return None
    return not is_older(version, (row.minimum if _own_numbers(facts, row) else None) or facts.versions.v4)


def _own_numbers(facts: EngineFacts, row: Program) -> bool:
    """Whether a package is numbered otherwise than its engine: its minimum is then the first known to do."""
    return row.minimum != facts.versions.safe
