"""Tensors of a DeepSeek V4.1, so that their bytes are added up; docs/memory.md compares them with published sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from seatrial.memory.family import attention_tensors, expert_tensors, vocabulary_tensors
from seatrial.memory.storage import Tensor
from seatrial.memory.v41_shape import V41Shape
from seatrial.memory.vision import vision_tensors

_MARKERS = 3
"""Learned vectors for the start, the end and the lines of an image."""


def v41_tensors(shape: V41Shape) -> Iterator[Tensor]:
    """Yield every tensor of the checkpoint, draft head included."""
    for layer in range(shape.num_hidden_layers):
        yield from _layer(shape, shape.n_routed_experts)
        yield from _caching(shape, layer)
    for rows in shape.engram_num_embeddings:
        yield from _engram(shape, rows)
    yield from vocabulary_tensors(shape)
    if shape.vision:
        yield from vision_tensors(shape.vision, shape.hidden_size, markers=_MARKERS)
        yield Tensor("router", "f32", shape.num_hidden_layers, shape.n_routed_experts)  # bias for image tokens
    for tensor in _draft_head(shape):
        yield replace(tensor, draft=True)


def _layer(shape: V41Shape, experts: int) -> Iterator[Tensor]:
    """Yield what every layer has, those of the draft head included."""
    yield from attention_tensors(shape)
    yield from expert_tensors(shape, experts)
    yield Tensor("router", "f32", 1, experts)


def _caching(shape: V41Shape, layer: int) -> Iterator[Tensor]:
    """Yield the compressor and the indexer, which only some layers have."""
    source, hidden, key = layer in shape.kv_source_layer_ids, shape.hidden_size, shape.index_head_dim
    if source:
        # Ratio 1 compresses nothing and has no gate.
        projections = 2 if shape.compress_ratios[layer] > 1 else 1
        yield Tensor("compressor", "bf16", shape.head_dim, hidden, count=projections)
        yield Tensor("compressor", "bf16", 1, shape.head_dim)
    if layer in shape.index_source_layer_ids:
        yield Tensor("indexer", "linear", shape.index_n_heads * key, shape.q_lora_rank)
        yield Tensor("indexer", "bf16", shape.index_n_heads, hidden)
        if source:
            yield Tensor("indexer", "bf16", key, shape.head_dim)
            yield Tensor("indexer", "bf16", 1, key)


def _engram(shape: V41Shape, rows: int) -> Iterator[Tensor]:
    """Yield a table, split by rows over all ranks, and the projection of what is looked up."""
    yield Tensor("engram", "table", rows, shape.engram_head_dim, split="experts")
    copies = shape.hc_mult + 1  # a key for each stream, and one value
    columns = shape.engram_columns * shape.engram_head_dim
    yield Tensor("engram_projection", "linear", copies * shape.hidden_size, columns)
    yield Tensor("norms", "bf16", 2 * shape.hc_mult, shape.hidden_size)


def _draft_head(shape: V41Shape) -> Iterator[Tensor]:
    hidden, stages = shape.hidden_size, shape.draft_stages
    for _ in range(stages):
        yield from _layer(shape, shape.dspark_n_routed_experts)
    if stages:
        yield Tensor("projection", "linear", hidden, stages * hidden)
        yield Tensor("norms", "bf16", 2, hidden)
        yield Tensor("markov_head", "bf16", shape.vocab_size, shape.dspark_markov_rank, count=2)
        yield Tensor("confidence_head", "bf16", 1, hidden + shape.dspark_markov_rank)
