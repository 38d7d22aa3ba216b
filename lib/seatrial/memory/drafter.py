"""Bytes of a drafter that llama.cpp loads beside the model: its weights, its cache, and what it computes in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from seatrial.catalog import Checkpoint, find_model
from seatrial.memory import kv
from seatrial.memory.options import Options
from seatrial.memory.reserve import compute_buffer
from seatrial.memory.types import Footprint
from seatrial.records import Interval

_DRAFT_CACHE = "f16"
"""Type of the drafter's cache: ``--cache-type-k`` and ``-v`` set the model's only."""


@dataclass(frozen=True, slots=True)
class DrafterBytes:
    """Bytes of a DSpark drafter. It has no embeddings and no output head: it uses the model's."""

    weights: int
    experts: int  # of the weights
    kv: int
    buffer: Interval  # assumed, as the model's
    layers: int


def drafter_config(drafter: Checkpoint) -> dict[str, Any]:
    """Return the fields of config.json that a drafter is sized and checked by."""
    own = drafter.config
    return own if drafter.model == "local" else {**find_model(drafter.model).config, **own}


def drafter_bytes(drafter: Checkpoint, context_tokens: int, requests: int, options: Options) -> DrafterBytes:
    """Return the bytes of a drafter that serves these requests.

    Each of its layers has a window of keys and of values, which the model fills while it computes.

    Args:
        drafter: Of the catalog or local.
        context_tokens: Context of each request.
        requests: Served at once.
        options: Of the model.

    """
    config = drafter_config(drafter)
    load = kv.CacheLoad(context_tokens, requests)
    cells = kv.window_cells(config["sliding_window"], load, options.ubatch_tokens)
    layers = int(config["num_hidden_layers"])
    row = kv.row_bytes(config["head_dim"], _DRAFT_CACHE)
    by_class, weights = drafter.weights_by_class, drafter.weights_bytes or 0
    return DrafterBytes(
        weights=weights,
        experts=by_class.get("experts", 0),
        kv=2 * cells * layers * row * requests,
        buffer=compute_buffer(config["hidden_size"] * config["hc_mult"], min(options.ubatch_tokens, context_tokens)),
        layers=layers,
    )


def with_drafter(
    footprint: Footprint, drafter: DrafterBytes, *, on_each: int | None = None, buffers: int = 1
) -> Footprint:
    """Return the footprint of the model and its drafter.

    Args:
        footprint: Of the model.
        drafter: Lies on a GPU; in host memory if the entire model does.
        on_each: Bytes of it on the fullest GPU; by default all.
        buffers: GPUs that compute some of it, each in a buffer of its own.

    """
    buffer = int(drafter.buffer.expected) * buffers
    total = drafter.weights + drafter.kv + buffer
    on_gpu = bool(footprint.per_gpu_by_part)
    parts = {**footprint.per_gpu_by_part, "drafter": total if on_each is None else on_each} if on_gpu else {}
    reserve = footprint.reserve_interval
    return replace(
        footprint,
        weights_bytes=footprint.weights_bytes + drafter.weights,
        kv_bytes=footprint.kv_bytes + drafter.kv,
        reserve_bytes=footprint.reserve_bytes + buffer,
        total_bytes=footprint.total_bytes + total,
        per_gpu_bytes=sum(parts.values()),
        per_gpu_by_part=parts,
        host_bytes=footprint.host_bytes + (0 if on_gpu else total),
        by_class={**footprint.by_class, "draft": drafter.weights},
        kv_by_class={**footprint.kv_by_class, "draft": drafter.kv},
        reserve_interval=reserve and _sum(reserve, drafter.buffer, buffers),
        reserve_by_part={
            **footprint.reserve_by_part,
            "drafter_buffer": _sum(Interval(0, 0, 0), drafter.buffer, buffers),
        },
    )


def _sum(one: Interval, other: Interval, times: int) -> Interval:
    return Interval(one.low + other.low * times, one.expected + other.expected * times, one.high + other.high * times)
