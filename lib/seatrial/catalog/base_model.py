"""Which model of the catalog a local checkpoint is a copy or a descendant of, by its shape."""

from __future__ import annotations

from seatrial.catalog.listing import models
from seatrial.catalog.types import Checkpoint

_SHAPE = ("num_hidden_layers", "hidden_size", "n_routed_experts", "moe_intermediate_size", "num_attention_heads")
"""Fields of config.json that tell the models of the family apart."""


def base_model_of(checkpoint: Checkpoint) -> str:
    """Id of the model with the checkpoint's shape; what engines and recipes say of it holds for the copy too.

    A checkpoint of the catalog names its model; a local one of no known shape stays ``local``.
    """
    if checkpoint.model != "local":
        return checkpoint.model
    shape = [checkpoint.config.get(name) for name in _SHAPE]
    for model in models():
        if model.role == "official" and shape == [model.config.get(name) for name in _SHAPE]:
            return model.id
    return checkpoint.model
