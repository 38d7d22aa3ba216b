"""Bytes of one cached vector of DeepSeek V4, for storing it (memory) and for reading it (speed)."""

from __future__ import annotations

from functools import cache
from math import ceil
from pathlib import Path

from seatrial.json_text import parse_json

CSA, HCA = 4, 128
"""Tokens per cached vector: compressed sparse attention (with an indexer), heavily compressed attention."""


@cache
def latent_bytes(head_dim: int, rope_dim: int) -> int:
    """Return the bytes of a vector that is key and value: FP8 with scales, its rotary part in BF16."""
    layout = _layout()
    plain = head_dim - rope_dim
    scales = plain // layout["quantized_values_per_scale"] + 1
    return plain + bf16_bytes(rope_dim) + scales


@cache
def index_bytes(index_dim: int, *, fp4: bool = False) -> int:
    """Return the bytes of a key of the indexer: FP8 with its scale, or FP4."""
    layout = _layout()
    if fp4:
        return ceil(index_dim / 2) + ceil(index_dim / layout["index_fp4_values_per_scale"])
    return index_dim + ceil(index_dim / layout["index_values_per_scale"]) * layout["index_scale_bytes"]


def bf16_bytes(values: int) -> int:
    """Return the bytes of ``values`` numbers in BF16."""
    return values * _layout()["bf16_bytes_per_value"]


@cache
def _layout() -> dict[str, int]:
    path = Path(__file__).with_name("data") / "cached_vectors.json"
    document: dict[str, int] = parse_json(path.read_bytes())
    return document
