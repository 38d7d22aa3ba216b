"""vLLM's caches, and the blocks of its shared pool that they occupy but do not fill.

All caches draw equal blocks from one pool, each block as large as the largest group of layers needs. Windows and
compressor states fill such blocks only in part, and while a prompt is read they occupy blocks for all of its tokens in
flight. vLLM refuses to start if one request of full length does not fit as well. docs/memory.md derives this.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from math import ceil
from typing import NamedTuple

from seatrial.catalog.cached_vectors import CSA, HCA, index_bytes
from seatrial.memory.kv import CACHE_SIZE, CacheLoad, Caches, align, latent_page
from seatrial.memory.shape import Shape
from seatrial.memory.tables import table


@dataclass(frozen=True, slots=True)
class VllmPages:
    """Bytes of one page of each of vLLM's caches in one layer, and the tokens of a page."""

    tokens: int  # of a page of csa, index and hca, the caches that grow
    csa: int  # compressed vectors, ratio 4
    index: int  # indexer vectors, ratio 4
    hca: int  # compressed vectors, ratio 128
    window: int
    window_tokens: int
    csa_state: int  # values and scores being compressed at ratio 4
    index_state: int  # the same of the indexer
    csa_state_tokens: int  # of a page of either
    hca_state: int  # values and scores being compressed at ratio 128
    hca_state_tokens: int
    csa_state_window: int = 2 * CSA  # tokens compressed at once; windows of ratio 4 overlap
    hca_state_window: int = HCA

    def growing_bytes(self, shape: Shape) -> int:
        """Return the bytes of one page of each growing cache, over all layers."""
        return shape.csa_layers * (self.csa + self.index) + shape.hca_layers * self.hca


@cache
def vllm_pages(shape: Shape, *, fp4_indexer: bool) -> VllmPages:
    """Return the pages of a model's caches as vLLM lays them out."""
    page, value = table("kv")["paged"]["page_tokens"], table("kv")["paged"]["state_bytes_per_value"]
    window = table("kv")["vllm"]["swa_block_tokens"]
    csa_tokens, hca_tokens = (table("kv")["vllm"]["state_block_tokens"][str(ratio)] for ratio in (CSA, HCA))
    # A state holds value and score; overlapping windows double both.
    return VllmPages(
        tokens=page,
        csa=latent_page(shape, page // CSA),
        index=align(page // CSA * index_bytes(shape.index_head_dim, fp4=fp4_indexer)),
        hca=latent_page(shape, page // HCA),
        window=latent_page(shape, window),
        window_tokens=window,
        csa_state=align(csa_tokens * 4 * shape.head_dim * value),
        index_state=align(csa_tokens * 4 * shape.index_head_dim * value),
        csa_state_tokens=csa_tokens,
        hca_state=align(hca_tokens * 2 * shape.head_dim * value),
        hca_state_tokens=hca_tokens,
    )


def vllm_windows(context_tokens: int, window_tokens: int, block_tokens: int) -> int:
    """Return the blocks one request needs for a window, which may begin inside a block."""
    return min(ceil(context_tokens / block_tokens), ceil((window_tokens - 1) / block_tokens) + 1)


@lru_cache(maxsize=CACHE_SIZE)
def vllm_caches(shape: Shape, load: CacheLoad, *, fp4_indexer: bool) -> Caches:
    """Return vLLM's blocks of 256 tokens, and for each request a few blocks of window and compressor state."""
    pages = vllm_pages(shape, fp4_indexer=fp4_indexer)
    blocks = load.requests * ceil(load.context_tokens / pages.tokens)

    def windows(window: int, block: int) -> int:
        return load.requests * vllm_windows(load.context_tokens, window, block)

    csa_state = windows(pages.csa_state_window, pages.csa_state_tokens) * (pages.csa_state + pages.index_state)
    return Caches(
        kv={
            "CSA": blocks * shape.csa_layers * pages.csa,
            "indexer": blocks * shape.csa_layers * pages.index,
            "HCA": blocks * shape.hca_layers * pages.hca,
            "SWA": windows(shape.sliding_window, pages.window_tokens) * shape.num_hidden_layers * pages.window,
        },
        state={
            "CSA state": shape.csa_layers * csa_state,
            "HCA state": shape.hca_layers * windows(pages.hca_state_window, pages.hca_state_tokens) * pages.hca_state,
        },
    )


class CacheGroup(NamedTuple):
    """Layers that share a block table."""

    tables: int  # the layers are spread over so many tables, each with blocks of its own
    page_bytes: int  # used of one block by the largest table
    block_tokens: int
    window_tokens: int  # cached for each request
    layer_bytes: int  # used by all layers, per block of each table


def pool_slack(shape: Shape, load: CacheLoad, in_flight_tokens: int) -> int:
    """Return the bytes of the pool beyond the caches of ``vllm_caches``.

    Args:
        shape: Shape of the model.
        load: Requests in the pool.
        in_flight_tokens: Tokens scheduled and not yet settled: ``--max-num-batched-tokens``, twice with
            asynchronous scheduling.

    """
    pages = vllm_pages(shape, fp4_indexer=False)
    used = pages.growing_bytes(shape)
    block, groups = vllm_groups(shape)
    slack = load.requests * ceil(load.context_tokens / pages.tokens) * (block - used) if used else 0
    for group in groups:
        cached = load.requests * vllm_windows(load.context_tokens, group.window_tokens, group.block_tokens)
        in_flight = ceil(min(in_flight_tokens, load.requests * load.context_tokens) / group.block_tokens)
        slack += (cached + in_flight) * group.tables * block - cached * group.layer_bytes
    return slack


@cache
def vllm_groups(shape: Shape) -> tuple[int, tuple[CacheGroup, ...]]:
    """Return the bytes of one block of the pool, and the groups of windowed layers that draw from the pool."""
    pages = vllm_pages(shape, fp4_indexer=False)
    windowed = [
        (shape.num_hidden_layers, pages.window, pages.window_tokens, shape.sliding_window),
        (shape.csa_layers, pages.csa_state + pages.index_state, pages.csa_state_tokens, pages.csa_state_window),
        (shape.hca_layers, pages.hca_state, pages.hca_state_tokens, pages.hca_state_window),
    ]
    growing = pages.growing_bytes(shape)
    groups = []
    for layers, page, tokens, window in windowed:
        if layers:
            tables = ceil(layers / _layers_per_table(shape, growing, page))
            groups.append(CacheGroup(tables, ceil(layers / tables) * page, tokens, window, layers * page))
    return max(growing, *(group.page_bytes for group in groups)), tuple(groups)


def _layers_per_table(shape: Shape, growing_bytes: int, page_bytes: int) -> int:
    """Return the layers in one block table.

    With layers of ratio 4: the number, at least of those layers, that pads least. Without: as many as fit in a block.
    """
    csa, hca = shape.csa_layers, shape.hca_layers
    if not csa:
        return max(growing_bytes, page_bytes) // page_bytes if hca else shape.num_hidden_layers
    counts = [shape.num_hidden_layers, csa, *([hca] if hca else [])]
    if hca in {0, csa}:
        counts.append(csa)  # the growing caches then repeat as a pattern of their own
    return min(range(csa, max(counts) + 1), key=lambda size: (sum(-count % size for count in counts), -size))
