"""Reads what a fetch left on this disk: the folder of each checkpoint, and the list of its checked files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.catalog.remote_file import RemoteFile
from seatrial.catalog.types import Checkpoint
from seatrial.errors import SeatrialError, UsageError
from seatrial.paths import cannot_read, models_dir
from seatrial.records import from_dict, read_json

MANIFEST = "seatrial.json"
"""This kit's own file beside a checkpoint's files; no source provides it."""

_LONGEST_NAME = 200
"""Characters of a folder's name; file systems take 255, and a lock's name is longer."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was checked: its size, its hash, and its time stamps at the check."""

    name: str
    size_bytes: int
    sha256: str
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Files of a checkpoint's folder, and their source."""

    checkpoint: str
    source: str
    files: tuple[StoredFile, ...]
    folder: str | None = None  # where the files are, if in another cache; None: beside the manifest


@dataclass(frozen=True, slots=True)
class Fetched:
    """A checkpoint on this disk."""

    id: str
    path: Path  # that an engine loads
    files: tuple[StoredFile, ...]


def folder_of(checkpoint: Checkpoint) -> Path:
    """Return the folder for a checkpoint, without creating it."""
    name = _folder_name(checkpoint.id)
    if len(name) > _LONGEST_NAME:  # a local path
        digest = hashlib.sha256(checkpoint.id.encode(errors="surrogateescape")).hexdigest()[:12]
        name = f"{name[-_LONGEST_NAME + len(digest) + 1 :].lstrip('.-')}-{digest}"
    return models_dir() / name


def _folder_name(checkpoint_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "--", checkpoint_id).lstrip(".-") or "unnamed"


def read_manifest(folder: Path) -> Manifest | None:
    """Return the list of a folder's files, None if there is none, or a damaged one.

    Raises:
        UsageError: If this user may not read it: the files may be whole, and nobody should fetch them again.

    """
    try:
        return from_dict(Manifest, read_json(folder / MANIFEST))
    except SeatrialError as error:
        if isinstance(error.__cause__, PermissionError):
            raise cannot_read(folder, error.__cause__) from error
        return None


def weights_in(folder: Path, files: Sequence[StoredFile | RemoteFile]) -> Path:
    """Return the path an engine loads: the first GGUF file, or the folder."""
    gguf = sorted(file.name for file in files if file.name.casefold().endswith(".gguf"))
    return folder / gguf[0] if gguf else folder


def find_fetched(name: str) -> Fetched | None:
    """Return a fetched checkpoint by its hub id; without a quantization, the only one of the repository.

    None if there is none, or if a file is gone. The bytes are not checked again.

    Raises:
        UsageError: If this user may not read its list of files.

    """
    wanted, others = name.casefold(), []
    for one in _all_fetched(wanted):
        known = one.id.casefold()
        if known == wanted:
            return one
        if known.partition(":")[0] == wanted:
            others.append(one)
    return others[0] if len(others) == 1 else None


def _all_fetched(wanted: str) -> Iterator[Fetched]:
    """Yield what was fetched; an unreadable list of files counts only in a folder that can be the wanted one's."""
    try:
        folders = sorted(models_dir().iterdir())
    except OSError:
        return
    for folder in folders:
        try:
            manifest = read_manifest(folder)
        except UsageError:
            if f"{folder.name.casefold()}--".startswith(f"{_folder_name(wanted)}--"):
                raise
            continue
        if manifest is None or not manifest.files:
            continue
        place = Path(manifest.folder) if manifest.folder else folder
        if all((place / file.name).is_file() for file in manifest.files):
            yield Fetched(manifest.checkpoint, weights_in(place, manifest.files), manifest.files)
