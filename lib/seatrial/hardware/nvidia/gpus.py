"""Describes NVIDIA GPUs and their MIG slices from NVML's readings; one failed reading does not stop the others."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seatrial.hardware.accelerators import Accelerator, match_driver_name
from seatrial.hardware.nvidia.driver import DEADLINE_S, check_library, run_probe
from seatrial.hardware.nvidia.problems import NOT_SUPPORTED, Failure, failed_readings, failed_start, is_lost
from seatrial.hardware.nvidia.visible import visible_gpus
from seatrial.hardware.types import Gpu, Host, Problem

_PROFILE = re.compile(r"MIG (?P<compute>[0-9]+)(?:c\.[0-9]+)?g\.")
_COMPUTE_SLICES = 7
"""Compute slices of every GPU that has MIG: 1g is a seventh of it."""


@dataclass(frozen=True, slots=True)
class NvmlReading:
    """Answers of the driver."""

    gpus: tuple[Gpu, ...] = ()  # one entry for each GPU, or for each MIG slice of one
    driver: str | None = None  # version
    cuda: str | None = None  # highest CUDA version the driver supports
    source: str = ""
    problems: tuple[Problem, ...] = ()
    engine_env: tuple[str, ...] = ()  # variables with which an engine sees these GPUs in this order, NAME=value


def read_nvidia(
    host: Host, *, root: Path = Path("/"), environment: Mapping[str, str] | None = None, deadline_s: float = DEADLINE_S
) -> NvmlReading:
    """Read every NVIDIA GPU this process may use.

    Args:
        host: The computer; a GPU with unified memory shares its memory.
        root: Folder of ``/dev``, ``/proc`` and ``/sys``.
        environment: Environment variables, by default those of this process.
        deadline_s: Seconds the driver may take to answer.

    """
    missing = check_library(root)
    if missing is not None:
        return NvmlReading(problems=missing)
    lines, problems = run_probe(deadline_s)
    variables = os.environ if environment is None else environment
    system: dict[str, Any] = {}
    entries: list[dict[str, Any]] = []
    failures: list[Failure] = []
    for line in lines:
        kind = line["kind"]
        if kind == "start":
            problems.append(failed_start(line, host, variables))
        elif kind == "gpu":
            entries.append(line)
        else:
            system.update(line)
            failures += [(None, failure) for failure in line["failed"]]
    visible = visible_gpus(entries, variables)
    gpus: list[Gpu] = []
    for entry in visible.entries:
        found, failed, without_slices = _to_gpus(entry, host)
        gpus += found
        failures += [(entry["index"], failure) for failure in failed]
        problems += without_slices
    return NvmlReading(
        tuple(gpus),
        system.get("driver"),
        _cuda(system.get("cuda")),
        f"NVML{visible.note}",
        (*failed_readings(failures, host), *problems, *visible.problems),
        visible.engine_env,
    )


def _to_gpus(entry: dict[str, Any], host: Host) -> tuple[list[Gpu], list[dict[str, Any]], list[Problem]]:
    """Return the GPU of one line, or its slices, the readings that failed, and a problem if there are no slices."""
    index = entry["index"]
    lost = next(filter(is_lost, entry["failed"]), None)
    if lost or "name" not in entry:
        return [], [lost or entry["failed"][0]], []
    accelerator = match_driver_name(entry["name"], entry["memory_bytes"]) if entry["name"] else None
    gpu = _gpu(entry, accelerator)
    failures = entry["failed"]
    if _is_unified(entry, accelerator):
        gpu = replace(gpu, unified=True)
        if gpu.memory_bytes is None:
            gpu = replace(gpu, memory_bytes=host.memory_bytes, memory_free_bytes=host.memory_available_bytes)
            failures = [failure for failure in failures if failure["reading"] != "memory"]
    if not entry["mig"]:
        return [gpu], failures, []
    if slices := [_slice(part, gpu) for part in entry["slices"]]:
        return slices, failures, []
    empty = Problem(
        f"GPU {index} ({gpu.name}) has MIG on but no slices, so nothing can run on it.",
        f"Create slices, or turn MIG off: sudo nvidia-smi -i {index} -mig 0.",
    )
    return [], failures, [empty]


def _gpu(entry: dict[str, Any], accelerator: Accelerator | None) -> Gpu:
    read = Gpu(
        name=entry["name"] or "NVIDIA GPU (name not read)",
        vendor="nvidia",
        memory_bytes=entry["memory_bytes"],
        memory_free_bytes=entry["memory_free_bytes"],
        bandwidth_bytes_per_s=_bandwidth(entry),
        compute_capability=".".join(map(str, entry["capability"])) if entry["capability"] else None,
        mig=entry["mig"],
    )
    if accelerator is None:
        return read
    listed = accelerator.to_gpu(read.memory_bytes)
    return replace(
        listed,
        name=read.name,
        memory_free_bytes=read.memory_free_bytes,
        bandwidth_bytes_per_s=listed.bandwidth_bytes_per_s or read.bandwidth_bytes_per_s,
        compute_capability=read.compute_capability or listed.compute_capability,
        mig=read.mig,
    )


def _bandwidth(entry: dict[str, Any]) -> float | None:
    """Compute the peak bandwidth of an unlisted GPU: two transfers per clock over the bus."""
    clock, width = entry["memory_clock_mhz"], entry["bus_width_bits"]
    return clock * 1e6 * 2 * width / 8 if clock and width else None


def _is_unified(entry: dict[str, Any], accelerator: Accelerator | None) -> bool:
    """Return True if the data file lists it as unified, or if an unlisted GPU reports no memory of its own."""
    if accelerator is not None:
        return accelerator.unified_memory
    return any(failure["reading"] == "memory" and failure["code"] == NOT_SUPPORTED for failure in entry["failed"])


def _slice(part: dict[str, Any], gpu: Gpu) -> Gpu:
    """Describe a MIG slice: its own memory, and its share of the GPU's bandwidth and compute.

    Memory slices have their share of the bandwidth, compute slices theirs of the rate
    (https://docs.nvidia.com/datacenter/tesla/mig-user-guide/). No recipe for a full GPU holds for a slice, so a slice
    matches no accelerator.
    """
    profile = _PROFILE.search(part["name"] or "")
    compute = int(profile["compute"]) / _COMPUTE_SLICES if profile else None
    memory = part["memory_bytes"] / gpu.memory_bytes if part["memory_bytes"] and gpu.memory_bytes else None

    def share(value: float | None, fraction: float | None) -> float | None:
        return None if value is None or fraction is None else value * fraction

    return replace(
        gpu,
        name=part["name"] or f"{gpu.name} MIG slice",
        accelerator=None,
        memory_bytes=part["memory_bytes"],
        memory_free_bytes=part["memory_free_bytes"],
        bandwidth_bytes_per_s=share(gpu.bandwidth_bytes_per_s, memory),
        bf16_flops=share(gpu.bf16_flops, compute),
        fp8_flops=share(gpu.fp8_flops, compute),
    )


def _cuda(version: int | None) -> str | None:
    """Format 13000 as "13.0"."""
    return None if version is None else f"{version // 1000}.{version % 1000 // 10}"
