"""Loads the known accelerators: memory, bandwidth and peak rates, each figure with its sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import msgspec

from seatrial.hardware.types import WIRED_LIMIT, Gpu
from seatrial.json_text import parse_json
from seatrial.units import GB, GIB, MIB

DATA_FILE = "accelerators.json"
_MEMORY_TOLERANCE = 0.08
"""Relative difference between the driver's figure and the marketed one: GB against GiB, ECC, firmware."""


@dataclass(frozen=True, slots=True)
class DenseTflops:
    """Peak of the matrix units without sparsity, in 1e12 operations per second; None without such units."""

    bf16: float | None
    fp8: float | None
    fp4: float | None


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A row of ``accelerators.json``; unknown values are None."""

    key: str  # name a person types: ``h100`` in ``h100x8``
    name: str  # product name
    vendor: str  # ``nvidia``, ``amd`` or ``apple``
    memory_gb: float | None  # marketed, per GPU; the largest size per machine if memory is unified
    reported_mib: int | None  # as the driver reports it
    memory_options_gb: tuple[int, ...] | None  # sizes a unified-memory machine was sold with
    bandwidth_gb_s: float | None  # peak memory bandwidth, 1e9 bytes per second
    dense_tflops: DenseTflops
    architecture: str | None  # compute capability ("9.0"), or "gfx942"
    unified_memory: bool  # CPU and GPU share one memory
    gpus_per_node_max: int  # a larger count is taken for a typing error
    formats_not_native: tuple[str, ...]  # formats the chip has no units for
    driver_names: tuple[str, ...]
    pci_device_ids: tuple[str, ...]  # for AMD accelerators without a product name
    conflicts: tuple[str, ...]  # sources with other figures
    notes: tuple[str, ...]  # other facts a person should know
    source: dict[str, tuple[str, ...]]  # sources by field
    checked: str  # date, ISO 8601
    other_names: tuple[str, ...] = ()  # other names a person may type for the key

    @property
    def memory_bytes(self) -> int | None:
        """Memory of one accelerator: the driver's figure if known, else the marketed one."""
        if self.reported_mib is not None:
            return self.reported_mib * MIB
        return None if self.memory_gb is None else self.bytes_of(self.memory_gb)

    def bytes_of(self, size_gb: float) -> int:
        """Return the bytes of a marketed size; Apple's sizes are binary: 128 GB show as 137,438,953,472 bytes."""
        return round(size_gb * (GIB if self.vendor == "apple" else GB))

    def has_memory(self, memory_bytes: int | None) -> bool:
        """Return True if a card with ``memory_bytes`` can be this one; a card of unknown size can."""
        expected = self.memory_bytes
        if memory_bytes is None or expected is None or self.unified_memory:
            return True
        return abs(memory_bytes - expected) <= _MEMORY_TOLERANCE * expected

    def to_gpu(self, memory_bytes: int | None) -> Gpu:
        """Make a GPU of this kind with ``memory_bytes``, and all other figures from the data file."""
        return Gpu(
            name=self.name,
            vendor=self.vendor,
            accelerator=self.key,
            memory_bytes=memory_bytes,
            bandwidth_bytes_per_s=_scaled(self.bandwidth_gb_s, 1e9),
            bf16_flops=_scaled(self.dense_tflops.bf16, 1e12),
            fp8_flops=_scaled(self.dense_tflops.fp8, 1e12),
            compute_capability=self.architecture,
            unified=self.unified_memory,
            limit_setting=WIRED_LIMIT if self.vendor == "apple" else None,
        )


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


@cache
def accelerators() -> Mapping[str, Accelerator]:
    """Load every accelerator of the data file, by its key."""
    document = parse_json(Path(__file__).with_name(DATA_FILE).read_bytes())
    rows = msgspec.convert(document["accelerators"], list[Accelerator])
    return MappingProxyType({row.key: row for row in rows})


def match_driver_name(name: str, memory_bytes: int | None) -> Accelerator | None:
    """Return the accelerator with this driver name, None if no row has it.

    The memory must match too: one name may stand for cards of different sizes.
    """
    rows = accelerators().values()
    return next((row for row in rows if name in row.driver_names and row.has_memory(memory_bytes)), None)


def match_architecture(
    architecture: str | None, memory_bytes: int | None, pci_device_id: str = ""
) -> Accelerator | None:
    """Return the accelerator with this PCI device id, or the only one of its architecture and size."""
    rows = accelerators().values()
    same = [row for row in rows if pci_device_id in row.pci_device_ids] or [
        row for row in rows if architecture is not None and row.architecture == architecture
    ]
    fitting = [row for row in same if row.has_memory(memory_bytes)]
    return fitting[0] if len(fitting) == 1 else None
