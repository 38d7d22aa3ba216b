"""Reads the memory that a processor and the GPU inside it share, and how much of it the kernel lets the GPU take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seatrial.hardware.amd.cards import Card
from seatrial.hardware.kernel_files import read_number, read_text
from seatrial.hardware.types import Gpu, Host

_PAGE = 4096
_TTM_MODULES = ("amdttm", "ttm")
"""Modules that hand out pages to the GPU: AMD's own driver package (DKMS) brings the first, the kernel has the second."""


def with_shared_memory(gpu: Gpu, card: Card, host: Host, root: Path = Path("/")) -> Gpu:
    """Return the GPU with the memory it shares, and the kernel's limit on its part.

    The firmware sets a part aside for the GPU (its VRAM). Of the rest the driver maps as much as the GTT is large, if that is more
    than the VRAM; else the VRAM is all that compute programs get (``apu_prefer_gtt`` in amdgpu_ttm.c).

    Args:
        gpu: What is known otherwise.
        card: The GPU's files.
        host: The computer; its memory is without the part the firmware set aside.
        root: Folder of ``/sys``.

    """
    own, mapped = _part(card, "vram"), _part(card, "gtt")
    if own is None and mapped is None:
        return replace(gpu, memory_bytes=None, memory_free_bytes=None)
    own_size, own_free = own or (0, 0)
    mapped_size, mapped_free = mapped or (0, 0)
    module = next((name for name in _TTM_MODULES if (root / f"sys/module/{name}").exists()), _TTM_MODULES[-1])
    pages = read_number(root / f"sys/module/{module}/parameters/pages_limit")
    # amdgpu.gttsize may be set to more than there is to hand out.
    if pages is not None and 0 < pages * _PAGE < mapped_size:
        mapped_free = max(0, mapped_free - (mapped_size - pages * _PAGE))
        mapped_size = pages * _PAGE
    rest = mapped_size if host.memory_bytes is None else host.memory_bytes
    limit, free = min(mapped_size, rest), mapped_free
    if host.memory_available_bytes is not None:
        free = min(free, host.memory_available_bytes)
    if own_size >= mapped_size:
        limit, free = own_size, own_free
    return replace(
        gpu,
        memory_bytes=own_size + rest,
        memory_free_bytes=min(limit, free),
        memory_limit_bytes=limit,
        limit_setting=f"{module}.pages_limit",
    )


def gtt_parameter(root: Path = Path("/")) -> str | None:
    """Return the older parameter of the limit, such as ``amdgpu.gttsize=65536``, None if nobody set it."""
    value = read_text(root / "sys/module/amdgpu/parameters/gttsize")
    return f"amdgpu.gttsize={value}" if value.isdecimal() else None


def used_bytes(card: Card) -> int | None:
    """Return the memory in use by a GPU inside a processor: its own, and what it maps of the host's."""
    parts = [card.number(f"mem_info_{kind}_used") for kind in ("vram", "gtt")]
    return None if all(part is None for part in parts) else sum(part or 0 for part in parts)


def _part(card: Card, kind: str) -> tuple[int, int] | None:
    """Read the size of a part of the memory and what is free of it, None if the size is unknown."""
    size, used = card.number(f"mem_info_{kind}_total"), card.number(f"mem_info_{kind}_used")
    return None if size is None else (size, max(0, size - (used or 0)))
