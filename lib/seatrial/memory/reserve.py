"""What an engine takes beside weights and caches: an interval, assumed, with its basis."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil
from typing import Any

from seatrial.memory.kv import Load
from seatrial.memory.shape import CSA, Shape


@dataclass(frozen=True, slots=True)
class Reserve:
    """Bytes on one GPU: context, graphs, activations and compute buffers."""

    low: int
    expected: int
    high: int


def reserve_of(shape: Shape | None, hidden_size: int, engine: str, load: Load, ubatch_tokens: int) -> Reserve:
    """Reserve of one GPU (or of the host, where nothing is on a GPU).

    Args:
        shape: Of a DeepSeek V4; None for a plain transformer.
        hidden_size: Width of the model.
        engine: Engine name.
        load: Context and requests.
        ubatch_tokens: llama.cpp's micro-batch.

    """
    row = assumptions()["engines"][engine]
    low, expected, high = (sum(part[i] for part in row["per_gpu"].values()) for i in range(3))
    compute = row.get("compute")
    if compute is None:
        return Reserve(low, expected, high)
    per_token = hidden_size * (shape.hc_mult if shape else 1) * compute["hidden_bytes"]
    if shape and shape.csa_layers:
        per_token += ceil(load.context_tokens / CSA) * shape.index_n_heads * compute["index_score_bytes"]
    buffer = min(ubatch_tokens, load.context_tokens) * per_token
    factors = (compute["low_factor"], 1, compute["high_factor"])
    return Reserve(*(base + ceil(buffer * factor) for base, factor in zip((low, expected, high), factors, strict=True)))


@cache
def assumptions() -> dict[str, Any]:
    """The rows of ``data/reserve.json``."""
    table: dict[str, Any] = json.loads(
        files("seatrial.memory").joinpath("data", "reserve.json").read_text(encoding="utf-8")
    )
    return table
