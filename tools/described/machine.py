"""A machine as a file describes it: kernel files, GPUs as NVML lists them, a Mac's sysctl, host memory, environment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from seatrial.errors import UsageError
from seatrial.records import from_dict, read_json

_MOST_FILE_BYTES = 64 << 20
_MOST_GIB = 65536.0
_MOST_GPUS = 32
_MOST_NAME = 95
"""Bytes of a GPU's name or UUID, as NVML limits them (NVML_DEVICE_NAME_V2_BUFFER_SIZE)."""
_PARTS = ("files", "nvidia", "nvidia_count", "init", "handle", "hw_memsize", "host")
"""Keys of which a machine has at least one: without any, an entry is a log or a figure."""


@dataclass(frozen=True, slots=True)
class DescribedGpu:
    """An NVIDIA GPU as NVML lists it."""

    name: str
    memory_mib: int | None = None  # None or 0: it shares the host's memory, and NVML reports none
    compute_capability: str = "9.0"
    uuid: str | None = None  # None: made of its number
    mig: int = 0  # slices


@dataclass(frozen=True, slots=True)
class DescribedHost:
    """Memory of the computer, GiB."""

    memory_gib: float = 64.0
    available_gib: float | None = None  # None: all of it


@dataclass(frozen=True, slots=True)
class DescribedMachine:
    """An entry of ``machines``; keys with other names, such as ``expect``, are for people."""

    name: str
    files: dict[str, str | int] = field(default_factory=dict)  # content by path below /
    nvidia: tuple[DescribedGpu, ...] = ()
    nvidia_count: int = 0  # GPUs beside ``nvidia`` of which nothing is known
    init: int = 0  # code that NVML's start returns
    handle: int = 0  # code that every GPU's handle returns
    container: bool = False
    hw_memsize: int | None = None  # a Mac: bytes of its memory
    wired_limit_mb: int = 0  # a Mac: iogpu.wired_limit_mb
    chip: str | None = None  # a Mac: name of its chip; None: the machine's name begins with its key
    host: DescribedHost = DescribedHost()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def has_nvml(self) -> bool:
        """True if NVML is installed on it."""
        return bool(self.nvidia or self.nvidia_count or self.init or self.handle)


@dataclass(frozen=True, slots=True)
class Machines:
    """A file of described machines."""

    machines: tuple[dict[str, Any], ...]


def read_machines(path: Path) -> tuple[list[DescribedMachine], list[str]]:
    """Return the machines of a file, and the names of entries that describe none.

    Raises:
        UsageError: If the file cannot be read, or an entry is malformed; the message names it.

    """
    try:
        entries = from_dict(Machines, read_json(path, _MOST_FILE_BYTES)).machines
    except UsageError as error:
        raise UsageError(
            f"{path} lists no machines: {error.what}", remedy='It must hold {"machines": [{"name": ...}, ...]}.'
        ) from error
    found, left_out = [], []
    for number, entry in enumerate(entries):
        if not any(part in entry for part in _PARTS):
            left_out.append(str(entry.get("name", f"machine {number}")))
            continue
        try:
            machine = from_dict(DescribedMachine, entry)
            _check(machine)
        except UsageError as error:
            raise UsageError(f"{path}, machine {number} ({entry.get('name')!r}): {error.what}") from error
        found.append(machine)
    return found, left_out


def _check(machine: DescribedMachine) -> None:
    """Refuse what no machine has, and files outside its root.

    Raises:
        UsageError: With the first thing that is wrong.

    """
    for name in machine.files:
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
            raise UsageError(f"{name[:80]!r} is no path below the root.")
    host = machine.host
    for size in (host.memory_gib, host.memory_gib if host.available_gib is None else host.available_gib):
        if not (math.isfinite(size) and 0 < size <= _MOST_GIB):
            raise UsageError(f"a host memory of {size:g} GiB makes no sense.")
    if len(machine.nvidia) + max(0, machine.nvidia_count) > _MOST_GPUS or machine.nvidia_count < 0:
        raise UsageError(f"more than {_MOST_GPUS} or fewer than 0 NVIDIA GPUs cannot be played.")
    for gpu in machine.nvidia:
        _check_gpu(gpu)
    if machine.hw_memsize is not None and not 0 < machine.hw_memsize <= _MOST_GIB * (1 << 30):
        raise UsageError(f"a Mac of {machine.hw_memsize:,} bytes makes no sense.")
    for name, value in machine.environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise UsageError(f"{name[:80]!r} is no environment variable.")


def _check_gpu(gpu: DescribedGpu) -> None:
    for text in (gpu.name, gpu.uuid or "-"):
        if not 0 < len(text.encode()) <= _MOST_NAME or not text.isprintable():
            raise UsageError(f"{text[:100]!r} is no name or UUID that NVML can return.")
    major, dot, minor = gpu.compute_capability.partition(".")
    if not (dot and major.isdecimal() and minor.isdecimal()):
        raise UsageError(f"{gpu.compute_capability[:40]!r} is no compute capability such as 9.0.")
    if not 0 <= (gpu.memory_mib or 0) <= _MOST_GIB * 1024 or not 0 <= gpu.mig <= 7:  # noqa: PLR2004 -- slices of a GPU
        raise UsageError(f"{gpu.name} with {gpu.memory_mib} MiB and {gpu.mig} slices makes no sense.")
