"""Describes this machine or a named one, as the start of every plan."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from seatrial.errors import UnknownNameError, UsageError
from seatrial.given import text
from seatrial.hardware.amd import read_amd
from seatrial.hardware.apple import read_apple
from seatrial.hardware.bandwidth.record import with_measured_bandwidth
from seatrial.hardware.efficiency import with_measured_efficiency
from seatrial.hardware.machine_file import file_named, read_machine_file
from seatrial.hardware.named import AUTO, CPU, machine_name, named_machine
from seatrial.hardware.nvidia import read_nvidia
from seatrial.hardware.types import Hardware, Host
from seatrial.units import from_gib

_MAX_HOST_MEMORY_GIB = 65536.0


def detect_hardware(name: str = "auto", *, host_memory_gib: float | None = None) -> Hardware:
    """Describe this machine, a named one, or one that was detected elsewhere.

    Args:
        name: ``auto`` reads this machine; ``cpu`` is this machine without accelerators;
            ``h100x8``, ``rtx4090x2``, ``m3-ultra-512gb`` and so on are named machines. Anything else is
            the path of a file that ``seatrial detect --json`` wrote.
        host_memory_gib: Host memory in GiB. By default ``auto`` and ``cpu`` have that of this
            machine, a file's machine has its own, and that of a named machine is unknown (None).

    Raises:
        UnknownNameError: If there is neither such a machine nor such a file; the message lists the nearest names.
        UsageError: If the count or the memory is impossible, or the file describes no machine.

    """
    if host_memory_gib is not None and not 0 < host_memory_gib <= _MAX_HOST_MEMORY_GIB:
        raise UsageError(
            f"A host memory of {host_memory_gib:g} GiB makes no sense.",
            remedy=f"Give a number of GiB above 0 and at most {_MAX_HOST_MEMORY_GIB:,.0f}.",
        )
    name = text("hardware", name)
    folded = name.casefold()
    if folded == AUTO:
        return _with_host_memory(_dated(_with_measured(read_machine())), host_memory_gib)
    if folded == CPU and host_memory_gib is None:
        source = "host of this machine, accelerators left out"
        return _dated(_with_measured(Hardware(CPU, (), _read_host(), None, None, "measured", source)))
    try:
        return named_machine(name, host_memory_gib)
    except UnknownNameError:
        path = file_named(name)
        if path is None:
            raise
    return _with_host_memory(read_machine_file(path), host_memory_gib)


def _with_measured(hardware: Hardware) -> Hardware:
    """Add what was measured on this machine: its bandwidth, and how fast engines really were."""
    return with_measured_efficiency(with_measured_bandwidth(hardware))


def _dated(hardware: Hardware) -> Hardware:
    return replace(hardware, detected_at=datetime.now(UTC).isoformat(timespec="seconds"))


def read_machine(root: Path = Path("/"), system: str = sys.platform) -> Hardware:
    """Read this machine, with the bandwidth of the data sheets.

    Args:
        root: Folder of ``/dev``, ``/proc`` and ``/sys``.
        system: Operating system, as ``sys.platform`` calls it.

    """
    host = _read_host(root)
    if system == "darwin":
        gpus, problems = read_apple(host)
        if gpus:
            host = replace(host, bandwidth_bytes_per_s=gpus[0].bandwidth_bytes_per_s)
        return Hardware(machine_name(gpus), gpus, host, None, None, "measured", "sysctl, system_profiler", problems)
    nvidia = read_nvidia(host, root=root)
    amd = read_amd(host, root=root, beside_cards=bool(nvidia.gpus))
    gpus = (*nvidia.gpus, *amd.gpus)
    sources = [nvidia.source, amd.source, "/proc", "/sys"]
    return Hardware(
        name=machine_name(gpus),
        gpus=gpus,
        host=host,
        driver=nvidia.driver or amd.driver,
        cuda=nvidia.cuda,
        origin="measured",
        source=", ".join(filter(None, sources)),
        problems=(*nvidia.problems, *amd.problems),
        engine_env=(*nvidia.engine_env, *amd.engine_env),
    )


def _with_host_memory(hardware: Hardware, host_memory_gib: float | None) -> Hardware:
    """Replace the host memory: "would it run on this machine with 128 GiB?"."""
    if host_memory_gib is None:
        return hardware
    if any(gpu.unified for gpu in hardware.gpus):
        raise UsageError(
            f"CPU and GPU of {hardware.name} share one memory, so its host memory cannot be replaced.",
            remedy="Leave the host memory out, or name a machine with the size you mean.",
        )
    size = from_gib(host_memory_gib)
    host = replace(hardware.host, memory_bytes=size, memory_available_bytes=None, memory_limit_bytes=None)
    return replace(
        hardware,
        host=host,
        origin="derived" if hardware.from_file else "assumed",
        source=f"{hardware.source}; host memory as given, {host_memory_gib:g} GiB",
    )


def _read_host(root: Path = Path("/")) -> Host:
    from seatrial.hardware.host import read_host  # it loads psutil, which named machines do not need

    return read_host(root)
