"""NVIDIA GPUs through NVML, each reading on its own; never by parsing nvidia-smi."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seatrial.hardware.accelerators import Accelerator, match_driver_name
from seatrial.hardware.nvidia_problems import NOT_SUPPORTED, failed_reading, failed_start, is_lost
from seatrial.hardware.nvml_process import DEADLINE_S, library_absence, run_probe
from seatrial.hardware.types import Gpu, Host, Problem

_PROFILE = re.compile(r"MIG (?P<compute>[0-9]+)(?:c\.[0-9]+)?g\.")
_COMPUTE_SLICES = 7
"""Compute slices of every GPU that has MIG: 1g is a seventh of it."""


@dataclass(frozen=True, slots=True)
class NvmlReading:
    """What the driver told.

    Attributes:
        gpus: One entry a GPU, or a MIG slice of one.
        driver: Driver version.
        cuda: Highest CUDA version the driver supports.
        source: What was read.
        problems: What could not be read.

    """

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    source: str = ""
    problems: tuple[Problem, ...] = ()


def read_nvidia(
    host: Host, *, root: Path = Path("/"), environment: Mapping[str, str] | None = None, deadline_s: float = DEADLINE_S
) -> NvmlReading:
    """Read every NVIDIA GPU this process may use.

    Args:
        host: The computer; a GPU with unified memory shares its memory.
        root: Where ``/dev``, ``/proc`` and ``/sys`` lie.
        environment: Environment variables, those of this process where None.
        deadline_s: How long the driver may take to answer.

    """
    absence = library_absence(root)
    if absence is not None:
        return NvmlReading(problems=absence)
    lines, problems = run_probe(deadline_s)
    system: dict[str, Any] = {}
    entries: list[dict[str, Any]] = []
    for line in lines:
        kind = line["kind"]
        if kind == "start":
            problems.append(failed_start(line))
        elif kind == "gpu":
            entries.append(line)
        else:
            system.update(line)
            problems += [failed_reading(failure, None) for failure in line["failed"]]
    visible, note, hidden = _visible(entries, os.environ if environment is None else environment)
    gpus: list[Gpu] = []
    for entry in visible:
        found, failures = _to_gpus(entry, host)
        gpus += found
        problems += failures
    return NvmlReading(
        tuple(gpus), system.get("driver"), _cuda(system.get("cuda")), f"NVML{note}", (*problems, *hidden)
    )


def _visible(
    entries: list[dict[str, Any]], environment: Mapping[str, str]
) -> tuple[list[dict[str, Any]], str, list[Problem]]:
    """Entries that CUDA_VISIBLE_DEVICES leaves over, a note about it, and a problem where none is left.

    Like CUDA, the list ends at its first invalid entry.
    """
    setting = environment.get("CUDA_VISIBLE_DEVICES")
    if setting is None or not entries:
        return entries, "", []
    chosen: list[dict[str, Any]] = []
    for word in setting.split(","):
        found = _find(entries, word.strip())
        if found is None:
            break
        chosen.append(found)
    note = f"; CUDA_VISIBLE_DEVICES={setting[:80]} leaves {len(chosen)} of {len(entries)}"
    hidden = Problem(
        f"CUDA_VISIBLE_DEVICES={setting[:80]!r} hides all {len(entries)} GPUs from this process.",
        "Unset CUDA_VISIBLE_DEVICES to use them.",
    )
    return chosen, note, [] if chosen else [hidden]


def _find(entries: list[dict[str, Any]], word: str) -> dict[str, Any] | None:
    """The GPU an entry of CUDA_VISIBLE_DEVICES means: a number, or the start of a UUID."""
    for entry in entries:
        if word.isdecimal() and int(word) == entry["index"]:
            return entry
        if word.startswith("GPU-") and str(entry.get("uuid")).startswith(word):
            return entry
        slices = [part for part in entry.get("slices", ()) if word.startswith("MIG-") and part["uuid"] == word]
        if slices:
            return {**entry, "slices": slices}
    return None


def _to_gpus(entry: dict[str, Any], host: Host) -> tuple[list[Gpu], list[Problem]]:
    """The GPU of one line, or the slices on it, and what could not be read."""
    index = entry["index"]
    lost = next(filter(is_lost, entry["failed"]), None)
    if lost or "name" not in entry:
        return [], [failed_reading(lost or entry["failed"][0], index)]
    accelerator = match_driver_name(entry["name"], entry["memory_bytes"]) if entry["name"] else None
    whole = _whole(entry, accelerator)
    failures = entry["failed"]
    if _is_unified(entry, accelerator):
        whole = replace(whole, unified=True)
        if whole.memory_bytes is None:
            whole = replace(whole, memory_bytes=host.memory_bytes, memory_free_bytes=host.memory_available_bytes)
            failures = [failure for failure in failures if failure["reading"] != "memory"]
    problems = [failed_reading(failure, index) for failure in failures]
    if not entry["mig"]:
        return [whole], problems
    slices = [_slice(part, whole) for part in entry["slices"]]
    if not slices:
        problems.append(
            Problem(
                f"GPU {index} ({whole.name}) has MIG on but no slices, so nothing can run on it.",
                f"Make slices, or turn MIG off: sudo nvidia-smi -i {index} -mig 0.",
            )
        )
    return slices, problems


def _whole(entry: dict[str, Any], accelerator: Accelerator | None) -> Gpu:
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
    """Peak bandwidth of a GPU that is not listed: two transfers a clock over the bus."""
    clock, width = entry["memory_clock_mhz"], entry["bus_width_bits"]
    return clock * 1e6 * 2 * width / 8 if clock and width else None


def _is_unified(entry: dict[str, Any], accelerator: Accelerator | None) -> bool:
    """Listed as such; an unlisted GPU that has no memory of its own to report shares the host's."""
    if accelerator is not None:
        return accelerator.unified_memory
    return any(failure["reading"] == "memory" and failure["code"] == NOT_SUPPORTED for failure in entry["failed"])


def _slice(part: dict[str, Any], whole: Gpu) -> Gpu:
    """A MIG slice: its own memory, and its share of bandwidth and compute.

    Memory slices carry their share of the bandwidth, compute slices theirs of the rate
    (https://docs.nvidia.com/datacenter/tesla/mig-user-guide/). No recipe for the whole GPU
    holds for a slice, so it matches no accelerator.
    """
    profile = _PROFILE.search(part["name"] or "")
    compute = int(profile["compute"]) / _COMPUTE_SLICES if profile else None
    memory = part["memory_bytes"] / whole.memory_bytes if part["memory_bytes"] and whole.memory_bytes else None

    def share(value: float | None, fraction: float | None) -> float | None:
        return None if value is None or fraction is None else value * fraction

    return replace(
        whole,
        name=part["name"] or f"{whole.name} MIG slice",
        accelerator=None,
        memory_bytes=part["memory_bytes"],
        memory_free_bytes=part["memory_free_bytes"],
        bandwidth_bytes_per_s=share(whole.bandwidth_bytes_per_s, memory),
        bf16_flops=share(whole.bf16_flops, compute),
        fp8_flops=share(whole.fp8_flops, compute),
    )


def _cuda(version: int | None) -> str | None:
    """13000 -> "13.0"."""
    return None if version is None else f"{version // 1000}.{version % 1000 // 10}"
