"""Lays a described machine out below a folder: its kernel files, a Mac's programs, GPUs for the stand-in of NVML."""

from __future__ import annotations

import json
import os
from pathlib import Path

from described.machine import DescribedMachine
from seatrial.errors import UsageError
from seatrial.hardware.accelerators import accelerators
from seatrial.units import GIB

_UNKNOWN_GPU = "81559\t9.0\t0\t-\tNVIDIA H100 80GB HBM3\n"
"""A GPU of which only the number is told."""
_PROGRAMS = {"sysctl": 'exec cat "$0.d/$2"', "system_profiler": 'exec cat "$0.json"'}


def lay_out(machine: DescribedMachine, folder: Path, stand_in: Path) -> dict[str, str]:
    """Write a machine into an empty folder, and return the environment of a process that meets it.

    Args:
        machine: What to write.
        folder: ``root`` in it becomes the machine's ``/``.
        stand_in: Folder of the stand-in library of NVML.

    Raises:
        UsageError: If two of its files need the same path as file and folder.

    """
    root = folder / "root"
    files = {name: str(content) for name, content in machine.files.items()}
    files.setdefault("proc/meminfo", _meminfo(machine))
    if machine.container:
        files.setdefault(".dockerenv", "")
    _write(root, files)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder / "home"),
        **machine.environment,
        "SEATRIAL_STATE": str(folder / "state"),
        "SEATRIAL_CACHE": str(folder / "cache"),
    }
    if machine.hw_memsize is not None:
        _write_mac(machine, folder)
        environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    if machine.has_nvml:
        gpus = [
            f"{gpu.memory_mib or 0}\t{gpu.compute_capability}\t{gpu.mig}\t{gpu.uuid or '-'}\t{gpu.name}\n"
            for gpu in machine.nvidia
        ]
        (folder / "gpus").write_text("".join(gpus) + _UNKNOWN_GPU * machine.nvidia_count, encoding="utf-8")
        errors = {"nvmlInitWithFlags": machine.init, "nvmlDeviceGetHandleByIndex_v2": machine.handle}
        given = machine.environment.get("LD_LIBRARY_PATH")
        environment |= {
            "LD_LIBRARY_PATH": f"{stand_in}{os.pathsep}{given}" if given else str(stand_in),
            "STANDIN_NVML_GPUS": str(folder / "gpus"),
            "STANDIN_NVML_ERRORS": ",".join(f"{name}={code}" for name, code in errors.items() if code),
        }
    return environment


def _write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8", errors="surrogateescape")
        except (OSError, UnicodeError) as error:
            raise UsageError(f"its file {name[:80]!r} cannot be written: {error}.") from error


def _meminfo(machine: DescribedMachine) -> str:
    total = machine.host.memory_gib * GIB if machine.hw_memsize is None else machine.hw_memsize
    free = total if machine.host.available_gib is None else machine.host.available_gib * GIB
    sizes = {"MemTotal": total, "MemFree": free, "MemAvailable": free}
    sizes |= dict.fromkeys(("Buffers", "Cached", "SReclaimable", "Shmem", "Active", "Inactive", "Slab"), 0)
    return "".join(f"{name}: {int(size) // 1024} kB\n" for name, size in sizes.items())


def _write_mac(machine: DescribedMachine, folder: Path) -> None:
    """Write the two programs that a Mac is read with, and their answers."""
    chip = _chip(machine)
    answers = {
        "hw.memsize": machine.hw_memsize,
        "iogpu.wired_limit_mb": machine.wired_limit_mb,
        "machdep.cpu.brand_string": chip,
    }
    _write(folder / "sysctl.d", {name: str(answer) for name, answer in answers.items()})
    profile = {"SPDisplaysDataType": [{"sppci_model": chip}]}
    (folder / "system_profiler.json").write_text(json.dumps(profile), encoding="utf-8")
    for name, line in _PROGRAMS.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        program.chmod(0o755)


def _chip(machine: DescribedMachine) -> str:
    if machine.chip is not None:
        return machine.chip
    macs = [row for row in accelerators().values() if row.vendor == "apple"]
    found = [row for row in macs if machine.name.casefold().startswith(f"{row.key}-")]
    return max(found, key=lambda row: len(row.key)).name if found else "Apple M (chip not told)"
