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
from functools import cache, lru_cache
from importlib.resources import files
from math import ceil
from typing import Any

from seatrial.catalog.cached_vectors import CSA, HCA, index_bytes, latent_bytes
from seatrial.memory.shape import Shape

_REMEMBERED = 4096
"""Loads whose caches are kept: ways to split a checkpoint share them."""


@dataclass(frozen=True, slots=True)
class CacheLoad:
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


@lru_cache(maxsize=_REMEMBERED)
def llamacpp_caches(shape: Shape, load: CacheLoad, *, cache_type: str, ubatch_tokens: int) -> Caches:
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


@lru_cache(maxsize=_REMEMBERED)
def sglang_caches(shape: Shape, load: CacheLoad, *, swa_ratio: float, speculative: bool, max_running: int) -> Caches:
    """SGLang's pool: pages of 256 tokens, a share of them for the window, rings of compressor state.

    Args:
        shape: Of the model.
        load: Tokens the pool must hold.
        swa_ratio: Window slots per full slot (``--swa-full-tokens-ratio``).
        speculative: Speculative decoding doubles the rings and adds a draft layer.
        max_running: Requests the C128 state is made for (``--max-running-requests`` of one replica).

    """
    rates = _sglang_rates(shape, swa_ratio=swa_ratio, speculative=speculative)
    tokens = load.requests * _pad(load.context_tokens, int(_table()["paged"]["page_tokens"]))
    kv = {name: -(-rate.numerator * tokens // rate.denominator) for name, rate in rates.per_token.items()}
    if speculative:
        kv["draft"] = -(-sum(kv.values()) // shape.num_hidden_layers)
    rows = _pad((max_running + 1) * rates.ring + rates.ring + 1, int(_table()["sglang"]["row_align"]))
    return Caches(kv=kv, state={"HCA state": rows * rates.row_bytes})


@dataclass(frozen=True, slots=True)
class SglangRates:
    """What SGLang's pool takes for each token, by cache, and of ratio 128's state: rows a request, bytes of all layers."""

    per_token: dict[str, Fraction]
    ring: int
    row_bytes: int


@lru_cache(maxsize=_REMEMBERED)
def _sglang_rates(shape: Shape, *, swa_ratio: float, speculative: bool) -> SglangRates:
    """Bytes a token and a request take of SGLang's pool; arguments as in ``sglang_caches``."""
    page, value = (int(_table()["paged"][name]) for name in ("page_tokens", "state_bytes_per_value"))
    rings = _table()["sglang"]["speculative_ring" if speculative else "ring"]
    window = Fraction(swa_ratio).limit_denominator(10**6)
    csa_state = 4 * (shape.head_dim + shape.index_head_dim) * value * shape.csa_layers
    return SglangRates(
        per_token={
            "CSA": Fraction(_latent_page(shape, page // CSA), page) * shape.csa_layers,
            "indexer": Fraction(index_bytes(shape.index_head_dim), CSA) * shape.csa_layers,
            "HCA": Fraction(_latent_page(shape, page // HCA), page) * shape.hca_layers,
            "SWA": Fraction(_latent_page(shape, page), page) * shape.num_hidden_layers * window,
            "CSA state": Fraction(int(rings["4"]), page) * csa_state * window,
        },
        ring=int(rings["128"]),
        row_bytes=2 * shape.head_dim * value * shape.hca_layers,
    )


@dataclass(frozen=True, slots=True)
class VllmPages:
    """Bytes of one page of each of vLLM's caches, and the tokens it is for.

    Attributes:
        tokens: Tokens of a page of the caches that grow.
        csa: Compressed vectors, ratio 4.
        index: Indexer vectors, ratio 4.
        hca: Compressed vectors, ratio 128.
        window: Window of any layer, ``window_tokens`` a page.
        window_tokens: Tokens of a page of the window.
        csa_state: Values and scores being compressed at ratio 4, ``csa_state_tokens`` a page.
        index_state: The indexer's, likewise.
        hca_state: Those at ratio 128, ``hca_state_tokens`` a page.
        csa_state_tokens: Tokens of a page of ratio 4's states.
        hca_state_tokens: Tokens of a page of ratio 128's state.
        csa_state_window: Tokens ratio 4 compresses at once; its windows overlap.
        hca_state_window: Tokens ratio 128 compresses at once.

    """

    tokens: int
    csa: int
    index: int
    hca: int
    window: int
    window_tokens: int
    csa_state: int
    index_state: int
    hca_state: int
    csa_state_tokens: int
    hca_state_tokens: int
    csa_state_window: int = 2 * CSA
    hca_state_window: int = HCA

    def full_bytes(self, shape: Shape) -> int:
        """All layers' pages of the caches that grow."""
        return shape.csa_layers * (self.csa + self.index) + shape.hca_layers * self.hca


@cache
def vllm_pages(shape: Shape, *, fp4_indexer: bool) -> VllmPages:
    """Pages of a model as vLLM lays them out."""
    layout, own = _table()["paged"], _table()["vllm"]
    page, window, value = int(layout["page_tokens"]), int(own["swa_block_tokens"]), int(layout["state_bytes_per_value"])
    csa_tokens, hca_tokens = (int(own["state_block_tokens"][str(ratio)]) for ratio in (CSA, HCA))
    # A state holds value and score; overlapping windows double both.
    return VllmPages(
        tokens=page,
        csa=_latent_page(shape, page // CSA),
        index=_align(page // CSA * index_bytes(shape.index_head_dim, fp4=fp4_indexer)),
        hca=_latent_page(shape, page // HCA),
        window=_latent_page(shape, window),
        window_tokens=window,
        csa_state=_align(csa_tokens * 4 * shape.head_dim * value),
        index_state=_align(csa_tokens * 4 * shape.index_head_dim * value),
        hca_state=_align(hca_tokens * 2 * shape.head_dim * value),
        csa_state_tokens=csa_tokens,
        hca_state_tokens=hca_tokens,
    )


def vllm_windows(context_tokens: int, window_tokens: int, block_tokens: int) -> int:
    """Blocks a request keeps for a window: the window may begin inside a block."""
    return min(ceil(context_tokens / block_tokens), ceil((window_tokens - 1) / block_tokens) + 1)


@lru_cache(maxsize=_REMEMBERED)
def vllm_caches(shape: Shape, load: CacheLoad, *, fp4_indexer: bool) -> Caches:
    """Blocks of 256 tokens, as vLLM keeps them, and per request a few blocks of window and compressor state."""
    pages = vllm_pages(shape, fp4_indexer=fp4_indexer)
    blocks = load.requests * ceil(load.context_tokens / pages.tokens)

    def kept(window: int, block: int) -> int:
        return load.requests * vllm_windows(load.context_tokens, window, block)

    csa_state = kept(pages.csa_state_window, pages.csa_state_tokens) * (pages.csa_state + pages.index_state)
    return Caches(
        kv={
            "CSA": blocks * shape.csa_layers * pages.csa,
            "indexer": blocks * shape.csa_layers * pages.index,
            "HCA": blocks * shape.hca_layers * pages.hca,
            "SWA": kept(shape.sliding_window, pages.window_tokens) * shape.num_hidden_layers * pages.window,
        },
        state={
            "CSA state": shape.csa_layers * csa_state,
            "HCA state": shape.hca_layers * kept(pages.hca_state_window, pages.hca_state_tokens) * pages.hca_state,
        },
    )


def plain_caches(shape: Shape, load: CacheLoad) -> Caches:
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


def llama_caches(config: Mapping[str, int], load: CacheLoad, *, engine: str, cache_type: str) -> Caches:
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
    """Bytes of a page of ``slots`` vectors, padded."""
    return _align(slots * latent_bytes(shape.head_dim, shape.qk_rope_head_dim))


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
