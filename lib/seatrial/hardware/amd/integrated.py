"""Tells a GPU inside a processor from a card. This is the only place that decides it, and it asks what the chip is.

How much memory a GPU has or may map tells nothing: amdgpu lets a card map half of the host's memory too, so a card of 24 GiB
beside 128 GiB looks like a processor's GPU, and firmware gives a processor's GPU 96 GiB of its own if one asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from seatrial.hardware.amd.cards import Card
from seatrial.hardware.kernel_files import read_start
from seatrial.json_text import parse_json

_INTEGRATED_TABLES = (b"\2", b"\3")
"""Revisions of the driver's gpu_metrics table for chips with processor cores (kgd_pp_interface.h); cards have 1."""
_SMALL_COMPUTE_UNITS = 4
"""At most so many: made to show a desktop, and slower with a model's layers than the processor beside them."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A row of ``chips.json``."""

    architecture: str
    name: str
    compute_units: int | None
    pci_device_ids: tuple[str, ...]


@cache
def chips() -> tuple[Chip, ...]:
    """Load the known chips whose GPU is inside the processor."""
    document = parse_json(Path(__file__).with_name("chips.json").read_bytes())
    return msgspec.convert(document["chips"], tuple[Chip, ...])


def chip_of(card: Card) -> Chip | None:
    """Return the known chip of a GPU inside a processor, by device id or architecture; None for any other."""
    return next(
        (chip for chip in chips() if card.device_id in chip.pci_device_ids or card.architecture == chip.architecture),
        None,
    )


def is_integrated(card: Card) -> bool:
    """Return True if the GPU is inside a processor: by its chip, else by the kernel's words about one not yet listed."""
    return (
        chip_of(card) is not None
        or read_start(card.device / "gpu_metrics", 4)[2:3] in _INTEGRATED_TABLES
        or card.node.get("cpu_cores_count", "0") != "0"  # one node of the topology has processor cores and this GPU
    )


def serving(found: Sequence[Card], *, beside_cards: bool) -> list[Card]:
    """Return the GPUs that serve a model.

    Beside a card no GPU inside a processor does: it shares the host memory in which the plan keeps experts. Without a card it
    does unless it is a small one.

    Args:
        found: GPUs of the amdgpu driver.
        beside_cards: The machine has cards of another vendor.

    """
    own = [card for card in found if not is_integrated(card)]
    return own if own or beside_cards else [card for card in found if not _is_small(card)]


def _is_small(card: Card) -> bool:
    chip = chip_of(card)
    return chip is not None and chip.compute_units is not None and chip.compute_units <= _SMALL_COMPUTE_UNITS
