"""Bytes of the KV cache, one entry for each cache the engine itself reports.

DeepSeek V4 keeps one shared vector for key and value (one KV head), compressed 4 or 128 tokens to
one in most layers, plus a sliding window in every layer. Each engine pads, pages and quantizes that
in its own way, so each has its own function here; docs/memory.md derives them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from math import ceil
from typing import Any

from seatrial.memory.shape import CSA, HCA, Shape


@dataclass(frozen=True, slots=True)
class Load:
    """What the cache must hold.

    Attributes:
        context_tokens: Tokens of each request.
        requests: Requests held at once by one attention replica.

    """

    context_tokens: int
    requests: int


@dataclass(frozen=True, slots=True)
class Caches:
    """Bytes of one attention replica's caches.

    Attributes:
        kv: Caches that grow with the context, by the engine's name for them.
        state: Fixed buffers beside them.

    """

    kv: dict[str, int]
    state: dict[str, int]


def llamacpp_caches(shape: Shape, load: Load, *, cache_type: str, ubatch_tokens: int) -> Caches:
    """What llama.cpp prints as SWA, CSA, HCA and LID caches and as compressor state.

    Each slot is padded to 256 cells; ``requests`` slots of ``context_tokens`` each.
    """
    pad = int(_table()["llamacpp"]["pad_tokens"])
    tokens = _pad(load.context_tokens, pad)
    window = _pad(min(tokens, shape.sliding_window + ubatch_tokens), pad)
    fourth, part = _pad(ceil(tokens / CSA), pad), _pad(ceil(tokens / HCA), pad)
    head, index = shape.head_dim, shape.index_head_dim

    def vectors(cells: int, layers: int, values: int) -> int:
        return cells * layers * _row_bytes(values, cache_type) * load.requests

    rows, size = _table()["llamacpp"]["state_rows"], int(_table()["llamacpp"]["state_bytes_per_value"])
    csa_state = int(rows["4"]) * shape.csa_layers * head
    state = csa_state + int(rows["128"]) * shape.hca_layers * head + int(rows["4"]) * shape.csa_layers * index
    return Caches(
        kv={
            "SWA": vectors(window, shape.num_hidden_layers, head),
            "CSA": vectors(fourth, shape.csa_layers, head),
            "HCA": vectors(part, shape.hca_layers, head),
            "LID": vectors(fourth, shape.csa_layers, index),
        },
        state={"state": load.requests * size * state},
    )


def sglang_caches(shape: Shape, load: Load, *, swa_ratio: float, speculative: bool, max_running: int) -> Caches:
    """SGLang's pool: pages of 256 tokens, a share of them for the window, rings of compressor state.

    Args:
        shape: Of the model.
        load: Tokens the pool must hold.
        swa_ratio: Window slots per full slot (``--swa-full-tokens-ratio``).
        speculative: Speculative decoding doubles the rings and adds a draft layer.
        max_running: Requests the C128 state is made for (``--max-running-requests`` of one replica).

    """
    layout, own = _table()["paged"], _table()["sglang"]
    page, state_value = int(layout["page_tokens"]), int(layout["state_bytes_per_value"])
    rings = own["speculative_ring"] if speculative else own["ring"]
    tokens = load.requests * _pad(load.context_tokens, page)
    window = Fraction(swa_ratio).limit_denominator(10**6) * tokens
    per_token = {
        "CSA": Fraction(_latent_page(shape, page // CSA), page) * shape.csa_layers,
        "indexer": Fraction(_index_bytes(shape, fp4=False), CSA) * shape.csa_layers,
        "HCA": Fraction(_latent_page(shape, page // HCA), page) * shape.hca_layers,
    }
    kv = {name: ceil(rate * tokens) for name, rate in per_token.items()}
    kv["SWA"] = ceil(Fraction(_latent_page(shape, page), page) * shape.num_hidden_layers * window)
    csa_state = 4 * (shape.head_dim + shape.index_head_dim) * state_value * shape.csa_layers
    kv["CSA state"] = ceil(Fraction(int(rings["4"]), page) * csa_state * window)
    if speculative:
        kv["draft"] = ceil(Fraction(sum(kv.values()), shape.num_hidden_layers))
    ring = int(rings["128"])
    rows = _pad((max_running + 1) * ring + ring + 1, int(own["row_align"]))
    return Caches(kv=kv, state={"HCA state": rows * 2 * shape.head_dim * state_value * shape.hca_layers})


def vllm_caches(shape: Shape, load: Load, *, fp4_indexer: bool) -> Caches:
    """Blocks of 256 tokens, as vLLM keeps them, and per request a few blocks of window and compressor state."""
    layout, own = _table()["paged"], _table()["vllm"]
    page, state_value = int(layout["page_tokens"]), int(layout["state_bytes_per_value"])
    blocks = load.requests * ceil(load.context_tokens / page)
    index_page = _align(page // CSA * _index_bytes(shape, fp4=fp4_indexer))
    window_block = int(own["swa_block_tokens"])
    window_blocks = min(ceil(load.context_tokens / window_block), ceil(shape.sliding_window / window_block) + 1)

    def state(ratio: int, overlap: int, values: int) -> int:
        # kv and score, for the tokens of the window being compressed and one block more.
        tokens = int(own["state_block_tokens"][str(ratio)])
        count = ceil(overlap * ratio / tokens) + 1
        return count * _align(tokens * 2 * overlap * values * state_value)

    csa_state = state(CSA, 2, shape.head_dim) + state(CSA, 2, shape.index_head_dim)
    return Caches(
        kv={
            "CSA": blocks * shape.csa_layers * _latent_page(shape, page // CSA),
            "indexer": blocks * shape.csa_layers * index_page,
            "HCA": blocks * shape.hca_layers * _latent_page(shape, page // HCA),
            "SWA": load.requests * window_blocks * shape.num_hidden_layers * _latent_page(shape, window_block),
        },
        state={
            "CSA state": load.requests * shape.csa_layers * csa_state,
            "HCA state": load.requests * shape.hca_layers * state(HCA, 1, shape.head_dim),
        },
    )


def plain_caches(shape: Shape, load: Load) -> Caches:
    """BF16 vectors without padding: the least an engine could do, where its own layout is not known."""
    size = int(_table()["plain"]["bytes_per_value"])
    tokens = load.context_tokens
    return Caches(
        kv={
            "SWA": load.requests * min(tokens, shape.sliding_window) * shape.num_hidden_layers * shape.head_dim * size,
            "CSA": load.requests * ceil(tokens / CSA) * shape.csa_layers * shape.head_dim * size,
            "HCA": load.requests * ceil(tokens / HCA) * shape.hca_layers * shape.head_dim * size,
            "indexer": load.requests * ceil(tokens / CSA) * shape.csa_layers * shape.index_head_dim * size,
        },
        state={},
    )


def llama_caches(config: Mapping[str, int], load: Load, *, engine: str, cache_type: str) -> Caches:
    """Keys and values of a plain transformer (SmolLM2): two vectors a token, layer and KV head."""
    pad = {"llamacpp": int(_table()["llamacpp"]["pad_tokens"]), "vllm": int(_table()["vllm"]["plain_block_tokens"])}
    tokens = load.requests * _pad(load.context_tokens, pad.get(engine, 1))
    values = config["num_key_value_heads"] * config["head_dim"]
    row = _row_bytes(values, cache_type) if engine == "llamacpp" else values * int(_table()["plain"]["bytes_per_value"])
    return Caches(kv={"KV": 2 * tokens * config["num_hidden_layers"] * row}, state={})


def cache_types() -> tuple[str, ...]:
    """Types llama.cpp can keep its caches in."""
    return tuple(_table()["llamacpp"]["cache_types"])


def default(engine: str, name: str) -> Any:
    """The engine's own default of a setting (``swa_ratio``, ``ubatch_tokens``)."""
    return _table()[engine][name]


def kv_source(engine: str) -> str:
    """Where the layout of this engine's caches was read."""
    return str(_table().get(engine, _table()["plain"])["source"])


def _latent_page(shape: Shape, slots: int) -> int:
    """Bytes of a page of ``slots`` vectors: FP8 values with scales, BF16 rotary part, padded."""
    layout = _table()["paged"]
    plain = shape.head_dim - shape.qk_rope_head_dim
    scales = plain // int(layout["quantized_values_per_scale"]) + 1
    return _align(slots * (plain + shape.qk_rope_head_dim * int(layout["rope_bytes_per_value"]) + scales))


def _index_bytes(shape: Shape, *, fp4: bool) -> int:
    layout = _table()["paged"]
    size = shape.index_head_dim
    if fp4:
        return ceil(size / 2) + ceil(size / int(layout["index_fp4_values_per_scale"]))
    return size + ceil(size / int(layout["index_values_per_scale"])) * int(layout["index_scale_bytes"])


def _row_bytes(values: int, cache_type: str) -> int:
    size, block = map(int, _table()["llamacpp"]["cache_types"][cache_type])
    return ceil(values / block) * size


def _align(size: int) -> int:
    return _pad(size, int(_table()["paged"]["align_bytes"]))


def _pad(value: int, unit: int) -> int:
    return -(-value // unit) * unit


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files("seatrial.memory").joinpath("data", "kv.json").read_text(encoding="utf-8"))
    return table
