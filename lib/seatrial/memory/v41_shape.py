"""Reads the shape of a DeepSeek V4.1 from its config.json, which comes from outside: every field is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seatrial.memory.family import FamilyShape, read_numbers
from seatrial.memory.fields import ORIGINAL, Fields
from seatrial.memory.storage import Layout
from seatrial.memory.vision import Vision, read_vision

_RATIOS = (0, 1, 2)
_MOST_STAGES = 64
_MOST_ROWS = 1 << 40
_STORAGE = {"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [32, 32]}
"""Storage of the published checkpoint: MXFP4 experts, FP8 in blocks of 32 by 32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class V41Shape(FamilyShape):
    """Fields of a ``deepseek_v41`` config.json that bytes follow from, by their names there."""

    compress_ratios: tuple[int, ...]  # of each layer: 0 (window only), 1 or 2
    kv_source_layer_ids: tuple[int, ...]  # layers that compress; each later layer reads the last one's cache
    index_source_layer_ids: tuple[int, ...]  # layers with an indexer
    engram_layer_ids: tuple[int, ...]
    engram_num_embeddings: tuple[int, ...]  # rows of the table of each of these layers
    engram_head_dim: int  # values of a row
    engram_columns: int  # rows looked up for each token and layer
    vision: Vision | None
    draft_stages: int  # DSpark layers; 0 without
    dspark_n_routed_experts: int  # in each of them
    dspark_markov_rank: int
    layout: Layout

    @property
    def draft(self) -> str | None:
        """Kind of the draft head."""
        return "dspark" if self.draft_stages else None

    def sources(self, ratio: int) -> int:
        """Return the layers that keep a compressed cache of this ratio."""
        return sum(self.compress_ratios[layer] == ratio for layer in self.kv_source_layer_ids)


def read_v41_shape(config: dict[str, Any], *, file: str = "config.json", remedy: str = ORIGINAL) -> V41Shape:
    """Return the shape in a ``deepseek_v41`` config.json with flat fields.

    Raises:
        ModelFileError: If a field is missing, of the wrong type or absurd; the message names the field.

    """
    fields = Fields(config, file, remedy)
    numbers = read_numbers(fields)
    layers = numbers["num_hidden_layers"]
    tables = _layer_ids(fields, "engram_layer_ids", layers)
    stages, experts, rank = _draft(fields)
    return V41Shape(
        **numbers,
        compress_ratios=fields.integers("compress_ratios", 0, max(_RATIOS), at_least=layers)[:layers],
        kv_source_layer_ids=_layer_ids(fields, "kv_source_layer_ids", layers),
        index_source_layer_ids=_layer_ids(fields, "index_source_layer_ids", layers),
        engram_layer_ids=tables,
        engram_num_embeddings=_rows(fields, len(tables)),
        engram_head_dim=fields.integer("engram_head_dim", 1, 1 << 14) if tables else 0,
        engram_columns=_columns(fields) if tables else 0,
        tie_word_embeddings=fields.boolean("tie_word_embeddings"),
        vision=read_vision(fields),
        draft_stages=stages,
        dspark_n_routed_experts=experts,
        dspark_markov_rank=rank,
        layout=_layout(fields),
    )


def _layer_ids(fields: Fields, name: str, layers: int) -> tuple[int, ...]:
    found = fields.integers(name, 0, layers - 1)
    if list(found) != sorted(set(found)):
        raise fields.error(f"does not list the layers of {name} in order, each once")
    return found


def _rows(fields: Fields, tables: int) -> tuple[int, ...]:
    rows = fields.integers("engram_num_embeddings", 1, _MOST_ROWS) if tables else ()
    if len(rows) != tables:
        raise fields.error(f"lists {len(rows)} tables in engram_num_embeddings for {tables} layers in engram_layer_ids")
    return rows


def _columns(fields: Fields) -> int:
    """Return the rows that each token looks up: one for each head and each n-gram from two tokens on."""
    longest = fields.integer("engram_max_ngram_size", 2, 64)
    return (longest - 1) * fields.integer("engram_n_heads", 1, 1 << 10)


def _draft(fields: Fields) -> tuple[int, int, int]:
    """Return the stages of the DSpark head, the experts of each and its Markov rank."""
    if fields.values.get("dspark_markov_rank") is None:
        return 0, 0, 0
    targets = fields.values.get("dspark_target_layer_ids")
    if targets is not None:
        stages = len(fields.integers("dspark_target_layer_ids", 0, 4096, at_least=1))
    else:
        stages = fields.integer("num_nextn_predict_layers", 1, _MOST_STAGES)
    experts = fields.integer("n_routed_experts", 1, 1 << 16)
    if fields.values.get("dspark_n_routed_experts"):
        experts = fields.integer("dspark_n_routed_experts", 1, 1 << 16)
    return stages, experts, fields.integer("dspark_markov_rank", 1, 1 << 17)


def _layout(fields: Fields) -> Layout:
    quantization = fields.values.get("quantization_config")
    if quantization is None:
        return "mxfp8"  # mlx-vlm's form of the config leaves it out
    known = isinstance(quantization, dict) and {name: quantization.get(name) for name in _STORAGE} == _STORAGE
    if not known or fields.values.get("expert_dtype", "fp4") != "fp4":
        raise fields.error("names another storage than MXFP4 experts and FP8 in blocks of 32 by 32, so it is not sized")
    return "mxfp8"
