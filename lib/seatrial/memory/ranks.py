"""What one GPU holds: tensor parallelism splits most weights but never the KV cache."""

from __future__ import annotations

from functools import cache
from math import ceil

from seatrial.memory.shape import Shape
from seatrial.memory.tensors import Split, stored, tensors
from seatrial.memory.types import Parallelism


def rank_weights(shape: Shape, parallelism: Parallelism) -> int:
    """Bytes of weights on the fullest rank.

    Routed experts are spread over every rank of a stage, whether each expert is split (tensor
    parallel) or dealt out whole (expert parallel). Attention heads, shared experts and vocabulary
    are split among the ranks of one attention replica, so data-parallel attention keeps a copy on each.
    Norms, routers, compressors, indexers and hyper-connections lie on every rank.
    """
    divisors = {"experts": parallelism.tensor, "heads": parallelism.tensor // parallelism.data, "whole": 1}
    layers, outside = (
        sum(ceil(size / divisors[split]) for split, size in sizes.items()) for sizes in _sizes_by_split(shape)
    )
    return ceil(layers * stage_share(shape.num_hidden_layers, parallelism.pipeline)) + outside


@cache
def _sizes_by_split(shape: Shape) -> tuple[dict[Split, int], dict[Split, int]]:
    """Bytes by what tensor parallelism does with them: of all layers, and of what lies outside them."""
    layers: dict[Split, int] = {}
    outside: dict[Split, int] = {}
    for tensor in tensors(shape):
        payload, scales, _ = stored(tensor, shape.layout)
        # Vocabulary and draft head lie on the first or last pipeline stage, whole.
        sizes = outside if tensor.draft or tensor.group in {"embeddings", "output_head"} else layers
        sizes[tensor.split] = sizes.get(tensor.split, 0) + payload + scales
    return layers, outside


def stage_share(layers: int, stages: int) -> float:
    """Share of the layers in the largest pipeline stage."""
    return ceil(layers / stages) / layers
