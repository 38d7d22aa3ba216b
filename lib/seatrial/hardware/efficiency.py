"""Keeps how fast engines really were on this machine beside what was predicted, for the next predictions here.

A record is one JSON file in ``<state>/efficiency/``, named after the machine: the host's kind and its GPUs.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from seatrial import paths
from seatrial.errors import UsageError
from seatrial.hardware.bandwidth.record import HostKind, kind_of
from seatrial.hardware.types import Efficiency, Hardware, Problem
from seatrial.records import from_dict, read_json, to_dict, write_json
from seatrial.units import to_gib

FORMAT = 1
REMEDY = "Measure again, which writes it anew: seatrial measure --server NAME."
MOST_RATIO = 1000.0
"""Times as slow or as fast as predicted; more is no measurement of the same thing."""
_MAX_RECORD_BYTES = 1 << 20
_MOST_EFFICIENCIES = 256  # in a record; the oldest go
_MOST_STREAMS = 1 << 20


@dataclass(frozen=True, slots=True)
class MachineKind:
    """Properties of a machine by which its record is found."""

    host: HostKind
    gpus: tuple[tuple[str, int | None], ...]  # name and memory in full GiB


@dataclass(frozen=True, slots=True)
class EfficiencyRecord:
    """Everything measured on a machine."""

    format: int
    machine: MachineKind
    efficiencies: tuple[Efficiency, ...]  # the oldest first


def machine_kind(hardware: Hardware) -> MachineKind:
    """Return the properties of a machine by which its record is found."""
    gpus = ((gpu.name, None if gpu.memory_bytes is None else round(to_gib(gpu.memory_bytes))) for gpu in hardware.gpus)
    return MachineKind(kind_of(hardware.host), tuple(gpus))


def record_path(machine: MachineKind) -> Path:
    """Return the file of a machine's record, which need not exist."""
    digest = hashlib.sha256(repr(to_dict(machine)).encode()).hexdigest()[:16]
    return folder() / f"{digest}.json"


def folder() -> Path:
    """Return the folder of records, which need not exist."""
    return paths.state_dir() / "efficiency"


def keep_efficiency(hardware: Hardware, efficiency: Efficiency) -> Path:
    """Add what was measured to the machine's record; levels of the same engine, checkpoint and split are replaced.

    Raises:
        UsageError: If the folder cannot be written.
        DoesNotFitError: If the disk is full.

    """
    machine = machine_kind(hardware)
    try:
        stored = list(_read(machine).efficiencies)
    except UsageError:  # none yet, or one that cannot be used
        stored = []
    known = next((one for one in stored if one.same_kind(efficiency)), None)
    if known is not None:
        stored.remove(known)
        measured = {level.streams for level in efficiency.levels}
        kept = [level for level in known.levels if level.streams not in measured]
        levels = sorted((*kept, *efficiency.levels), key=lambda level: level.streams)
        efficiency = replace(efficiency, levels=tuple(levels))
    record = EfficiencyRecord(FORMAT, machine, (*stored, efficiency)[-_MOST_EFFICIENCIES:])
    paths.private_dir(folder())
    path = record_path(machine)
    write_json(path, record, mode=0o600)
    return path


def with_measured_efficiency(hardware: Hardware) -> Hardware:
    """Return a detected machine with what was measured on it, if there is anything.

    A record that cannot be used is one problem, never an error: predictions then stay as they are.
    """
    machine = machine_kind(hardware)
    try:
        record = _read(machine)
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return hardware
        cause, path = error.__cause__, record_path(machine)
        remedy = paths.cannot_read(path, cause).remedy if isinstance(cause, OSError) else REMEDY
        problem = Problem(f"The measured speeds in {path} are not used: {error.what}", remedy)
        return replace(hardware, problems=(*hardware.problems, problem))
    return replace(hardware, efficiencies=record.efficiencies)


def _read(machine: MachineKind) -> EfficiencyRecord:
    """Return the stored record of a machine.

    Raises:
        UsageError: If there is none, or if it cannot be used.

    """
    record = from_dict(EfficiencyRecord, read_json(record_path(machine), _MAX_RECORD_BYTES))
    if record.format != FORMAT:
        raise UsageError(f"it has format {record.format}, and this version reads {FORMAT}.")
    if record.machine != machine:
        raise UsageError("it was measured on another machine.")
    for one in record.efficiencies:
        try:
            datetime.fromisoformat(one.measured_at)
        except ValueError:
            raise UsageError(f"{one.measured_at[:40]!r} is not a date.") from None
    for level in (level for one in record.efficiencies for level in one.levels):
        if not 1 <= level.streams <= _MOST_STREAMS:
            raise UsageError(f"no load has {level.streams} streams.")
        for ratio in (level.decode, level.prefill):
            if not is_plausible(ratio):
                raise UsageError(f"no engine takes {ratio:g} times as long as predicted.")
    return record


def is_plausible(ratio: float) -> bool:
    """Return True for a ratio of measured and predicted time that a measurement of the same thing can have."""
    return math.isfinite(ratio) and 1 / MOST_RATIO <= ratio <= MOST_RATIO
