"""Compares what an engine requires with a machine before anything is downloaded; each shortage has one remedy."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from seatrial.catalog.engine_facts import EngineFacts, Requirement, engine_facts, is_newer, is_older
from seatrial.hardware.types import Hardware, ProcessLimits
from seatrial.units import format_bytes

_Status = Literal["ok", "warning", "problem"]
_CUDA_BUILD = re.compile(r"\+cu(\d{2})\d")


@dataclass(frozen=True, slots=True)
class Check:
    """Result of checking one thing."""

    name: str  # name of the thing that was checked
    status: _Status  # ``ok``; ``warning``: something will not work or be slow; ``problem``: nothing works
    found: str  # finding, with the numbers
    remedy: str = ""  # the one thing to do, "" if nothing is needed


@dataclass(frozen=True, slots=True)
class CheckedMachine:
    """A machine, and the engine it has."""

    hardware: Hardware  # from detect_hardware
    limits: ProcessLimits  # from seatrial.hardware.limits
    nodes: int = 1  # machines that work together
    version: str | None = None  # installed version of the engine, None if it is not installed or unknown


@dataclass(frozen=True, slots=True)
class RequirementReading:
    """Name and form of one of ``READINGS``."""

    name: str
    kind: Literal["version", "bytes", "count", "word"]


READINGS = {
    "driver": RequirementReading("NVIDIA driver", "version"),
    "nvcc": RequirementReading("CUDA compiler (nvcc)", "version"),
    "glibc": RequirementReading("C library (glibc)", "version"),
    "python": RequirementReading("Python", "version"),
    "shared_memory": RequirementReading("shared memory (/dev/shm)", "bytes"),
    "cache_free": RequirementReading("free disk for compiled kernels", "bytes"),
    "locked_memory": RequirementReading("memory a process may lock", "bytes"),
    "open_files_most": RequirementReading("open files a process may ask for", "count"),
    "vendor": RequirementReading("GPU vendor", "word"),
    "system": RequirementReading("operating system", "word"),
    "machine": RequirementReading("processor architecture", "word"),
    "architecture": RequirementReading("GPU architecture", "word"),
    "gpus": RequirementReading("number of GPUs", "word"),
    "nodes": RequirementReading("number of machines", "word"),
    "wsl": RequirementReading("Windows Subsystem for Linux", "word"),
    "cuda_line": RequirementReading("CUDA the engine is built for", "word"),
}
"""Everything a requirement may be about."""
_ABSENT = "0"
"""Version of a program that is not installed."""


def check_requirements(engine: str, machine: CheckedMachine, *, installing: bool = False) -> tuple[Check, ...]:
    """Return a check of everything ``engine`` requires, except readings that could not be taken.

    Args:
        engine: Engine id.
        machine: The machine, and the version that is installed.
        installing: Also check what matters only for the installation.

    """
    facts = engine_facts(engine)
    seen = _readings(facts, machine)
    rows = (row for row in facts.requires if installing or row.stage == "always")
    applying = [row for row in rows if all(seen[name] in values for name, values in row.on.items())]
    return tuple(_check(facts, row, seen[row.what]) for row in applying if seen[row.what] is not None)


def _readings(facts: EngineFacts, machine: CheckedMachine) -> dict[str, str | float | None]:
    """Return every reading by name: versions and words as text, sizes and counts as numbers, no limit as infinity."""
    hardware, limits = machine.hardware, machine.limits
    first = hardware.gpus[0] if hardware.gpus else None
    build = _CUDA_BUILD.search(machine.version or "")
    return {
        "driver": hardware.driver if first and first.vendor == "nvidia" else None,
        "nvcc": limits.nvcc if limits.nvcc_path else _ABSENT,
        "glibc": limits.glibc,
        "python": limits.python,
        "shared_memory": limits.shared_memory_bytes,
        "cache_free": limits.cache_free_bytes,
        "locked_memory": _unbounded(limits.locked_memory_bytes),
        "open_files_most": _unbounded(limits.open_files_most),
        "vendor": first.vendor if first else "none",
        "system": limits.system,
        "machine": limits.machine,
        "architecture": first.compute_capability if first else None,
        "gpus": _how_many(len(hardware.gpus)),
        "nodes": _how_many(machine.nodes),
        "wsl": "yes" if hardware.host.wsl else "no",
        "cuda_line": build[1] if build else (facts.versions.cuda or "").partition(".")[0],
    }


def _check(facts: EngineFacts, row: Requirement, value: str | float | None) -> Check:
    reading = READINGS[row.what]
    name = f"{facts.title}: {reading.name}"
    if _met(row, value):
        return Check(name, "ok", _shown(reading, value))
    shown = f"On this machine the {reading.name} is {_shown(reading, value)}"
    if value == _ABSENT:
        shown = f"No {reading.name} was found"
    return Check(name, row.severity, f"{shown}, but {facts.title} needs {_needed(reading, row)}: {row.why}", row.remedy)


def _met(row: Requirement, value: str | float | None) -> bool:
    if row.one_of:
        return value in row.one_of
    if isinstance(value, str):
        too_old = row.least is not None and is_older(value, str(row.least))
        return not too_old and not (row.most and is_newer(value, row.most))
    least = math.inf if row.least == "unlimited" else float(row.least or 0)
    return value is not None and value >= least


def _needed(reading: RequirementReading, row: Requirement) -> str:
    if row.one_of:
        return " or ".join(row.one_of)
    least = _shown(reading, math.inf if row.least == "unlimited" else row.least)
    if reading.kind == "version":
        return f"{least} to {row.most}" if row.most else f"{least} or newer"
    return least if row.least == "unlimited" else f"at least {least}"


def _shown(reading: RequirementReading, value: str | float | None) -> str:
    if value == math.inf:
        return "no limit"
    if reading.kind == "bytes":
        return format_bytes(int(value or 0))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _how_many(count: int) -> str:
    return "several" if count > 1 else "one" if count else "none"


def _unbounded(limit: int | None) -> float:
    return math.inf if limit is None else limit
