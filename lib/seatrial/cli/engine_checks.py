"""Checks engines for ``seatrial doctor``: which are installed, what this machine lacks for each, whether V4 runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from seatrial import paths
from seatrial.engines.requirements import Check
from seatrial.errors import EngineMissingError, SeatrialError
from seatrial.hardware import Hardware, detect_hardware
from seatrial.units import format_gib

if TYPE_CHECKING:
    from seatrial.programs.inventory import EngineProgram

_CHECKED_ONCE = {"shared memory (/dev/shm)"}  # doctor has one check for these, whatever the engine
_FLAGS_MACHINE = "h200x4"  # the flags of its command are compared with those that an engine accepts


def check_engines(hardware: Hardware) -> Iterator[Check]:
    """Check every way to start an engine, then the requirements of engines that are installed or meant for this machine."""
    from seatrial.programs.find import resolve_runner
    from seatrial.programs.inventory import list_engines

    rows = list_engines()
    for row in rows:
        yield _check_program(row)
    try:
        yield Check("llama.cpp", "ok", f"runs through {resolve_runner()}")
    except EngineMissingError as error:
        yield Check("llama.cpp", "problem", error.what, error.remedy)
    for engine in dict.fromkeys(row.engine for row in rows):
        try:
            yield from _check_requirements(engine, hardware, [row for row in rows if row.engine == engine])
        except SeatrialError as error:
            yield Check(f"Engine {engine}", "warning", error.what, error.remedy or "Repair that first.")


def _check_program(row: EngineProgram) -> Check:
    name = f"Engine {row.program if row.starts != 'llama-server' else row.starts}"
    if row.state == "not installed":
        return Check(name, "ok", "not installed (optional)", row.remedy)
    if row.state == "ready":
        version = f" {row.version}" if row.version else ""
        return Check(name, "ok", f"{row.program}{version} at {row.path}")
    return Check(name, "warning", row.why, row.remedy)


def _check_requirements(engine: str, hardware: Hardware, rows: Sequence[EngineProgram]) -> Iterator[Check]:
    """Check what one engine requires; what is missing is a warning, as other engines may run."""
    from seatrial.catalog.engine_facts import engine_facts
    from seatrial.programs.preflight import Installed, check_requirements_here

    facts = engine_facts(engine)
    installed = next((row for row in rows if row.path), None)
    meant = any(gpu.vendor in facts.planning.vendors for gpu in hardware.gpus)
    if not facts.requires or not (installed or meant):
        return
    found = Installed(str(installed.path), installed.version) if installed else None
    checks = check_requirements_here(engine, hardware, found=found, installing=installed is None)
    wrong = [check for check in checks if check.status != "ok" and check.name.partition(": ")[2] not in _CHECKED_ONCE]
    for check in wrong:
        yield replace(check, status="warning")
    if not wrong:
        met = ", ".join(f"{check.name.partition(': ')[2]} {check.found}" for check in checks if check.status == "ok")
        yield Check(f"{facts.title}: what it requires", "ok", met)
    if meant:
        yield _runs_v4(engine, facts.title, hardware)


def _runs_v4(engine: str, title: str, hardware: Hardware) -> Check:
    from seatrial.plan import make_plan

    plan = make_plan("flash", hardware=hardware, engine=engine)
    name = f"{title}: DeepSeek V4 Flash"
    if plan.runs:
        return Check(name, "ok", f"{plan.checkpoint} runs on {hardware.name}")
    why = plan.reasons[0].text if plan.reasons else f"{plan.checkpoint} does not run on {hardware.name}"
    remedy = plan.smallest_change or "seatrial plan --all ranks what runs."
    if plan.verdict == "refused":
        return Check(name, "warning", why.rstrip("."), remedy)
    return Check(name, "ok", f"does not fit: {why.rstrip('.')}", remedy)


def check_flags() -> Iterator[Check]:
    """Check that engines which take seconds to list their flags still accept those of this kit's commands."""
    from seatrial.engines import build_command
    from seatrial.plan import make_plan
    from seatrial.programs.find import known_programs
    from seatrial.programs.inventory import list_engines
    from seatrial.programs.probing import slow_flags_taken

    machine = detect_hardware(_FLAGS_MACHINE)
    for row in list_engines():
        program = known_programs()[row.starts]
        if not program.slow_help or row.path is None:
            continue
        plan = make_plan("flash", hardware=machine, engine=row.engine)
        used = set(build_command(plan, version=row.version).flags)
        taken, last = slow_flags_taken(program, row.path)
        name = f"Engine {row.program}: flags"
        if len(taken) < len(used):
            yield Check(name, "warning", f"{row.program} could not list its flags: {last[:200]}", program.remedy)
        elif used - taken:
            gone = ", ".join(sorted(used - taken))
            yield Check(name, "warning", f"the help of {row.program} does not name {gone}", program.remedy)
        else:
            yield Check(name, "ok", f"{row.program} accepts all {len(used)} flags of the command for {_FLAGS_MACHINE}")


def check_wsl(hardware: Hardware) -> Iterator[Check]:
    """Check what is particular about Linux inside Windows."""
    if not hardware.host.wsl:
        return
    folder = str(paths.models_dir())
    if folder.startswith("/mnt/"):
        found = f"{folder} is on a disk of Windows, which WSL reads many times slower than its own"
        yield Check("WSL", "warning", found, "Set SEATRIAL_CACHE to a folder of Linux, such as ~/.cache/seatrial.")
    memory = format_gib(hardware.host.memory_bytes)
    found = f"Linux sees {memory}; WSL gives it half of the memory of Windows unless .wslconfig says otherwise"
    yield Check("WSL", "ok", found)
