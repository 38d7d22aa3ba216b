"""Describes the AMD GPUs that serve models on this machine, and what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.hardware.accelerators import match_architecture, match_driver_name
from seatrial.hardware.amd.cards import Card, cards
from seatrial.hardware.amd.integrated import is_integrated, serving
from seatrial.hardware.amd.shared_memory import gtt_parameter, with_shared_memory
from seatrial.hardware.amd.visible import Visible, visible_cards
from seatrial.hardware.kernel_files import read_text
from seatrial.hardware.types import Gpu, Host, Problem
from seatrial.hardware.unified import NARROW, raised_limit
from seatrial.units import GIB, format_gib

_VULKAN_NONE = "GGML_VK_VISIBLE_DEVICES="
"""An empty list: llama.cpp's Vulkan backend then uses no GPU (ggml-vulkan.cpp, ggml_vk_instance_init)."""

_MUCH = 4 * GIB
"""So much of the host's memory is worth a visit to the firmware's setup."""


@dataclass(frozen=True, slots=True)
class AmdReading:
    """What the amdgpu driver says."""

    gpus: tuple[Gpu, ...] = ()  # those that serve models
    driver: str | None = None  # version
    source: str = ""
    problems: tuple[Problem, ...] = ()
    engine_env: tuple[str, ...] = ()  # variables with which an engine sees these GPUs only, NAME=value


def read_amd(
    host: Host,
    *,
    root: Path = Path("/"),
    environment: Mapping[str, str] | None = None,
    beside_cards: bool = False,
) -> AmdReading:
    """Read the AMD GPUs that serve models: cards, or the GPU inside the processor if it is fit for that.

    Args:
        host: The computer; a GPU inside the processor shares its memory.
        root: Folder of ``/sys`` and ``/usr``.
        environment: Environment variables, by default those of this process.
        beside_cards: The machine has cards of another vendor.

    """
    found = cards(root)
    if not found:
        return AmdReading()
    known = [card for card in found if card.node] or found
    visible = visible_cards(known, os.environ if environment is None else environment)
    chosen = serving(visible.cards, beside_cards=beside_cards)
    left_out = [card for card in visible.cards if card not in chosen]
    gpus = tuple(_to_gpu(card, host, root) for card in chosen)
    env: tuple[str, ...] = ()
    # CUDA's variable is HIP's too, and beside NVIDIA cards the engine may get one with their UUIDs.
    if tuple(chosen) != visible.hip or (chosen and beside_cards):
        env = (visible.variable_for(chosen),)
    if not chosen and not beside_cards:
        env = (*env, _VULKAN_NONE)
    notes = []
    if visible.cards != tuple(known):
        notes = [f"{' and '.join(visible.settings)} leaves {len(visible.cards)} of {len(known)}"]
    notes += [f"left out: {card.product(root) or card.label}, inside the processor" for card in left_out]
    unknown = [card for card in found if card not in known]
    notes += [f"left out: {card.product(root) or card.label}, not in the KFD topology" for card in unknown]
    return AmdReading(
        gpus,
        read_text(root / "sys/module/amdgpu/version") or None,
        "; ".join(["amdgpu sysfs", *notes]),
        (
            *_problems(chosen, root),
            *_hidden(known, visible, beside_cards=beside_cards),
            *_limits(gpus, host, root),
            *_set_aside(left_out, root),
        ),
        env,
    )


def _problems(chosen: Sequence[Card], root: Path) -> Iterator[Problem]:
    if chosen and all(card.architecture is None for card in chosen):
        yield Problem(
            f"{len(chosen)} AMD GPU(s) found, but their compute driver (KFD) is missing: there is no /dev/kfd.",
            "Load the amdgpu driver with KFD, or pass --device=/dev/kfd to the container.",
        )
    for card in chosen:
        if card.number("mem_info_vram_total") is None:
            yield Problem(
                f"{card.product(root) or card.label}: memory could not be read from {card.device}.",
                "Update the kernel or the amdgpu driver; until then its memory is unknown.",
            )


def _hidden(found: Sequence[Card], visible: Visible, *, beside_cards: bool) -> Iterator[Problem]:
    """Name the variables that hide every GPU that would serve."""
    if visible.settings and not visible.cards and serving(found, beside_cards=beside_cards):
        names = " and ".join(setting.partition("=")[0] for setting in visible.settings)
        yield Problem(
            f"{' and '.join(visible.settings)} hides all {len(found)} AMD GPUs from this process.",
            f"Unset {names} to use them.",
        )


def _limits(gpus: Sequence[Gpu], host: Host, root: Path) -> Iterator[Problem]:
    """Name a limit that keeps a GPU from most of the memory it shares, and how it is raised."""
    for gpu in gpus:
        raised = raised_limit(gpu, host)
        limit, memory = gpu.memory_limit_bytes, gpu.memory_bytes
        if raised is None or limit is None or memory is None or limit >= NARROW * memory:
            continue
        old = gtt_parameter(root)
        instead = f" instead of {old}, which is deprecated" if old else ""
        yield Problem(
            f"{gpu.name} may take {format_gib(limit)} of the {format_gib(memory)} it shares with the processor ({raised.today}).",
            f"Raise the limit{instead}: {raised.how}.",
        )


def _set_aside(left_out: Sequence[Card], root: Path) -> Iterator[Problem]:
    """Name memory of the host that the firmware keeps for a GPU that serves no model."""
    for card in left_out:
        size = card.number("mem_info_vram_total") or 0
        if size >= _MUCH:
            yield Problem(
                f"The firmware keeps {format_gib(size)} of the host's memory for {card.product(root) or card.label}, "
                "which serves no model here.",
                "Set the memory of the integrated GPU (UMA frame buffer) to the smallest in the firmware's setup.",
            )


def _to_gpu(card: Card, host: Host, root: Path) -> Gpu:
    vram, used = card.number("mem_info_vram_total"), card.number("mem_info_vram_used")
    product = card.product(root)
    listed = (match_driver_name(product, vram) if product else None) or match_architecture(
        card.architecture, vram, card.device_id
    )
    gpu = listed.to_gpu(vram) if listed else Gpu("", "amd", memory_bytes=vram)
    gpu = replace(
        gpu,
        name=product or (listed.name if listed else card.label),
        memory_free_bytes=None if vram is None or used is None else max(0, vram - used),
        compute_capability=card.architecture or gpu.compute_capability,
        unified=is_integrated(card),
    )
    return with_shared_memory(gpu, card, host, root) if gpu.unified else gpu
