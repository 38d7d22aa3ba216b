"""Tensors of a DeepSeek V4, so that their bytes are added up instead of estimated.

The list is that of the official checkpoints, layer by layer. With the storage formats of ``data/layouts.json`` it
reproduces the published sizes to the byte; docs/memory.md derives it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from seatrial.catalog.cached_vectors import CSA
from seatrial.memory.family import attention_tensors, expert_tensors, vocabulary_tensors
from seatrial.memory.shape import Shape
from seatrial.memory.storage import Tensor
from seatrial.memory.vision import vision_tensors

_MARKERS = 4
"""Learned vectors for the start, the end, the lines and the padding of an image."""


def tensors(shape: Shape) -> Iterator[Tensor]:
    """Yield every tensor of the checkpoint, draft head included; those of equal layers together."""
    kinds = Counter((ratio, layer < shape.num_hash_layers) for layer, ratio in enumerate(shape.compress_ratios))
    for (ratio, hashed), layers in kinds.items():
        for tensor in _layer(shape, ratio, hashed=hashed):
            yield replace(tensor, count=tensor.count * layers)
    yield from vocabulary_tensors(shape)
    yield from _output_mix(shape)
    if shape.vision:
        yield from vision_tensors(shape.vision, shape.hidden_size, markers=_MARKERS)
        yield Tensor("router", "f32", shape.num_hidden_layers, shape.n_routed_experts)  # bias for image tokens
    for tensor in _draft_head(shape):
        yield replace(tensor, draft=True)


def _layer(shape: Shape, ratio: int, *, hashed: bool) -> Iterator[Tensor]:
    hidden = shape.hidden_size
    yield from attention_tensors(shape)
    yield from expert_tensors(shape, shape.n_routed_experts)
    if hashed:
        yield Tensor("hash_tables", "i64", shape.vocab_size, shape.num_experts_per_tok)
    else:
        yield Tensor("router", "f32", 1, shape.n_routed_experts)
    if ratio:
        yield from _compressor("compressor", ratio, shape.head_dim, hidden)
    if ratio == CSA:
        yield Tensor("indexer", "linear", shape.index_n_heads * shape.index_head_dim, shape.q_lora_rank)
        yield Tensor("indexer", "bf16", shape.index_n_heads, hidden)
        yield from _compressor("indexer", ratio, shape.index_head_dim, hidden)


def _compressor(group: str, ratio: int, head: int, hidden: int) -> Iterator[Tensor]:
    # Ratio 4 overlaps its windows, so that it compresses two vectors a token.
    width = 2 * head if ratio == CSA else head
    yield Tensor(group, "f32", ratio, width)  # position of each token in its window
    yield Tensor(group, "bf16", width, hidden, count=2)  # values and gate
    yield Tensor(group, "bf16", 1, head)


def _output_mix(shape: Shape) -> Iterator[Tensor]:
    yield Tensor("hyper_connections", "f32", shape.hc_mult, shape.hc_mult * shape.hidden_size)
    yield Tensor("hyper_connections", "f32", 1, shape.hc_mult + 1)


def _draft_head(shape: Shape) -> Iterator[Tensor]:
    hidden = shape.hidden_size
    for ratio in shape.draft_ratios:
        yield from _layer(shape, ratio, hashed=False)
        if shape.draft == "mtp":
            yield Tensor("projection", "linear", hidden, hidden, count=2)
            yield Tensor("norms", "bf16", 3, hidden)
            yield from _output_mix(shape)
    if shape.draft == "dspark":
        yield Tensor("projection", "linear", hidden, len(shape.draft_ratios) * hidden)
        yield Tensor("norms", "bf16", 2, hidden)
        yield from _output_mix(shape)
        yield Tensor("markov_head", "bf16", shape.vocab_size, shape.dspark_markov_rank, count=2)
        yield Tensor("confidence_head", "bf16", 1, hidden + shape.dspark_markov_rank)
