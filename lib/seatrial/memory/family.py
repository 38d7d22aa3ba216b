"""What the architectures of the DeepSeek V4 family have in common: fields of their config.json, tensors of a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from seatrial.memory.fields import Fields
from seatrial.memory.storage import Tensor

_BOUNDS = {
    "hidden_size": (1, 1 << 17),
    "num_hidden_layers": (1, 4096),
    "num_attention_heads": (1, 1 << 14),
    "head_dim": (1, 1 << 14),
    "q_lora_rank": (1, 1 << 17),
    "o_lora_rank": (1, 1 << 17),
    "o_groups": (1, 1 << 14),
    "n_routed_experts": (1, 1 << 16),
    "n_shared_experts": (0, 1 << 10),
    "num_experts_per_tok": (1, 1 << 16),
    "moe_intermediate_size": (1, 1 << 18),
    "vocab_size": (1, 1 << 24),
    "hc_mult": (1, 64),
    "index_n_heads": (1, 1 << 14),
    "index_head_dim": (1, 1 << 14),
    "sliding_window": (1, 1 << 24),
    "qk_rope_head_dim": (0, 1 << 14),
    "max_position_embeddings": (1, 1 << 32),
}
"""Whole-number fields every config must have, each with its lowest and highest sensible value."""

_LIMITS = {"num_experts_per_tok": "n_routed_experts", "qk_rope_head_dim": "head_dim"}
"""Fields that another field limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyShape:
    """Fields that bytes follow from in every architecture, by their names in config.json."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    head_dim: int
    q_lora_rank: int
    o_lora_rank: int
    o_groups: int
    n_routed_experts: int
    n_shared_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    vocab_size: int
    hc_mult: int
    index_n_heads: int
    index_head_dim: int
    sliding_window: int
    qk_rope_head_dim: int
    max_position_embeddings: int
    tie_word_embeddings: bool


def read_numbers(
    fields: Fields, more: Mapping[str, tuple[int, int]] = {}, limits: Mapping[str, str] = {}
) -> dict[str, int]:
    """Return the whole numbers of a config.json, checked one by one and against one another.

    Args:
        fields: The config.
        more: Further fields, each with its lowest and highest value.
        limits: Further fields that another field limits.

    Raises:
        ModelFileError: If a field is missing, of the wrong type or absurd, or if two contradict each other.

    """
    numbers = {name: fields.integer(name, *bounds) for name, bounds in (_BOUNDS | dict(more)).items()}
    width, groups = numbers["num_attention_heads"] * numbers["head_dim"], numbers["o_groups"]
    if width % groups:
        raise fields.error(
            f"contradicts itself: num_attention_heads x head_dim = {width:,} is not a multiple of o_groups = {groups}"
        )
    for part, limit in (_LIMITS | dict(limits)).items():
        if numbers[part] > numbers[limit]:
            raise fields.error(f"contradicts itself: {part} = {numbers[part]} is more than {limit} = {numbers[limit]}")
    heads = fields.values.get("num_key_value_heads")
    if heads is not None and (type(heads) is not int or heads != 1):
        raise fields.error(
            f"says num_key_value_heads = {repr(heads)[:40]}; this family has 1, and its cache is sized for 1"
        )
    return numbers


def attention_tensors(shape: FamilyShape) -> Iterator[Tensor]:
    """Yield attention, norms and hyper-connections of one layer, without what compresses its cache."""
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


def expert_tensors(shape: FamilyShape, experts: int) -> Iterator[Tensor]:
    """Yield the router's weights, ``experts`` routed experts and the shared ones of one layer."""
    hidden, inner = shape.hidden_size, shape.moe_intermediate_size
    shared = inner * shape.n_shared_experts  # several are stored as one wider one
    yield Tensor("router", "bf16", experts, hidden)
    yield Tensor("experts", "expert", inner, hidden, count=2 * experts, split="experts")
    yield Tensor("experts", "expert", hidden, inner, count=experts, split="experts")
    if shared:
        yield Tensor("shared", "linear", shared, hidden, count=2, split="heads")
        yield Tensor("shared", "linear", hidden, shared, split="heads")


def vocabulary_tensors(shape: FamilyShape) -> Iterator[Tensor]:
    """Yield the input embedding, the output head if it is another tensor, and the last norm."""
    yield Tensor("embeddings", "bf16", shape.vocab_size, shape.hidden_size, split="heads")
    if not shape.tie_word_embeddings:
        yield Tensor("output_head", "bf16", shape.vocab_size, shape.hidden_size, split="heads")
    yield Tensor("norms", "bf16", 1, shape.hidden_size)
