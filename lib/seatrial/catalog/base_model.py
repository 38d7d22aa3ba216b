"""Finds the model of the catalog from which a local checkpoint descends, by its shape."""

from __future__ import annotations

from seatrial.catalog.listing import models
from seatrial.catalog.types import Checkpoint

_SHAPE = (
    "model_type", "num_hidden_layers", "hidden_size", "n_routed_experts", "moe_intermediate_size",
    "num_attention_heads", "vision_n_layers",
)  # fmt: skip
"""Fields of config.json that differ between the models of the family."""


def base_model_of(checkpoint: Checkpoint) -> str:
    """Return the id of the checkpoint's model; for a local checkpoint, of the official model with the same shape.

    Recipes and rules of that model then apply to the copy too. The id stays ``local`` if no model has the shape.
    """
    if checkpoint.model != "local":
        return checkpoint.model
    shape = [checkpoint.config.get(name) for name in _SHAPE]
    for model in models():
        if model.role == "official" and shape == [model.config.get(name) for name in _SHAPE]:
            return model.id
    return checkpoint.model
