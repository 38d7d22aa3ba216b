"""Keeps the measured bandwidth of a machine, and gives it to later descriptions of the same hardware.

A record is one JSON file in ``<state>/bandwidth/``, named after the host it was measured on. GPUs in it count for GPUs of
the same name and memory.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from seatrial import paths
from seatrial.errors import UsageError
from seatrial.hardware.types import Gpu, Hardware, Host, Problem
from seatrial.records import from_dict, read_json, to_dict, write_json
from seatrial.units import to_gib

FORMAT = 1
_MAX_RECORD_BYTES = 1 << 20
_LEAST, _MOST = 1e8, 1e15
"""Bytes or operations a second: less is slower than a disk, more is faster than any chip."""
_FIGURES = ("read_bytes_per_s", "decode_bytes_per_s", "prompt_flops", "gpus")
REMEDY = "Measure again: seatrial detect --measure."


@dataclass(frozen=True, slots=True)
class HostKind:
    """Properties of a host that decide how fast its cores read memory."""

    cpu: str | None  # model name
    cores: int | None  # physical ones this process may use
    memory_gib: int | None  # memory it may use, in full GiB: the last digits change from boot to boot


@dataclass(frozen=True, slots=True)
class GpuBandwidth:
    """Measured memory bandwidth of one GPU."""

    name: str  # as its driver says it
    memory_bytes: int | None
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class BandwidthRecord:
    """Everything measured on a machine; what could not be measured is None, or missing among the GPUs."""

    format: int
    measured_at: str  # the oldest figure; UTC, ISO 8601
    tool: str  # version of this kit
    host: HostKind
    read_bytes_per_s: float | None  # by the cores
    decode_bytes_per_s: float | None  # see Host
    prompt_flops: float | None
    gpus: tuple[GpuBandwidth, ...]


def kind_of(host: Host) -> HostKind:
    """Return the properties of a host by which its record is found."""
    memory = host.usable_memory_bytes
    return HostKind(host.cpu, host.cores, None if memory is None else round(to_gib(memory)))


def record_path(kind: HostKind) -> Path:
    """Return the file of a host's record, which need not exist."""
    digest = hashlib.sha256(repr(to_dict(kind)).encode()).hexdigest()[:16]
    return folder() / f"{digest}.json"


def folder() -> Path:
    """Return the folder of records, which need not exist."""
    return paths.state_dir() / "bandwidth"


def write_record(record: BandwidthRecord) -> Path:
    """Write a record in place of an earlier one, atomically.

    Raises:
        UsageError: If the folder cannot be written.
        DoesNotFitError: If the disk is full.

    """
    paths.private_dir(folder())
    path = record_path(record.host)
    write_json(path, record, mode=0o600)
    return path


def merged(record: BandwidthRecord) -> BandwidthRecord:
    """Return a record with the figures that it lacks from the stored one of the same host, if that can be used.

    The date is then the stored one: no figure counts as newer than it is. GPUs are kept only if none was measured now.
    """
    try:
        stored = _read(record.host)
    except UsageError:
        return record
    kept = {name: getattr(stored, name) for name in _FIGURES if not getattr(record, name) and getattr(stored, name)}
    return replace(record, **kept, measured_at=stored.measured_at if kept else record.measured_at)


def with_measured_bandwidth(hardware: Hardware) -> Hardware:
    """Return a detected machine with its measured bandwidth, if there is any.

    A record that cannot be used is one problem, never an error: the figures of the data sheets stay.
    """
    kind = kind_of(hardware.host)
    try:
        record = _read(kind)
    except UsageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return hardware
        cause, path = error.__cause__, record_path(kind)
        remedy = paths.cannot_read(path, cause).remedy if isinstance(cause, OSError) else REMEDY
        problem = Problem(f"The measured bandwidth in {path} is not used: {error.what}", remedy)
        return replace(hardware, problems=(*hardware.problems, problem))
    return _with_record(hardware, record)


def _read(kind: HostKind) -> BandwidthRecord:
    """Return the stored record of a host.

    Raises:
        UsageError: If there is none, or if it cannot be used.

    """
    record = from_dict(BandwidthRecord, read_json(record_path(kind), _MAX_RECORD_BYTES))
    _check(record, kind)
    return record


def _check(record: BandwidthRecord, kind: HostKind) -> None:
    """Refuse a record of another format or machine, or with a figure that no machine has.

    Raises:
        UsageError: With the first thing that is wrong.

    """
    if record.format != FORMAT:
        raise UsageError(f"it has format {record.format}, and this version reads {FORMAT}.")
    if record.host != kind:
        raise UsageError(f"it was measured on another machine ({_described(record.host)}, not {_described(kind)}).")
    try:
        datetime.fromisoformat(record.measured_at)
    except ValueError:
        raise UsageError(f"{record.measured_at[:40]!r} is not a date.") from None
    figures = (record.read_bytes_per_s, record.decode_bytes_per_s, record.prompt_flops)
    for figure in (*figures, *(gpu.bytes_per_s for gpu in record.gpus)):
        if figure is not None and not is_plausible(figure):
            raise UsageError(f"no machine has {figure:g} a second.")


def is_plausible(figure: float) -> bool:
    """Return True for a finite number of bytes or operations a second that a machine can have."""
    return math.isfinite(figure) and _LEAST <= figure <= _MOST


def _described(kind: HostKind) -> str:
    return f"{kind.cpu or 'unknown CPU'}, {kind.cores or '?'} cores, {kind.memory_gib or '?'} GiB"


def _with_record(hardware: Hardware, record: BandwidthRecord) -> Hardware:
    host, day = hardware.host, record.measured_at
    if record.read_bytes_per_s is not None:
        host = replace(host, bandwidth_bytes_per_s=record.read_bytes_per_s, bandwidth_measured_at=day)
    host = replace(host, decode_bytes_per_s=record.decode_bytes_per_s, prompt_flops=record.prompt_flops)
    found = _by_position(hardware.gpus, record.gpus)
    gpus = tuple(
        gpu if rate is None else replace(gpu, bandwidth_bytes_per_s=rate, bandwidth_measured_at=day)
        for gpu, rate in zip(hardware.gpus, found, strict=True)
    )
    return replace(hardware, host=host, gpus=gpus, problems=(*hardware.problems, *_exchanged(hardware.gpus, record)))


def _exchanged(gpus: tuple[Gpu, ...], record: BandwidthRecord) -> Iterator[Problem]:
    """Yield a problem if GPUs were exchanged since the measurement."""
    now, then = {gpu.name for gpu in gpus}, {gpu.name for gpu in record.gpus}
    if now - then and then - now:
        what = f"The bandwidth of {', '.join(sorted(now - then))} is the data sheet's: on {record.measured_at[:10]}"
        yield Problem(f"{what} this machine had {', '.join(sorted(then - now))}.", REMEDY)


def _by_position(gpus: tuple[Gpu, ...], measured: tuple[GpuBandwidth, ...]) -> list[float | None]:
    """Return the bandwidth of each GPU: its own if the machine has the same GPUs as then, else the least of its kind."""
    kinds, then = [_kind(gpu) for gpu in gpus], [_kind(gpu) for gpu in measured]
    if kinds == then:
        return [gpu.bytes_per_s for gpu in measured]
    least: dict[tuple[str, int | None], float] = {}
    for kind, gpu in zip(then, measured, strict=True):
        least[kind] = min(gpu.bytes_per_s, least.get(kind, math.inf))
    return [least.get(kind) for kind in kinds]


def _kind(gpu: Gpu | GpuBandwidth) -> tuple[str, int | None]:
    """Return name and memory in full GiB: of memory shared with the host the last digits change from boot to boot."""
    return gpu.name, None if gpu.memory_bytes is None else round(to_gib(gpu.memory_bytes))
