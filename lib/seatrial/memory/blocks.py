"""Blocks of vLLM's shared pool that its caches occupy but do not fill.

All caches draw equal blocks from one pool, each block as large as the largest group of layers needs. Windows and
compressor states fill such blocks only in part, and while a prompt is read they occupy blocks for all of its tokens in
flight. vLLM refuses to start if one request of full length does not fit as well. docs/memory.md derives this.
"""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import NamedTuple

from seatrial.memory.kv import CacheLoad, vllm_pages, vllm_windows
from seatrial.memory.shape import Shape


class CacheGroup(NamedTuple):
    """Layers that share a block table."""

    tables: int  # the layers are spread over so many tables, each with blocks of its own
    page_bytes: int  # used of one block by the largest table
    block_tokens: int
    window_tokens: int  # cached for each request
    layer_bytes: int  # used by all layers, per block of each table


def pool_slack(shape: Shape, load: CacheLoad, in_flight_tokens: int) -> int:
    """Return the bytes of the pool beyond the caches ``kv.vllm_caches`` lists.

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
