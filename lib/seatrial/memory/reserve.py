"""Memory an engine takes beside weights and caches: an interval, assumed, with its basis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from seatrial.catalog.cached_vectors import CSA
from seatrial.memory.kv import CacheLoad
from seatrial.memory.model_bytes import ModelBytes
from seatrial.memory.shape import AnyShape, Shape
from seatrial.memory.tables import table
from seatrial.memory.v41_caches import v41_pool_slack
from seatrial.memory.vllm_pool import pool_slack
from seatrial.records import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Reserve:
    """Bytes beside weights and caches by purpose, on one GPU or several. Compared by identity, for ``lru_cache``."""

    parts: dict[str, Interval]
    interval: Interval  # sum of the parts


@lru_cache(maxsize=4096)
def over_gpus(reserve: Reserve, count: int) -> Reserve:
    """Return the reserve of ``count`` GPUs together."""
    return _sum(
        {name: Interval(p.low * count, p.expected * count, p.high * count) for name, p in reserve.parts.items()}
    )


@lru_cache(maxsize=4096)
def reserve_of(
    model: ModelBytes, engine: str, load: CacheLoad, ubatch_tokens: int, batched_tokens: int | None
) -> Reserve:
    """Return the reserve of one GPU (or of the host, if no layer is on a GPU).

    Args:
        model: Model that is served.
        engine: Engine name.
        load: Context and requests.
        ubatch_tokens: Of llama.cpp.
        batched_tokens: Of vLLM; if None, its own defaults make the interval.

    """
    row, shape = table("reserve")["engines"][engine], model.shape
    parts = {name: Interval(*bounds) for name, bounds in row["per_gpu"].items()}
    if "batched_tokens" in row and shape:
        steps = [batched_tokens] * 3 if batched_tokens else row["batched_tokens"]
        parts["block_pool"] = Interval(*(_slack(shape, load, row["batches_in_flight"] * tokens) for tokens in steps))
    if "compute" in row:
        scores = 0
        if isinstance(shape, Shape) and shape.csa_layers:
            scores = ceil(load.context_tokens / CSA) * shape.index_n_heads
        width = model.config["hidden_size"] * (shape.hc_mult if shape else 1)
        parts["compute_buffer"] = compute_buffer(width, min(ubatch_tokens, load.context_tokens), scores)
    return _sum(parts)


def _slack(shape: AnyShape, load: CacheLoad, in_flight_tokens: int) -> int:
    if isinstance(shape, Shape):
        return pool_slack(shape, load, in_flight_tokens)
    return v41_pool_slack(shape, load, in_flight_tokens)


def compute_buffer(width: int, tokens: int, index_scores: int = 0) -> Interval:
    """Return what llama.cpp computes one micro-batch in.

    Args:
        width: Values of the hidden streams of a token.
        tokens: Of a micro-batch.
        index_scores: Scores of the indexer for a token.

    """
    row = table("reserve")["engines"]["llamacpp"]["compute"]
    buffer = tokens * (width * row["hidden_bytes"] + index_scores * row["index_score_bytes"])
    return Interval(ceil(buffer * row["low_factor"]), buffer, ceil(buffer * row["high_factor"]))


def _sum(parts: dict[str, Interval]) -> Reserve:
    each = parts.values()
    return Reserve(parts, Interval(sum(p.low for p in each), sum(p.expected for p in each), sum(p.high for p in each)))
