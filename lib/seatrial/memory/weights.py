"""Adds up the tensors of a model: bytes by class, elements and parameters, whatever its architecture."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from seatrial.memory.shape import AnyShape
from seatrial.memory.storage import Tensor, stored
from seatrial.memory.tensors import tensors
from seatrial.memory.v41_shape import V41Shape
from seatrial.memory.v41_tensors import v41_tensors


def tensors_of(shape: AnyShape) -> Iterator[Tensor]:
    """Yield every tensor of the checkpoint, draft head included."""
    return v41_tensors(shape) if isinstance(shape, V41Shape) else tensors(shape)


@cache
def weights_by_class(shape: AnyShape) -> dict[str, int]:
    """Return the bytes of all tensors by class; block scales and the draft head are classes of their own."""
    by_class: dict[str, int] = {}
    for tensor in tensors_of(shape):
        size = stored(tensor, shape.layout)
        group = "draft" if tensor.draft else tensor.group
        by_class[group] = by_class.get(group, 0) + size.payload_bytes
        if size.scale_bytes:
            owner = "draft" if tensor.draft else "scales"
            by_class[owner] = by_class.get(owner, 0) + size.scale_bytes
    return by_class


@cache
def stored_elements(shape: AnyShape) -> int:
    """Return the elements of all tensors, as a hub counts them."""
    return sum(stored(tensor, shape.layout).elements for tensor in tensors_of(shape))


@cache
def count_parameters_of(shape: AnyShape) -> tuple[int, int]:
    """Return all parameters and those used for one token of text; see ``count_parameters``."""
    total = active = 0
    for tensor in tensors_of(shape):
        if tensor.draft or tensor.kind == "table":
            continue
        total += tensor.parameters
        if tensor.group == "experts":
            active += tensor.parameters // shape.n_routed_experts * shape.num_experts_per_tok
        elif tensor.group != "vision" and (tensor.group != "embeddings" or shape.tie_word_embeddings):
            active += tensor.parameters
    return total, active
