"""Under which name a checkpoint is served, and whether it stands in for DeepSeek V4."""

from __future__ import annotations

from pathlib import PurePath

from seatrial.catalog import find_model


def served_name(checkpoint: str) -> str:
    """The model id a server lists: the hub id, or for a local path its last part."""
    local = checkpoint.startswith(("/", "./", "../", "~")) or checkpoint.endswith(".gguf")
    return PurePath(checkpoint).name if local else checkpoint


def is_stand_in(model: str) -> bool:
    """Whether ``model`` is a stand-in of the catalog."""
    return model != "local" and find_model(model).role == "stand-in"
