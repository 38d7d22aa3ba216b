"""Tensors of a DeepSeek V4.1, so that their bytes are added up; docs/memory.md compares them with published sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from seatrial.memory.storage import Tensor
from seatrial.memory.v41_shape import V41Shape
from seatrial.memory.vision import vision_tensors

_MARKERS = 3
"""Learned vectors for the start, the end and the lines of an image."""


def v41_tensors(shape: V41Shape) -> Iterator[Tensor]:
    """Yield every tensor of the checkpoint, draft head included."""
    hidden, vocabulary = shape.hidden_size, shape.vocab_size
    for layer in range(shape.num_hidden_layers):
        yield from _layer(shape, shape.n_routed_experts)
        yield from _caching(shape, layer)
    for rows in shape.engram_num_embeddings:
        yield from _engram(shape, rows)
    yield Tensor("embeddings", "bf16", vocabulary, hidden, split="heads")
    if not shape.tie_word_embeddings:
        yield Tensor("output_head", "bf16", vocabulary, hidden, split="heads")
    yield Tensor("norms", "bf16", 1, hidden)
    if shape.vision:
        yield from vision_tensors(shape.vision, hidden, markers=_MARKERS)
        yield Tensor("router", "f32", shape.num_hidden_layers, shape.n_routed_experts)  # bias for image tokens
    for tensor in _draft_head(shape):
        yield replace(tensor, draft=True)


def _layer(shape: V41Shape, experts: int) -> Iterator[Tensor]:
    """Yield what every layer has, those of the draft head included."""
    hidden, width, inner = shape.hidden_size, shape.num_attention_heads * shape.head_dim, shape.moe_intermediate_size
    out, shared = shape.o_groups * shape.o_lora_rank, inner * shape.n_shared_experts
    yield Tensor("attention", "linear", shape.q_lora_rank, hidden)
    yield Tensor("attention", "linear", width, shape.q_lora_rank, split="heads")
    yield Tensor("attention", "linear", shape.head_dim, hidden)
    yield Tensor("attention", "grouped_linear", out, width // shape.o_groups, split="heads")
    yield Tensor("attention", "linear", hidden, out, split="heads")
    yield Tensor("attention", "f32", 1, shape.num_attention_heads)  # sinks
    yield Tensor("norms", "bf16", 1, shape.q_lora_rank + shape.head_dim + 2 * hidden)
    mixes = (2 + shape.hc_mult) * shape.hc_mult
    yield Tensor("hyper_connections", "f32", mixes, shape.hc_mult * hidden, count=2)
    yield Tensor("hyper_connections", "f32", 1, mixes + 3, count=2)
    yield Tensor("router", "bf16", experts, hidden)
    yield Tensor("router", "f32", 1, experts)
    yield Tensor("experts", "expert", inner, hidden, count=2 * experts, split="experts")
    yield Tensor("experts", "expert", hidden, inner, count=experts, split="experts")
    if shared:
        yield Tensor("shared", "linear", shared, hidden, count=2, split="heads")
        yield Tensor("shared", "linear", hidden, shared, split="heads")


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
