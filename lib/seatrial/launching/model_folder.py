"""Gives an engine a checkpoint whose config.json it can read: links to the same files, and a copy of the one it misreads."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from seatrial import paths
from seatrial.catalog.engine_facts import MisreadConfig, engine_facts
from seatrial.errors import cannot_write
from seatrial.records import read_json
from seatrial.writing import write_text

_CONFIG = "config.json"


def readable_folder(engine: str, folder: Path) -> Path:
    """Return a folder of the checkpoint that the engine can read: ``folder`` itself, unless it misreads a field.

    The checkpoint stays as it was checked. The same checkpoint gets the same folder again.

    Raises:
        UsageError: If config.json cannot be read, or the folder cannot be written.
        DoesNotFitError: If the disk is full.

    """
    row, path = engine_facts(engine).misread_config, folder / _CONFIG
    config = read_json(path) if row and path.is_file() else None
    if row is None or not isinstance(config, dict) or config.get("model_type") != row.architecture:
        return folder
    return _linked(folder.resolve(), _without(config, row)) if _has(config, row) else folder


def _has(config: dict[str, Any], row: MisreadConfig) -> bool:
    outer, _, name = row.field.rpartition(".")
    inner = config.get(outer) if outer else config
    return isinstance(inner, dict) and name in inner


def _without(config: dict[str, Any], row: MisreadConfig) -> dict[str, Any]:
    outer, _, name = row.field.rpartition(".")
    if not outer:
        return {key: value for key, value in config.items() if key != name}
    return {**config, outer: {key: value for key, value in config[outer].items() if key != name}}


def _linked(folder: Path, config: dict[str, Any]) -> Path:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != _CONFIG)
    text = json.dumps(config, indent=2)
    # Another revision of the checkpoint, or another file in it, is another folder.
    state = "\n".join([str(folder), text, *(path.name for path in files)])
    parent = paths.private_dir(paths.readable_dir())
    target = parent / f"{folder.name}-{hashlib.sha256(state.encode()).hexdigest()[:12]}"
    if target.is_dir():
        return target
    try:
        part = Path(tempfile.mkdtemp(dir=parent, prefix=".part-"))
        try:
            for path in files:
                (part / path.name).symlink_to(path)
            write_text(part / _CONFIG, text)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        if target.is_dir():  # another launch made it meanwhile
            return target
        raise cannot_write(parent, error, "Free some space, or set SEATRIAL_CACHE to a writable folder.") from error
    return target
