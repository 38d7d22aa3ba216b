"""Where fetched checkpoints lie, and how one knows that they are complete.

Each has a folder under the models folder. ``seatrial.json`` in it lists the files with their
SHA-256 and the time stamps they had when they were checked: a file touched since is hashed again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from seatrial.catalog.types import Checkpoint
from seatrial.errors import SeatrialError
from seatrial.fetch.progress import FetchEvent, Tell
from seatrial.fetch.selection import OWN_NAME
from seatrial.fetch.transfer import RemoteFile, sha256_of, writing
from seatrial.paths import models_dir
from seatrial.records import from_dict, read_json, write_json

MANIFEST = OWN_NAME


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was checked: its bytes, and the stamps it had then."""

    name: str
    size_bytes: int
    sha256: str
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint's folder holds, and where it came from."""

    checkpoint: str
    source: str
    files: tuple[StoredFile, ...]


def folder_of(checkpoint: Checkpoint) -> Path:
    """The folder a checkpoint is kept in; not created here."""
    return models_dir() / (re.sub(r"[^A-Za-z0-9._-]", "--", checkpoint.id).lstrip(".-") or "unnamed")


def given_path(checkpoint: Checkpoint) -> Path | None:
    """The path itself, for a checkpoint that is named by its local path."""
    path = Path(checkpoint.id).expanduser()
    return path if path.is_absolute() or checkpoint.id.startswith(("./", "../")) else None


def ready_path(folder: Path) -> Path | None:
    """The weights in ``folder`` (the first GGUF file, or the folder itself), None unless complete and unchanged."""
    try:
        manifest = from_dict(Manifest, read_json(folder / MANIFEST))
    except SeatrialError:
        return None
    fresh = [_checked_again(folder, file) for file in manifest.files]
    if not manifest.files or None in fresh:
        return None
    if tuple(fresh) != manifest.files:
        with contextlib.suppress(SeatrialError):  # a read-only cache only means hashing again next time
            write_json(folder / MANIFEST, Manifest(manifest.checkpoint, manifest.source, tuple(filter(None, fresh))))
    return weights_in(folder, manifest.files)


def write_manifest(folder: Path, checkpoint: Checkpoint, source: str, files: Sequence[RemoteFile]) -> None:
    """Write down that ``files`` in ``folder`` are complete and checked."""
    stored = tuple(_stored(folder, file.name, file.sha256 or sha256_of(folder / file.name)) for file in files)
    write_json(folder / MANIFEST, Manifest(checkpoint.id, source, stored))


def weights_in(folder: Path, files: Sequence[StoredFile | RemoteFile]) -> Path:
    """What an engine is given: the first GGUF file, or the folder."""
    gguf = sorted(file.name for file in files if file.name.casefold().endswith(".gguf"))
    return folder / gguf[0] if gguf else folder


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk ``folder`` is, or would be, on."""
    with writing(folder):
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).free


@contextlib.contextmanager
def leaving_nothing(folder: Path) -> Iterator[None]:
    """Where what follows fails before anything has arrived, the folders made for it go again."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):  # something lies in it, or it was never made
                path.rmdir()
        raise


@contextlib.contextmanager
def locked(folder: Path, tell: Tell) -> Iterator[None]:
    """Hold the checkpoint's lock: of two processes that fetch the same, one waits and finds it done."""
    lock = folder.with_name(f"{folder.name}.lock")
    while True:
        with writing(lock):
            lock.parent.mkdir(parents=True, exist_ok=True)
            stream = lock.open("a")
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tell(FetchEvent("wait", "another process fetches the same checkpoint; waiting for it"))
                fcntl.flock(stream, fcntl.LOCK_EX)
            if not _is_still(lock, stream):
                continue  # whoever had it has removed it: others lock a new file
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_still(path: Path, stream: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _stored(folder: Path, name: str, sha256: str) -> StoredFile:
    status = (folder / name).stat()
    return StoredFile(name, status.st_size, sha256.casefold(), status.st_mtime_ns, status.st_ctime_ns)


def _checked_again(folder: Path, file: StoredFile) -> StoredFile | None:
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
