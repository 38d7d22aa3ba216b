"""Tensors of a DeepSeek V4, so that their bytes are added up instead of estimated.

The list is that of the official checkpoints, layer by layer. With the storage formats of ``data/layouts.json`` it
reproduces the published sizes to the byte; docs/memory.md derives it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from seatrial.catalog.cached_vectors import CSA
from seatrial.memory.shape import Shape
from seatrial.memory.storage import Tensor
from seatrial.memory.vision import vision_tensors

_MARKERS = 4
"""Learned vectors for the start, the end, the lines and the padding of an image."""


def tensors(shape: Shape) -> Iterator[Tensor]:
    """Yield every tensor of the checkpoint, draft head included; those of equal layers together."""
    hidden, vocabulary = shape.hidden_size, shape.vocab_size
    kinds = Counter((ratio, layer < shape.num_hash_layers) for layer, ratio in enumerate(shape.compress_ratios))
    for (ratio, hashed), layers in kinds.items():
        for tensor in _layer(shape, ratio, hashed=hashed):
            yield replace(tensor, count=tensor.count * layers)
    yield Tensor("embeddings", "bf16", vocabulary, hidden, split="heads")
    if not shape.tie_word_embeddings:
        yield Tensor("output_head", "bf16", vocabulary, hidden, split="heads")
    yield Tensor("norms", "bf16", 1, hidden)
    yield from _output_mix(shape)
    if shape.vision:
        yield from vision_tensors(shape.vision, hidden, markers=_MARKERS)
        yield Tensor("router", "f32", shape.num_hidden_layers, shape.n_routed_experts)  # bias for image tokens
    for tensor in _draft_head(shape):
        yield replace(tensor, draft=True)


def _layer(shape: Shape, ratio: int, *, hashed: bool) -> Iterator[Tensor]:
    hidden, width = shape.hidden_size, shape.num_attention_heads * shape.head_dim
    out = shape.o_groups * shape.o_lora_rank
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
    yield from _experts(shape, hashed=hashed)
    if ratio:
        yield from _compressor("compressor", ratio, shape.head_dim, hidden)
    if ratio == CSA:
        yield Tensor("indexer", "linear", shape.index_n_heads * shape.index_head_dim, shape.q_lora_rank)
        yield Tensor("indexer", "bf16", shape.index_n_heads, hidden)
        yield from _compressor("indexer", ratio, shape.index_head_dim, hidden)


def _experts(shape: Shape, *, hashed: bool) -> Iterator[Tensor]:
    hidden, inner = shape.hidden_size, shape.moe_intermediate_size
    shared = inner * shape.n_shared_experts  # several are stored as one wider one
    yield Tensor("router", "bf16", shape.n_routed_experts, hidden)
    if hashed:
        yield Tensor("hash_tables", "i64", shape.vocab_size, shape.num_experts_per_tok)
    else:
        yield Tensor("router", "f32", 1, shape.n_routed_experts)
    yield Tensor("experts", "expert", inner, hidden, count=2 * shape.n_routed_experts, split="experts")
    yield Tensor("experts", "expert", hidden, inner, count=shape.n_routed_experts, split="experts")
    if shared:
        yield Tensor("shared", "linear", shared, hidden, count=2, split="heads")
        yield Tensor("shared", "linear", hidden, shared, split="heads")


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
