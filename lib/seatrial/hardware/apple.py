"""Reads Apple chips through sysctl and system_profiler; the parsers also run elsewhere, on recorded output."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from seatrial.hardware.accelerators import accelerators
from seatrial.hardware.types import WIRED_LIMIT, Gpu, Host, Problem
from seatrial.json_text import JsonError, parse_json
from seatrial.units import MIB

_DEADLINE_S = 15.0
"""system_profiler takes one to three seconds."""


def read_apple(host: Host) -> tuple[tuple[Gpu, ...], tuple[Problem, ...]]:
    """Read the GPU of this Mac; if its profile cannot be read, from the name of the chip."""
    brand, limit = read_sysctl("machdep.cpu.brand_string"), read_sysctl(WIRED_LIMIT)
    try:
        return parse_profile(_run(["system_profiler", "-json", "SPDisplaysDataType"]), brand, host, limit), ()
    except (OSError, subprocess.SubprocessError) as error:
        problem = Problem(
            f"system_profiler could not be run ({type(error).__name__}).", "Run it in a terminal to see the reason."
        )
        return parse_profile("", brand, host, limit), (problem,)


def parse_profile(profile: str, brand: str, host: Host, wired_limit: str = "") -> tuple[Gpu, ...]:
    """Read the GPU from the JSON of ``system_profiler``.

    Args:
        profile: Output of system_profiler; if it holds no Apple GPU, ``brand`` names the chip.
        brand: Processor name from sysctl: "Apple M3 Ultra".
        host: The computer; CPU and GPU share its memory.
        wired_limit: Value of the sysctl ``iogpu.wired_limit_mb``.

    """
    try:
        devices = parse_json(profile).get("SPDisplaysDataType", [])
    except (JsonError, AttributeError):
        devices = []
    names = [device.get("sppci_model", "") for device in devices if isinstance(device, dict)]
    chip = next((name for name in [*names, brand] if name.startswith("Apple M")), None)
    return () if chip is None else (_to_gpu(chip, host, _limit_bytes(wired_limit, host)),)


def _limit_bytes(wired_limit: str, host: Host) -> int | None:
    """Return the limit that somebody set, at most the memory there is; None if macOS chooses."""
    limit = int(wired_limit) * MIB if wired_limit.isascii() and wired_limit.isdecimal() else 0
    return min(limit, host.memory_bytes or limit) or None


def _to_gpu(chip: str, host: Host, limit_bytes: int | None) -> Gpu:
    read = Gpu(
        name=chip,
        vendor="apple",
        memory_bytes=host.memory_bytes,
        memory_free_bytes=host.memory_available_bytes,
        memory_limit_bytes=limit_bytes,
        limit_setting=WIRED_LIMIT,
        unified=True,
    )
    listed = next((row for row in accelerators().values() if row.name == chip and row.memory_gb is not None), None)
    if listed is None:
        return read
    return replace(
        listed.to_gpu(read.memory_bytes),
        name=chip,
        memory_free_bytes=read.memory_free_bytes,
        memory_limit_bytes=limit_bytes,
    )


def read_sysctl(key: str) -> str:
    """Read a value of sysctl, "" if there is none."""
    try:
        return _run(["sysctl", "-n", key])
    except (OSError, subprocess.SubprocessError):
        return ""


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE_S, check=True)
    return done.stdout.strip()
