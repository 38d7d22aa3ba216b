"""Finds fetched checkpoints on this disk, complete and unchanged.

Each checkpoint has a folder under the models folder. Its manifest, ``seatrial.json``, lists the files with their SHA-256
and the time stamps of the check. A file with newer time stamps is hashed again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import FileIO
from pathlib import Path

from seatrial.catalog.remote_file import RemoteFile
from seatrial.catalog.stored import MANIFEST, Manifest, StoredFile, folder_of, read_manifest, weights_in
from seatrial.catalog.types import Checkpoint
from seatrial.errors import SeatrialError, UsageError
from seatrial.fetch.disk import make_own_folder, writing
from seatrial.fetch.progress import FetchEvent, OnProgress
from seatrial.fetch.verify import sha256_of
from seatrial.paths import typed_path
from seatrial.records import write_json
from seatrial.units import format_bytes
from seatrial.writing import open_own

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
"""Error numbers of network file systems that are mounted without locks (Lustre without flock, NFS without its daemon)."""


def own_path(checkpoint: Checkpoint) -> Path | None:
    """Return the local path that is the checkpoint's id, None if the id is a hub's."""
    path = typed_path(checkpoint.id, "The checkpoint")
    return path if path.is_absolute() or checkpoint.id.startswith(("./", "../")) else None


def unmodified_path(checkpoint: Checkpoint) -> Path | None:
    """Return the path an engine loads, None if the checkpoint was not fetched, or a file was modified since.

    Sizes and times of modification decide. A new owner or new permissions change neither, and no byte is read.
    """
    manifest = _manifest_of(checkpoint)
    if manifest is None or not manifest.files:
        return None
    place = _place_of(manifest, checkpoint)
    known = [(file.size_bytes, file.modified_ns) for file in manifest.files]
    with contextlib.suppress(OSError):
        found = [(place / file.name).stat() for file in manifest.files]
        if known == [(status.st_size, status.st_mtime_ns) for status in found]:
            return weights_in(place, manifest.files)
    return None


def ready_path(checkpoint: Checkpoint, on_progress: OnProgress) -> Path | None:
    """Return the path an engine loads, None if the checkpoint was not fetched, or files are missing or have changed.

    A file with new time stamps is hashed again; ``on_progress`` hears of it, for a large file takes minutes.
    """
    folder, manifest = folder_of(checkpoint), _manifest_of(checkpoint)
    if manifest is None:
        return None
    place = _place_of(manifest, checkpoint)
    fresh = tuple(filter(None, (_recheck(place, file, on_progress) for file in manifest.files)))
    if not fresh or len(fresh) != len(manifest.files):
        return None
    if fresh != manifest.files:
        with contextlib.suppress(SeatrialError):  # in a read-only cache the next call hashes again
            write_json(folder / MANIFEST, replace(manifest, files=fresh))
    return weights_in(place, manifest.files)


def _manifest_of(checkpoint: Checkpoint) -> Manifest | None:
    manifest = read_manifest(folder_of(checkpoint))
    return manifest if manifest is not None and manifest.checkpoint == checkpoint.id else None


def _place_of(manifest: Manifest, checkpoint: Checkpoint) -> Path:
    return Path(manifest.folder) if manifest.folder else folder_of(checkpoint)


def write_manifest(
    folder: Path, checkpoint: Checkpoint, source: str, files: Sequence[RemoteFile], place: Path | None = None
) -> None:
    """Record in ``folder`` that ``files`` are complete and checked, there or in ``place``."""
    base = place or folder
    stored = tuple(_stored(base, file.name, file.sha256 or sha256_of(base / file.name)) for file in files)
    write_json(folder / MANIFEST, Manifest(checkpoint.id, source, stored, str(place) if place else None))


@contextlib.contextmanager
def locked(folder: Path, on_progress: OnProgress) -> Iterator[None]:
    """Hold the checkpoint's lock: the second of two processes waits, and then finds the files complete.

    Raises:
        UsageError: If the lock cannot be made, or the disk of the cache has no locks.

    """
    lock = folder.with_name(f"{folder.name}.lock")
    while True:
        make_own_folder(lock.parent)
        with writing(lock):
            stream = open_own(lock, append=True)
        with stream:
            _lock(lock, stream, on_progress)
            if not _is_same_file(lock, stream):
                continue  # the previous holder has removed it, so other processes lock a new file
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _lock(path: Path, stream: FileIO, on_progress: OnProgress) -> None:
    try:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress(FetchEvent("wait", "another process fetches the same checkpoint; waiting for it"))
            fcntl.flock(stream, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        path.unlink(missing_ok=True)
        raise UsageError(
            f"{path} cannot be locked, and two fetches at once would mix their files: {error.strerror}.",
            remedy="Set SEATRIAL_CACHE to a folder on a disk with file locks, such as a local one.",
        ) from error


def _is_same_file(path: Path, stream: FileIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _stored(folder: Path, name: str, sha256: str) -> StoredFile:
    status = (folder / name).stat()
    return StoredFile(name, status.st_size, sha256.casefold(), status.st_mtime_ns, status.st_ctime_ns)


def _recheck(folder: Path, file: StoredFile, on_progress: OnProgress) -> StoredFile | None:
    try:
        status = (folder / file.name).stat()
        if status.st_size != file.size_bytes:
            return None
        if (status.st_mtime_ns, status.st_ctime_ns) == (file.modified_ns, file.changed_ns):
            return file
        size = format_bytes(file.size_bytes)
        on_progress(FetchEvent("check", f"checking {file.name} again ({size}): it has new time stamps"))
        if sha256_of(folder / file.name) != file.sha256:
            return None
        return _stored(folder, file.name, file.sha256)
    except OSError:
        return None
