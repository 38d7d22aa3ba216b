"""Finds out what a hub id that is in no catalog holds, from its first bytes, before anybody downloads the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from seatrial.catalog.architecture import check_architecture, flattened
from seatrial.catalog.companions import DFLASH
from seatrial.catalog.engine_facts import loaders
from seatrial.catalog.gguf import architecture_at
from seatrial.catalog.held import find_held, split_id
from seatrial.catalog.local import check_gguf_architecture
from seatrial.catalog.remote_file import RemoteFile
from seatrial.catalog.stored import StoredFile, find_fetched
from seatrial.catalog.types import Checkpoint
from seatrial.errors import ModelFileError
from seatrial.fetch.hub import check_repository
from seatrial.fetch.progress import OnProgress
from seatrial.fetch.sources import FolderSource, HubSource, source_of
from seatrial.json_text import JsonError, parse_json

_MOST_OF_GGUF_BYTES = 1 << 20
"""Writers put the architecture first, before the vocabulary's megabytes."""
_MOST_OF_CONFIG_BYTES = 8 << 20
_CONFIG = "config.json"


def unlisted_checkpoint(text: str, on_progress: OnProgress, source: str | Path | None = None) -> Checkpoint:
    """Return the checkpoint that a hub id means which is in no catalog, after a look at its architecture.

    Args:
        text: ``owner/name``, for GGUF with its quantization unless the repository holds only one.
        on_progress: Called at every step.
        source: A folder that holds the files, instead of the network.

    Raises:
        RefusedError: If this kit cannot plan its architecture; nothing was downloaded.
        UsageError: If the hub has no such model or quantization.
        NetworkError: If the hub does not answer.

    """
    check_repository(split_id(text)[0])
    fetched = find_fetched(text)
    if fetched is not None:
        return _checkpoint(fetched.id, fetched.files)
    held = find_held(*split_id(text)) if source is None else None
    origin: HubSource | FolderSource
    if held is not None:
        origin = FolderSource(held.folder, "", held.files)
    else:
        found = source_of(_checkpoint(text, ()), source, on_progress)
        origin = cast("HubSource | FolderSource", found)
    _check(origin, text)
    return _checkpoint(text, origin.files)


def _check(origin: HubSource | FolderSource, name: str) -> None:
    """Refuse an architecture that this kit cannot plan, from the first bytes of a file."""
    weights = [file for file in origin.files if file.name.casefold().endswith(".gguf")]
    if weights:
        first = f"{weights[0].name} of {name}"
        kind = architecture_at(origin.start_of(weights[0], _MOST_OF_GGUF_BYTES), first)
        if kind != DFLASH:
            check_gguf_architecture(kind, first)
        return
    config = next((file for file in origin.files if file.name == _CONFIG), None)
    if config is None:
        raise ModelFileError(
            f"{name} has no {_CONFIG}, so nothing says what it is.", remedy="Choose another repository."
        )
    check_architecture(_parsed(origin.start_of(config, _MOST_OF_CONFIG_BYTES), name), f"{_CONFIG} of {name}")


def _parsed(text: bytes, name: str) -> dict[str, Any]:
    try:
        config = parse_json(text)
    except JsonError:
        config = None
    if not isinstance(config, dict):
        raise ModelFileError(f"{_CONFIG} of {name} is no JSON object.", remedy="Choose another repository.")
    return flattened(config)


def _checkpoint(name: str, files: Sequence[RemoteFile | StoredFile]) -> Checkpoint:
    gguf = any(file.name.casefold().endswith(".gguf") for file in files)
    return Checkpoint(
        id=name,
        model="local",
        format="gguf" if gguf else "safetensors",
        precision=split_id(name)[1] or "unknown",
        weights_bytes=None,
        origin="assumed",
        source="a hub id that is in no catalog",
        engines=loaders("gguf" if gguf else "safetensors"),
    )
