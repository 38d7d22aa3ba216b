"""Reads Apple chips through sysctl and system_profiler; the parsers also run elsewhere, on recorded output."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from seatrial.hardware.accelerators import accelerators
from seatrial.hardware.types import Gpu, Host, Problem
from seatrial.json_text import JsonError, parse_json

_DEADLINE_S = 15.0
"""system_profiler takes one to three seconds."""


def read_apple(host: Host) -> tuple[tuple[Gpu, ...], tuple[Problem, ...]]:
    """Read the GPU of this Mac; if its profile cannot be read, from the name of the chip."""
    brand = read_sysctl("machdep.cpu.brand_string")
    try:
        return parse_profile(_run(["system_profiler", "-json", "SPDisplaysDataType"]), brand, host), ()
    except (OSError, subprocess.SubprocessError) as error:
        problem = Problem(
            f"system_profiler could not be run ({type(error).__name__}).", "Run it in a terminal to see the reason."
        )
        return parse_profile("", brand, host), (problem,)


def parse_profile(profile: str, brand: str, host: Host) -> tuple[Gpu, ...]:
    """Read the GPU from the JSON of ``system_profiler``.

    Args:
        profile: Output of system_profiler; if it holds no Apple GPU, ``brand`` names the chip.
        brand: Processor name from sysctl: "Apple M3 Ultra".
        host: The computer; CPU and GPU share its memory.

    """
    try:
        devices = parse_json(profile).get("SPDisplaysDataType", [])
    except (JsonError, AttributeError):
        devices = []
    names = [device.get("sppci_model", "") for device in devices if isinstance(device, dict)]
    chip = next((name for name in [*names, brand] if name.startswith("Apple M")), None)
    return () if chip is None else (_to_gpu(chip, host),)


def _to_gpu(chip: str, host: Host) -> Gpu:
    read = Gpu(
        name=chip,
        vendor="apple",
        memory_bytes=host.memory_bytes,
        memory_free_bytes=host.memory_available_bytes,
        unified=True,
    )
    listed = next((row for row in accelerators().values() if row.name == chip and row.memory_gb is not None), None)
    if listed is None:
        return read
    return replace(listed.to_gpu(read.memory_bytes), name=chip, memory_free_bytes=read.memory_free_bytes)


def read_sysctl(key: str) -> str:
    """Read a value of sysctl, "" if there is none."""
    try:
        return _run(["sysctl", "-n", key])
    except (OSError, subprocess.SubprocessError):
        return ""


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE_S, check=True)
    return done.stdout.strip()
