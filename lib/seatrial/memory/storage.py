"""Storage of one tensor: bytes of its values, of its scales, and elements as a hub counts them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal, NamedTuple

from seatrial.memory.tables import table

Layout = Literal["fp4", "fp8", "fp8_f32_scales", "nvfp4", "bf16", "mxfp8"]
"""Storage of the weights: the rows of ``data/layouts.json``."""

Split = Literal["heads", "experts", "replicated"]
"""Tensor parallelism splits a tensor among the ranks of an attention replica, or all ranks, or copies it."""

_BYTE_BITS = 8


class Stored(NamedTuple):
    """Size of a tensor in a checkpoint."""

    payload_bytes: int
    scale_bytes: int
    elements: int  # as a hub counts them: a packed byte of two FP4 values is one, so is a scale


@dataclass(frozen=True, slots=True)
class Tensor:
    """``count`` equal matrices."""

    group: str  # class under which their bytes are reported ("experts", "attention", ...)
    kind: str  # a kind of layouts.json ("expert", "linear", "grouped_linear") or the name of a format
    rows: int
    columns: int
    count: int = 1
    draft: bool = False  # in the draft head
    split: Split = "replicated"

    @property
    def parameters(self) -> int:
        """Learned numbers in all of them; an integer table has none."""
        return 0 if self.kind == "i64" else self.rows * self.columns * self.count


def stored(tensor: Tensor, layout: Layout) -> Stored:
    """Return the size of a tensor as the layout stores it."""
    storage = table("layouts")["formats"][format_name(tensor, layout)]
    rows, columns = storage["block"]
    blocks = ceil(tensor.rows / rows) * ceil(tensor.columns / columns) if storage["scale_bytes"] else 0
    payload = tensor.rows * ceil(tensor.columns * storage["bits"] / _BYTE_BITS)  # a byte never spans two rows
    packed = storage["bits"] < _BYTE_BITS
    elements = (payload if packed else tensor.rows * tensor.columns) + blocks + (2 if storage["tensor_bytes"] else 0)
    scales = blocks * storage["scale_bytes"] + storage["tensor_bytes"]
    return Stored(payload * tensor.count, scales * tensor.count, elements * tensor.count)


def format_name(tensor: Tensor, layout: Layout) -> str:
    """Return the name of the format (of ``layouts.json``) a tensor is stored in."""
    kinds: dict[str, str] = table("layouts")["layouts"][layout]["formats"]
    kind = "draft_expert" if tensor.kind == "expert" and tensor.draft else tensor.kind
    return kinds.get(kind, kind)


def layout_source(layout: Layout) -> str:
    """Return the source of this layout, with what it was compared with."""
    return str(table("layouts")["layouts"][layout]["source"])
