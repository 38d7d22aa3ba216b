"""Finds fetched checkpoints on this disk, complete and unchanged.

Each checkpoint has a folder under the models folder. Its manifest, ``seatrial.json``, lists the files with their SHA-256
and the time stamps of the check. A file with newer time stamps is hashed again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from seatrial.catalog.types import Checkpoint
from seatrial.errors import SeatrialError
from seatrial.fetch.disk import writing
from seatrial.fetch.progress import FetchEvent, OnProgress
from seatrial.fetch.remote_file import RemoteFile
from seatrial.fetch.verify import sha256_of
from seatrial.paths import cannot_read, models_dir, typed_path
from seatrial.records import from_dict, read_json, write_json

MANIFEST = "seatrial.json"
"""This kit's own file beside a checkpoint's files; no source provides it."""


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


def folder_of(checkpoint: Checkpoint) -> Path:
    """Return the folder for a checkpoint, without creating it."""
    return models_dir() / (re.sub(r"[^A-Za-z0-9._-]", "--", checkpoint.id).lstrip(".-") or "unnamed")


def own_path(checkpoint: Checkpoint) -> Path | None:
    """Return the local path that is the checkpoint's id, None if the id is a hub's."""
    path = typed_path(checkpoint.id, "The checkpoint")
    return path if path.is_absolute() or checkpoint.id.startswith(("./", "../")) else None


def ready_path(folder: Path) -> Path | None:
    """Return the path an engine loads from ``folder``, None if files are missing or have changed."""
    try:
        manifest = from_dict(Manifest, read_json(folder / MANIFEST))
    except SeatrialError as error:
        if isinstance(error.__cause__, PermissionError):
            raise cannot_read(folder, error.__cause__) from error  # it may be whole: nobody fetches it again
        return None
    fresh = tuple(filter(None, (_recheck(folder, file) for file in manifest.files)))
    if not fresh or len(fresh) != len(manifest.files):
        return None
    if fresh != manifest.files:
        with contextlib.suppress(SeatrialError):  # in a read-only cache the next call hashes again
            write_json(folder / MANIFEST, Manifest(manifest.checkpoint, manifest.source, fresh))
    return weights_in(folder, manifest.files)


def write_manifest(folder: Path, checkpoint: Checkpoint, source: str, files: Sequence[RemoteFile]) -> None:
    """Record that ``files`` in ``folder`` are complete and checked."""
    stored = tuple(_stored(folder, file.name, file.sha256 or sha256_of(folder / file.name)) for file in files)
    write_json(folder / MANIFEST, Manifest(checkpoint.id, source, stored))


def weights_in(folder: Path, files: Sequence[StoredFile | RemoteFile]) -> Path:
    """Return the path an engine loads: the first GGUF file, or the folder."""
    gguf = sorted(file.name for file in files if file.name.casefold().endswith(".gguf"))
    return folder / gguf[0] if gguf else folder


@contextlib.contextmanager
def locked(folder: Path, on_progress: OnProgress) -> Iterator[None]:
    """Hold the checkpoint's lock: the second of two processes waits, and then finds the files complete."""
    lock = folder.with_name(f"{folder.name}.lock")
    while True:
        with writing(lock):
            lock.parent.mkdir(parents=True, exist_ok=True)
            stream = lock.open("a")
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_progress(FetchEvent("wait", "another process fetches the same checkpoint; waiting for it"))
                fcntl.flock(stream, fcntl.LOCK_EX)
            if not _is_same_file(lock, stream):
                continue  # the previous holder has removed it, so other processes lock a new file
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_same_file(path: Path, stream: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _stored(folder: Path, name: str, sha256: str) -> StoredFile:
    status = (folder / name).stat()
    return StoredFile(name, status.st_size, sha256.casefold(), status.st_mtime_ns, status.st_ctime_ns)


def _recheck(folder: Path, file: StoredFile) -> StoredFile | None:
    try:
        status = (folder / file.name).stat()
        if status.st_size != file.size_bytes:
            return None
        if (status.st_mtime_ns, status.st_ctime_ns) == (file.modified_ns, file.changed_ns):
            return file
        if sha256_of(folder / file.name) != file.sha256:
            return None
        return _stored(folder, file.name, file.sha256)
    except OSError:
        return None
