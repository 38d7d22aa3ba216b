"""Sorts the tensors of a GGUF or safetensors file into classes (experts, attention, norms, ...) by their names."""

from __future__ import annotations

from collections.abc import Iterable

_RULES = (
    ("draft", ("mtp.", "nextn", "dspark")),
    ("scales", (".scale", "weight_scale", "scale_inv", "input_scale")),
    ("engram", ("engram.embed",)),
    ("engram_projection", ("engram.",)),
    ("vision", ("vision.", "aligner.", "image_")),
    ("hash_tables", ("tid2eid",)),
    ("indexer", ("indexer",)),
    ("compressor", ("compressor",)),
    ("shared", ("shexp", "shared_expert")),
    ("experts", ("_exps.", ".experts.")),
    ("router", ("ffn_gate_inp", "exp_probs", ".gate.", "mlp.gate")),
    ("hyper_connections", ("hc_", "hyper")),
    ("norms", ("norm",)),
    ("embeddings", ("token_embd", "embed.", "embed_tokens", "wte.")),
    ("attention", ("attn", "attention")),
    ("feed_forward", ("ffn", "mlp")),
    ("output_head", ("output", "head.", "lm_head")),
)
"""Classes and parts of their tensors' names; the first match decides."""


def class_of(name: str) -> str:
    """Return the class of a tensor, ``other`` if its name matches none."""
    for label, parts in _RULES:
        if any(part in name for part in parts):
            return label
    return "other"


def sum_by_class(tensors: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Add up the bytes of each class, from pairs of tensor name and bytes."""
    totals: dict[str, int] = {}
    for name, size in tensors:
        label = class_of(name)
        totals[label] = totals.get(label, 0) + size
    return totals
