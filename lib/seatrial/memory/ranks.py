"""What one GPU holds: tensor parallelism splits most weights but never the KV cache."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil

from seatrial.memory.shape import Shape
from seatrial.memory.tensors import Split, stored, tensors
from seatrial.memory.types import Parallelism


@dataclass(frozen=True, slots=True)
class RankWeights:
    """What the fullest rank holds, as shares of all weights.

    Attributes:
        sharded: What lies on this rank alone.
        replicated: What other ranks of the stage hold as well.

    """

    sharded: float
    replicated: float


@cache
def rank_weights(shape: Shape, parallelism: Parallelism) -> RankWeights:
    """Share of the weights on the fullest rank.

    Routed experts are spread over every rank of a stage, whether each expert is split (tensor
    parallel) or dealt out whole (expert parallel). Attention heads, shared experts and vocabulary
    are split among the ranks of one attention replica, so data-parallel attention keeps a copy on each.
    Norms, routers, compressors, indexers and hyper-connections lie on every rank.

    Files stored in another way than the config says are split in the same proportions, hence shares.
    """
    divisors = {"experts": parallelism.tensor, "heads": parallelism.tensor // parallelism.data, "whole": 1}
    layers, outside = _sizes_by_split(shape)
    whole = sum(layers.values()) + sum(outside.values())
    share = stage_share(shape.num_hidden_layers, parallelism.pipeline)
    held = {"sharded": 0.0, "replicated": 0.0}
    for sizes, part in ((layers, share), (outside, 1.0)):
        for split, size in sizes.items():
            alone = divisors[split] > 1 or parallelism.tensor == 1
            held["sharded" if alone else "replicated"] += ceil(size / divisors[split]) * part
    return RankWeights(held["sharded"] / whole, held["replicated"] / whole)


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


def context_note(engine: str) -> str:
    """Whether this engine can share out one request's cache, and where that stands."""
    table = json.loads(files("seatrial.memory").joinpath("data", "context.json").read_text(encoding="utf-8"))
    row = table["engines"].get(engine, table["other"])
    return f"{row['text']} ({row['source']})."
