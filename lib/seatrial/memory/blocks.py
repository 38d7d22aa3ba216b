"""vLLM's shared pool: what it takes beside the caches a request fills, because every cache draws whole blocks.

All caches lie in one pool of equal blocks, each as large as the largest group of layers needs. Windows and
compressor states fill such blocks only in part, and while a prompt is read they keep blocks for all of its
tokens in flight. vLLM refuses to start when one request of full length does not fit in with both.
docs/memory.md derives it.
"""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import NamedTuple

from seatrial.memory.kv import CacheLoad, vllm_pages, vllm_windows
from seatrial.memory.shape import Shape


class CacheGroup(NamedTuple):
    """Layers that share a block table.

    Attributes:
        tables: Tables the layers are spread over; each takes blocks of its own.
        page_bytes: What one block of the largest of them holds.
        block_tokens: Tokens of one block.
        window_tokens: Tokens a request keeps.
        layer_bytes: What all of the layers fill of the blocks of one request, per block of each table.

    """

    tables: int
    page_bytes: int
    block_tokens: int
    window_tokens: int
    layer_bytes: int


def pool_slack(shape: Shape, load: CacheLoad, in_flight_tokens: int) -> int:
    """Bytes of the pool beyond the caches ``kv.vllm_caches`` lists.

    Args:
        shape: Of the model.
        load: What the pool holds.
        in_flight_tokens: Tokens scheduled and not yet settled: ``--max-num-batched-tokens``, twice with
            asynchronous scheduling.

    """
    pages = vllm_pages(shape, fp4_indexer=False)
    full = pages.full_bytes(shape)
    block, groups = vllm_groups(shape)
    slack = load.requests * ceil(load.context_tokens / pages.tokens) * (block - full) if full else 0
    for group in groups:
        held = load.requests * vllm_windows(load.context_tokens, group.window_tokens, group.block_tokens)
        flying = ceil(min(in_flight_tokens, load.requests * load.context_tokens) / group.block_tokens)
        slack += (held + flying) * group.tables * block - held * group.layer_bytes
    return slack


@cache
def vllm_groups(shape: Shape) -> tuple[int, tuple[CacheGroup, ...]]:
    """Bytes of one block of the pool, and the groups of windowed layers that draw from it."""
    pages = vllm_pages(shape, fp4_indexer=False)
    kinds = [
        (shape.num_hidden_layers, pages.window, pages.window_tokens, shape.sliding_window),
        (shape.csa_layers, pages.csa_state + pages.index_state, pages.csa_state_tokens, pages.csa_state_window),
        (shape.hca_layers, pages.hca_state, pages.hca_state_tokens, pages.hca_state_window),
    ]
    full = pages.full_bytes(shape)
    groups = []
    for layers, page, tokens, window in kinds:
        if layers:
            tables = ceil(layers / _layers_a_table(shape, full, page))
            groups.append(CacheGroup(tables, ceil(layers / tables) * page, tokens, window, layers * page))
    return max(full, *(group.page_bytes for group in groups)), tuple(groups)


def _layers_a_table(shape: Shape, full_bytes: int, page_bytes: int) -> int:
    """With ratio 4: at least its layers, and the number that pads least; without: as many as a block holds anyway."""
    csa, hca = shape.csa_layers, shape.hca_layers
    if not csa:
        return max(full_bytes, page_bytes) // page_bytes if hca else shape.num_hidden_layers
    counts = [shape.num_hidden_layers, csa, *([hca] if hca else [])]
    if hca in {0, csa}:
        counts.append(csa)  # the growing caches then repeat as a pattern of their own
    return min(range(csa, max(counts) + 1), key=lambda size: (sum(-count % size for count in counts), -size))
