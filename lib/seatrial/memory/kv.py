"""Bytes of the KV cache, one entry for each cache the engine itself reports.

DeepSeek V4 keeps one vector as key and value (one KV head), compressed 4 or 128 tokens to one in most layers, plus a
sliding window in every layer. Each engine pads, pages and quantizes these in its own way, so each has its own function;
docs/memory.md derives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any

from seatrial.catalog.cached_vectors import CSA, HCA, bf16_bytes, index_bytes, latent_bytes
from seatrial.memory.shape import AnyShape, Shape
from seatrial.memory.tables import table

CACHE_SIZE = 4096
"""Results remembered by each ``lru_cache``: plans that split a checkpoint in other ways ask for the same ones."""


@dataclass(frozen=True, slots=True)
class CacheLoad:
    """Requests a cache is sized for."""

    context_tokens: int  # of each request
    requests: int  # served at once by one attention replica


@dataclass(frozen=True, slots=True)
class Caches:
    """Bytes of one attention replica's caches, by the engine's name for each."""

    kv: dict[str, int]  # grow with the context
    state: dict[str, int]  # fixed buffers beside them


@lru_cache(maxsize=CACHE_SIZE)
def llamacpp_caches(
    shape: Shape, load: CacheLoad, *, cache_type: str, ubatch_tokens: int, draft_tokens: int = 0
) -> Caches:
    """Return what llama.cpp prints as SWA, CSA, HCA and LID caches and as compressor state.

    Every request has a slot of its own, padded to 256 cells. With a drafter the state is kept once more for each drafted
    token, so that a rejected one can be taken back.
    """
    layout = table("kv")["llamacpp"]
    tokens = padded(load.context_tokens, layout["pad_tokens"])
    window = window_cells(shape.sliding_window, load, ubatch_tokens)
    csa_cells, hca_cells = (padded(ceil(tokens / ratio), layout["pad_tokens"]) for ratio in (CSA, HCA))
    head, index = shape.head_dim, shape.index_head_dim

    def vectors(cells: int, layers: int, values: int) -> int:
        return cells * layers * row_bytes(values, cache_type) * load.requests

    csa_rows, hca_rows = (layout["state_rows"][str(ratio)] for ratio in (CSA, HCA))
    state_values = csa_rows * shape.csa_layers * (head + index) + hca_rows * shape.hca_layers * head
    return Caches(
        kv={
            "SWA": vectors(window, shape.num_hidden_layers, head),
            "CSA": vectors(csa_cells, shape.csa_layers, head),
            "HCA": vectors(hca_cells, shape.hca_layers, head),
            "LID": vectors(csa_cells, shape.csa_layers, index),
        },
        state={"state": load.requests * layout["state_bytes_per_value"] * state_values * (1 + draft_tokens)},
    )


def window_cells(sliding_window: int, load: CacheLoad, ubatch_tokens: int) -> int:
    """Return the cells of one request's window in llama.cpp: it holds a micro-batch more, padded."""
    pad = table("kv")["llamacpp"]["pad_tokens"]
    return padded(min(padded(load.context_tokens, pad), sliding_window + ubatch_tokens), pad)


@lru_cache(maxsize=CACHE_SIZE)
def sglang_caches(shape: Shape, load: CacheLoad, *, swa_ratio: float, speculative: bool, max_running: int) -> Caches:
    """Return SGLang's pool: pages of 256 tokens, a share of them for the window, rings of compressor state.

    Args:
        shape: Shape of the model.
        load: Requests whose tokens the pool must hold.
        swa_ratio: Window slots per full slot (``--swa-full-tokens-ratio``).
        speculative: True for speculative decoding, which doubles the rings and adds a draft layer.
        max_running: Requests the HCA state is made for (``--max-running-requests`` of one replica).

    """
    rates = _sglang_rates(shape, swa_ratio=swa_ratio, speculative=speculative)
    tokens = load.requests * padded(load.context_tokens, table("kv")["paged"]["page_tokens"])
    kv = {name: -(-rate.numerator * tokens // rate.denominator) for name, rate in rates.bytes_per_token.items()}
    if speculative:
        kv["draft"] = -(-sum(kv.values()) // shape.num_hidden_layers)
    rows = padded((max_running + 1) * rates.ring_rows + rates.ring_rows + 1, table("kv")["sglang"]["row_align"])
    return Caches(kv=kv, state={"HCA state": rows * rates.row_bytes})


@dataclass(frozen=True, slots=True)
class _SglangRates:
    """Bytes SGLang's pool takes for each token and each row of HCA state."""

    bytes_per_token: dict[str, Fraction]  # by cache
    ring_rows: int  # of HCA state, for each request
    row_bytes: int  # of HCA state, over all layers


@lru_cache(maxsize=CACHE_SIZE)
def _sglang_rates(shape: Shape, *, swa_ratio: float, speculative: bool) -> _SglangRates:
    page, value = table("kv")["paged"]["page_tokens"], table("kv")["paged"]["state_bytes_per_value"]
    rings = table("kv")["sglang"]["speculative_ring" if speculative else "ring"]
    window = Fraction(swa_ratio).limit_denominator(10**6)
    csa_state = 4 * (shape.head_dim + shape.index_head_dim) * value * shape.csa_layers
    return _SglangRates(
        bytes_per_token={
            "CSA": Fraction(latent_page(shape, page // CSA), page) * shape.csa_layers,
            "indexer": Fraction(index_bytes(shape.index_head_dim), CSA) * shape.csa_layers,
            "HCA": Fraction(latent_page(shape, page // HCA), page) * shape.hca_layers,
            "SWA": Fraction(latent_page(shape, page), page) * shape.num_hidden_layers * window,
            "CSA state": Fraction(rings[str(CSA)], page) * csa_state * window,
        },
        ring_rows=rings[str(HCA)],
        row_bytes=2 * shape.head_dim * value * shape.hca_layers,
    )


def mlx_caches(shape: Shape, load: CacheLoad) -> Caches:
    """Return mlx-vlm's caches: BF16 vectors, and for each compressed layer the tokens of the window not yet full.

    While a prompt is read, every window also holds the tokens of one step.
    """
    layout, plain = table("kv")["mlx"], plain_caches(shape, load)
    window = min(load.context_tokens, shape.sliding_window + layout["prefill_tokens"] - 1)
    # Values and gates; ratio 4 compresses two vectors a token, ratio 128 one.
    csa = CSA * 2 * (shape.head_dim + shape.index_head_dim) * shape.csa_layers
    hca = HCA * shape.head_dim * shape.hca_layers
    return Caches(
        kv={**plain.kv, "SWA": load.requests * window * shape.num_hidden_layers * bf16_bytes(shape.head_dim)},
        state={"state": load.requests * layout["state_rows"] * bf16_bytes(csa + hca)},
    )


def plain_caches(shape: Shape, load: CacheLoad) -> Caches:
    """Return BF16 vectors without padding: the least any engine could use, for one whose own layout is not known."""

    def vectors(tokens: int, layers: int, values: int) -> int:
        return load.requests * tokens * layers * bf16_bytes(values)

    tokens, head = load.context_tokens, shape.head_dim
    return Caches(
        kv={
            "SWA": vectors(min(tokens, shape.sliding_window), shape.num_hidden_layers, head),
            "CSA": vectors(ceil(tokens / CSA), shape.csa_layers, head),
            "HCA": vectors(ceil(tokens / HCA), shape.hca_layers, head),
            "indexer": vectors(ceil(tokens / CSA), shape.csa_layers, shape.index_head_dim),
        },
        state={},
    )


def llama_caches(config: Mapping[str, int], load: CacheLoad, *, engine: str, cache_type: str) -> Caches:
    """Return keys and values of a plain transformer (SmolLM2): two vectors for each token, layer and KV head."""
    pad = {"llamacpp": table("kv")["llamacpp"]["pad_tokens"], "vllm": table("kv")["vllm"]["plain_block_tokens"]}
    tokens = load.requests * padded(load.context_tokens, pad.get(engine, 1))
    values = config["num_key_value_heads"] * config["head_dim"]
    row = row_bytes(values, cache_type) if engine == "llamacpp" else bf16_bytes(values)
    return Caches(kv={"KV": 2 * tokens * config["num_hidden_layers"] * row}, state={})


def cache_types() -> tuple[str, ...]:
    """Return the types llama.cpp can keep its caches in."""
    return tuple(table("kv")["llamacpp"]["cache_types"])


def default(engine: str, name: str) -> Any:
    """Return the engine's own default of a setting (``swa_ratio``, ``ubatch_tokens``)."""
    return table("kv")[engine][name]


def kv_source(engine: str) -> str:
    """Return the source of this engine's cache layout."""
    return str(table("kv").get(engine, table("kv")["plain"])["source"])


def latent_page(shape: AnyShape, slots: int) -> int:
    """Return the bytes of a page of ``slots`` vectors, padded."""
    return align(slots * latent_bytes(shape.head_dim, shape.qk_rope_head_dim))


def row_bytes(values: int, cache_type: str) -> int:
    """Return the bytes of one vector in a cache of llama.cpp."""
    size, block = table("kv")["llamacpp"]["cache_types"][cache_type]
    return ceil(values / int(block)) * int(size)


def align(size: int) -> int:
    """Return a size padded as SGLang and vLLM pad a page."""
    return padded(size, table("kv")["paged"]["align_bytes"])


def padded(value: int, unit: int) -> int:
    """Return the least multiple of ``unit`` that is not below ``value``."""
    return -(-value // unit) * unit
