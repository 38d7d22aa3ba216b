"""What an engine takes beside weights and caches: an interval, assumed, with its basis."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from math import ceil
from typing import Any

from seatrial.catalog.cached_vectors import CSA
from seatrial.memory.blocks import pool_slack
from seatrial.memory.kv import CacheLoad
from seatrial.memory.shape import Shape
from seatrial.records import Interval

_REMEMBERED = 4096
"""Reserves of loads that are kept: ways to split a checkpoint share them."""


@dataclass(frozen=True, slots=True, eq=False)
class Reserve:
    """Bytes on one GPU beside weights and caches, by what they are for."""

    parts: dict[str, Interval]
    expected: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """The reserve of several GPUs together: each part between which bytes, and all of them."""

    parts: dict[str, Interval]
    interval: Interval


@lru_cache(maxsize=_REMEMBERED)
def over_gpus(reserve: Reserve, count: int) -> Reserved:
    """The reserve of ``count`` GPUs together."""
    parts = {name: Interval(p.low * count, p.expected * count, p.high * count) for name, p in reserve.parts.items()}
    each = parts.values()
    return Reserved(parts, Interval(sum(p.low for p in each), sum(p.expected for p in each), sum(p.high for p in each)))


@lru_cache(maxsize=_REMEMBERED)
def reserve_of(  # noqa: PLR0913, PLR0917 -- everything it depends on
    shape: Shape | None,
    hidden_size: int,
    engine: str,
    load: CacheLoad,
    ubatch_tokens: int,
    batched_tokens: int | None = None,
) -> Reserve:
    """Reserve of one GPU (or of the host, where nothing is on a GPU).

    Args:
        shape: Of a DeepSeek V4; None for a plain transformer.
        hidden_size: Width of the model.
        engine: Engine name.
        load: Context and requests.
        ubatch_tokens: llama.cpp's micro-batch.
        batched_tokens: Most tokens of one of vLLM's steps; None where that is left to its own defaults.

    """
    fixed = _fixed(engine)
    row = assumptions()["engines"][engine]
    if "batched_tokens" in row and shape:
        steps = [batched_tokens] * 3 if batched_tokens else row["batched_tokens"]
        low, pool, high = (pool_slack(shape, load, row["batches_in_flight"] * tokens) for tokens in steps)
        return Reserve({**fixed.parts, "block_pool": Interval(low, pool, high)}, fixed.expected + pool)
    compute = row.get("compute")
    if compute is None:
        return fixed
    per_token = hidden_size * (shape.hc_mult if shape else 1) * compute["hidden_bytes"]
    if shape and shape.csa_layers:
        per_token += ceil(load.context_tokens / CSA) * shape.index_n_heads * compute["index_score_bytes"]
    buffer = min(ubatch_tokens, load.context_tokens) * per_token
    low, high = ceil(buffer * compute["low_factor"]), ceil(buffer * compute["high_factor"])
    return Reserve({**fixed.parts, "compute_buffer": Interval(low, buffer, high)}, fixed.expected + buffer)


@cache
def _fixed(engine: str) -> Reserve:
    """What does not hang on the load."""
    rows = assumptions()["engines"][engine]["per_gpu"]
    return Reserve({name: Interval(*row) for name, row in rows.items()}, sum(row[1] for row in rows.values()))


@cache
def assumptions() -> dict[str, Any]:
    """The rows of ``data/reserve.json``."""
    table: dict[str, Any] = json.loads(
        files("seatrial.memory").joinpath("data", "reserve.json").read_text(encoding="utf-8")
    )
    return table
