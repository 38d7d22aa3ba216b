"""Weights on one GPU: tensor parallelism splits most weights but never the KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil

from seatrial.memory.shape import AnyShape
from seatrial.memory.storage import Split, stored
from seatrial.memory.tables import table
from seatrial.memory.types import Parallelism
from seatrial.memory.weights import tensors_of


@dataclass(frozen=True, slots=True)
class RankWeights:
    """Weights on the fullest rank, as shares of all weights."""

    sharded: float  # on this rank only
    replicated: float  # on other ranks of the stage as well


@cache
def rank_weights(shape: AnyShape, parallelism: Parallelism, *, tables_on_host: bool = False) -> RankWeights:
    """Return the share of the weights on the fullest rank.

    Every rank of a stage has its part of the routed experts: a slice of each (tensor parallel) or some entire ones
    (expert parallel). Attention heads, shared experts and vocabulary are split among the ranks of one attention
    replica, so each replica of data-parallel attention has a copy. Norms, routers, compressors, indexers and
    hyper-connections are on every rank.

    Shares, because files with another storage than the config's are split in the same proportions.

    Args:
        shape: Shape of the model.
        parallelism: How the work is split.
        tables_on_host: True if the Engram tables of V4.1 are in host memory.

    """
    divisors = {"experts": parallelism.tensor, "heads": parallelism.tensor // parallelism.data, "replicated": 1}
    layers, outside = _sizes_by_split(shape, tables=not tables_on_host)
    total = sum(layers.values()) + sum(outside.values()) + (table_bytes(shape) if tables_on_host else 0)
    sharded = replicated = 0.0
    for sizes, part in ((layers, stage_share(shape.num_hidden_layers, parallelism.pipeline)), (outside, 1.0)):
        for split, size in sizes.items():
            here = ceil(size / divisors[split]) * part
            if divisors[split] > 1 or parallelism.tensor == 1:
                sharded += here
            else:
                replicated += here
    return RankWeights(sharded / total, replicated / total)


@cache
def table_bytes(shape: AnyShape) -> int:
    """Return the bytes of the Engram tables with their scales; 0 without."""
    sizes = [stored(tensor, shape.layout) for tensor in tensors_of(shape) if tensor.kind == "table"]
    return sum(size.payload_bytes + size.scale_bytes for size in sizes)


@cache
def _sizes_by_split(shape: AnyShape, *, tables: bool) -> tuple[dict[Split, int], dict[Split, int]]:
    """Return bytes by how tensor parallelism splits them: of all layers, and of everything outside the layers."""
    layers: dict[Split, int] = {}
    outside: dict[Split, int] = {}
    for tensor in tensors_of(shape):
        if tensor.kind == "table" and not tables:
            continue
        size = stored(tensor, shape.layout)
        # One pipeline stage, the first or the last, has all of the vocabulary or the draft head.
        sizes = outside if tensor.draft or tensor.group in {"embeddings", "output_head"} else layers
        sizes[tensor.split] = sizes.get(tensor.split, 0) + size.payload_bytes + size.scale_bytes
    return layers, outside


def stage_share(layers: int, stages: int) -> float:
    """Return the share of the layers in the largest pipeline stage."""
    return ceil(layers / stages) / layers


def context_note(engine: str) -> str:
    """Return a sentence on whether this engine can split one request's cache among ranks, with its source."""
    row = table("context")["engines"].get(engine, table("context")["other"])
    return f"{row['text']} ({row['source']})."
