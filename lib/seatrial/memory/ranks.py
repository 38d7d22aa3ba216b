"""What one GPU holds: tensor parallelism splits most weights but never the KV cache."""

from __future__ import annotations

from functools import cache
from math import ceil

from seatrial.memory.shape import Shape
from seatrial.memory.tensors import stored, tensors
from seatrial.memory.types import Parallelism


@cache
def rank_weights(shape: Shape, parallelism: Parallelism) -> int:
    """Bytes of weights on the fullest rank.

    Routed experts are spread over every rank of a stage, whether each expert is split (tensor
    parallel) or dealt out whole (expert parallel). Attention heads, shared experts and vocabulary
    are split among the ranks of one attention replica, so data-parallel attention keeps a copy on each.
    Norms, routers, compressors, indexers and hyper-connections lie on every rank.
    """
    divisors = {
        "experts": parallelism.tensor,
        "heads": parallelism.tensor // parallelism.data,
        "whole": 1,
    }
    layers = rest = 0
    for tensor in tensors(shape):
        payload, scales, _ = stored(tensor, shape.layout)
        share = ceil((payload + scales) / divisors[tensor.split])
        if tensor.group in {"embeddings", "output_head"} or tensor.draft:
            rest += share
        else:
            layers += share
    return ceil(layers * stage_share(shape.num_hidden_layers, parallelism.pipeline)) + rest


def stage_share(layers: int, stages: int) -> float:
    """Share of the layers in the largest pipeline stage."""
    return ceil(layers / stages) / layers
