"""Computes how far the limit on a GPU's part of unified memory can be raised, and the setting that does it."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.hardware.types import Gpu, Host
from seatrial.units import GIB, MIB, format_gib

NARROW = 0.75
"""A limit below this share of the memory is worth a word."""
_SYSTEM_SHARE, _SYSTEM_MOST = 0.125, 8 * GIB
_STEP = 1000 * MIB
_PAGE = 4096
_SMALL_PART = GIB
_PAGES_SETTINGS = ("ttm.pages_limit", "amdttm.pages_limit")


@dataclass(frozen=True, slots=True)
class RaisedLimit:
    """A larger limit."""

    limit_bytes: int
    today: str  # what sets the present one
    how: str  # what to set, as part of a sentence


def raised_limit(gpu: Gpu, host: Host) -> RaisedLimit | None:
    """Return how to let a GPU take nearly all memory it shares; None if nothing sets a limit, or little would be gained.

    Args:
        gpu: The GPU.
        host: The computer; its memory is without what the firmware has set aside for the GPU.

    """
    memory, limit, setting = gpu.memory_bytes, gpu.memory_limit_bytes, gpu.limit_setting
    if memory is None or limit is None or setting not in _PAGES_SETTINGS:
        return None
    most = _most(memory)
    if most <= limit:
        return None
    how, set_aside = f"{kernel_parameter(memory, setting)}, then a reboot", memory - (host.memory_bytes or memory)
    if set_aside > _SMALL_PART:
        how += ", with the GPU's own memory set to the smallest in the firmware"
    return RaisedLimit(most, "the firmware's setting" if limit <= set_aside else "amdgpu's GTT", how)


def kernel_parameter(memory_bytes: int, setting: str = _PAGES_SETTINGS[0]) -> str:
    """Return the kernel parameter with which an AMD GPU may take nearly all memory it shares."""
    most = _most(memory_bytes)
    return f"the kernel parameter {setting}={most // _PAGE} (pages of 4 KiB: {format_gib(most)})"


def _most(memory: int) -> int:
    return (memory - min(int(memory * _SYSTEM_SHARE), _SYSTEM_MOST)) // _STEP * _STEP
