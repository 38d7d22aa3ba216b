"""Bytes of the caches of DeepSeek V4.1: few layers keep compressed vectors, which the later ones share.

Layers named in ``kv_source_layer_ids`` compress two tokens to one vector, or keep one for each; every layer has a
sliding window. docs/memory.md derives the figures.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

from seatrial.catalog.cached_vectors import bf16_bytes, index_bytes
from seatrial.memory.kv import CACHE_SIZE, CacheLoad, Caches, latent_page, padded
from seatrial.memory.tables import table
from seatrial.memory.v41_shape import V41Shape

KV_LAYOUTS = ("v41", "v4")
"""Layouts of SGLang's cached vectors (``SGLANG_DSV4_KV_LAYOUT``)."""


def kv_layout_on(architecture: str | None) -> str:
    """Return the layout SGLang chooses on a GPU: that of V4.1 needs kernels that only some have.

    Args:
        architecture: Compute capability ("9.0") or ``gfx950``; None if unknown.

    """
    return "v41" if architecture in table("kv")["v41"]["sglang"]["layout_architectures"] else "v4"


def engram_place(engine: str, asked: str | None) -> str:
    """Return where the Engram tables are: as asked, else where the engine puts them by itself."""
    place: str = asked or table("kv")["v41"].get(engine, {}).get("engram", "gpu")
    return place


@lru_cache(maxsize=CACHE_SIZE)
def v41_sglang_caches(
    shape: V41Shape, load: CacheLoad, *, kv_layout: str, speculative: bool, max_running: int
) -> Caches:
    """Return SGLang's pool: compressed vectors by token, and windows sized for the requests that may run.

    Args:
        shape: Shape of the model.
        load: Requests whose tokens the pool must hold.
        kv_layout: One of ``KV_LAYOUTS``.
        speculative: True for speculative decoding, which adds a layer's share and keeps more tokens.
        max_running: Requests the windows are made for (``--max-running-requests`` of one replica).

    """
    rules, page = table("kv")["v41"]["sglang"], table("kv")["paged"]["page_tokens"]
    record = rules["layouts"][kv_layout]
    tokens = load.requests * padded(load.context_tokens, page) + page  # one page is kept back
    kv = {"C2": 0, "C1": 0, "indexer": 0}
    for ratio in (2, 1):
        sources, slots = shape.sources(ratio), page // ratio
        kv[f"C{ratio}"] = tokens // page * _page_bytes(shape, record["compressed"], slots) * sources
        kv["indexer"] += tokens // ratio * index_bytes(shape.index_head_dim, fp4=True) * sources
    slots = _window_slots(shape, rules, page, max_running, speculative=speculative)
    window = slots // page * _page_bytes(shape, record["window"], page) * shape.num_hidden_layers
    if speculative:
        kv["draft"] = -(-sum(kv.values()) // shape.num_hidden_layers)
        window += -(-window // shape.num_hidden_layers)
    ring = rules["speculative_ring" if speculative else "ring"]
    rows = padded((max_running + 1) * ring + ring + 1, 2)
    state = rows * 2 * shape.head_dim * rules["state_bytes_per_value"] * shape.sources(2)
    return Caches(kv=kv, state={"SWA": window, "C2 state": state})


def _window_slots(shape: V41Shape, rules: dict[str, Any], page: int, max_running: int, *, speculative: bool) -> int:
    """Return the tokens whose windows the pool holds: of running requests, of prompts being read, of cached prefixes."""
    window, drafts = shape.sliding_window, rules["draft_tokens"] if speculative else 1
    each = window + rules["eviction_tokens"] * drafts + page + (2 * drafts if speculative else page)
    prompts = rules["prefills_in_flight"] * rules["prefill_tokens"] + page
    prefixes = rules["prefix_tails"] * max_running * (window + page)
    return padded(each * max_running + prompts + prefixes, page)


class V41Pages(NamedTuple):
    """Bytes of vLLM's pages in one layer; its pool hands out equal blocks of the size of the growing caches together."""

    compressed: dict[int, int]  # by ratio
    keys: dict[int, int]  # of the indexer, by ratio
    window: int
    state: int  # of a ratio-2 layer that is compressing
    block: int


@lru_cache(maxsize=CACHE_SIZE)
def v41_pages(shape: V41Shape) -> V41Pages:
    """Return the pages of a model's caches as vLLM lays them out on Blackwell."""
    rules = table("kv")["v41"]["vllm"]
    tokens, align = rules["block_tokens"], table("kv")["v41"]["records"]["fp8"]["align_bytes"]
    compressed = {ratio: _page_bytes(shape, "fp8", tokens // ratio) for ratio in (1, 2)}
    keys = {ratio: padded(tokens // ratio * index_bytes(shape.index_head_dim, fp4=True), align) for ratio in (1, 2)}
    window = _page_bytes(shape, "fp8", rules["window_block_tokens"])
    state = rules["state_rows"] * 2 * shape.head_dim * table("kv")["paged"]["state_bytes_per_value"]
    growing = sum(shape.sources(ratio) * (compressed[ratio] + keys[ratio]) for ratio in (1, 2))
    return V41Pages(compressed, keys, window, state, max(growing, window, state))


@lru_cache(maxsize=CACHE_SIZE)
def v41_vllm_caches(shape: V41Shape, load: CacheLoad) -> Caches:
    """Return vLLM's pages: of 256 tokens for the compressed vectors, of 32 for the windows."""
    pages, rules = v41_pages(shape), table("kv")["v41"]["vllm"]
    blocks = load.requests * ceil(load.context_tokens / rules["block_tokens"])
    kv = {f"C{ratio}": blocks * shape.sources(ratio) * pages.compressed[ratio] for ratio in (2, 1)}
    kv["indexer"] = blocks * sum(shape.sources(ratio) * pages.keys[ratio] for ratio in (1, 2))
    kv["SWA"] = load.requests * _window_blocks(shape, load, 0) * shape.num_hidden_layers * pages.window
    return Caches(kv=kv, state={"C2 state": load.requests * shape.sources(2) * pages.state})


def v41_pool_slack(shape: V41Shape, load: CacheLoad, in_flight_tokens: int) -> int:
    """Return the bytes of vLLM's pool beyond ``v41_vllm_caches``: blocks filled in part, and those of tokens in flight."""
    pages, caches = v41_pages(shape), v41_vllm_caches(shape, load)
    block_tokens: int = table("kv")["v41"]["vllm"]["block_tokens"]
    growing = ceil(load.context_tokens / block_tokens)
    tables = ceil(shape.num_hidden_layers / max(1, pages.block // pages.window))
    states = ceil(shape.sources(2) / max(1, pages.block // pages.state))
    each = growing + tables * _window_blocks(shape, load, in_flight_tokens) + states
    held = sum(caches.kv.values()) + sum(caches.state.values())
    return max(0, load.requests * each * pages.block - held)


def _window_blocks(shape: V41Shape, load: CacheLoad, in_flight_tokens: int) -> int:
    """Return the blocks of one request's window, which may begin inside a block."""
    tokens = min(shape.sliding_window - 1 + in_flight_tokens, load.context_tokens)
    block: int = table("kv")["v41"]["vllm"]["window_block_tokens"]
    return ceil(tokens / block) + 1


def v41_plain_caches(shape: V41Shape, load: CacheLoad) -> Caches:
    """Return BF16 vectors without padding: the least any engine could use, for one whose own layout is not known."""
    tokens, values = load.context_tokens, shape.head_dim
    slots = {ratio: ceil(tokens / ratio) * shape.sources(ratio) * load.requests for ratio in (1, 2)}
    window = min(tokens, shape.sliding_window) * shape.num_hidden_layers * load.requests
    return Caches(
        kv={
            "SWA": window * bf16_bytes(values),
            "C2": slots[2] * bf16_bytes(values),
            "C1": slots[1] * bf16_bytes(values),
            "indexer": sum(slots.values()) * bf16_bytes(shape.index_head_dim),
        },
        state={},
    )


def _page_bytes(shape: V41Shape, record: str | None, slots: int) -> int:
    """Return the bytes of a page of ``slots`` vectors, in V4's form if ``record`` is None."""
    if record is None:
        return latent_page(shape, slots)
    rule = table("kv")["v41"]["records"][record]
    vector = ceil(shape.head_dim * rule["bits"] / 8) + ceil(shape.head_dim / rule["values_per_scale"])
    return padded(slots * vector, rule["align_bytes"])
