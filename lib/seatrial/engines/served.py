"""Names a checkpoint as its server lists it, and tells stand-ins from DeepSeek V4."""

from __future__ import annotations

from pathlib import PurePath

from seatrial.catalog import find_model
from seatrial.catalog.hub_cache import local_name


def served_name(checkpoint: str) -> str:
    """Return the model id a server lists: the hub id, or the last part of a local path."""
    local = checkpoint.startswith(("/", "./", "../", "~")) or checkpoint.endswith(".gguf")
    return local_name(PurePath(checkpoint)) if local else checkpoint


def is_stand_in(model: str) -> bool:
    """Return True if ``model`` is a stand-in of the catalog."""
    return model != "local" and find_model(model).role == "stand-in"
