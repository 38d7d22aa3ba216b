"""Checks files by size and hash, and sets wrong ones aside so that no engine reads them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from seatrial.catalog.remote_file import RemoteFile
from seatrial.errors import ModelFileError
from seatrial.fetch.disk import writing
from seatrial.fetch.progress import FetchProgress

_CHUNK_BYTES = 4 << 20


def matches(path: Path, file: RemoteFile, progress: FetchProgress | None = None) -> bool:
    """Return True if ``path`` has the size and the hash of ``file``, as far as they are known.

    Raises:
        StoppedError: If the fetch is to end meanwhile.

    """
    if not path.is_file() or (file.size_bytes is not None and path.stat().st_size != file.size_bytes):
        return False
    if file.sha256 is not None:
        return sha256_of(path, progress) == file.sha256.casefold()
    return file.git_oid is None or _git_oid_of(path) == file.git_oid.casefold()


def sha256_of(path: Path, progress: FetchProgress | None = None) -> str:
    """Return the hexadecimal SHA-256 of a file.

    Raises:
        StoppedError: If the fetch is to end meanwhile.

    """
    return _digest(path, hashlib.sha256(), progress)


def _git_oid_of(path: Path) -> str:
    """Return Git's object id of a file: the SHA-1 of its length and its bytes."""
    return _digest(path, hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False), None)


def _digest(path: Path, digest: hashlib._Hash, progress: FetchProgress | None) -> str:
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            if progress is not None:
                progress.go_on()
    return digest.hexdigest()


def holds(path: Path, file: RemoteFile, progress: FetchProgress) -> bool:
    """Return True if a file of another cache can be read and has the bytes of ``file``.

    Raises:
        StoppedError: If the fetch is to end meanwhile.

    """
    try:
        return matches(path, file, progress)
    except OSError:
        return False


def set_aside(path: Path) -> Path:
    """Rename a wrong file to ``NAME.corrupt``, which nothing uses."""
    aside = path.with_name(f"{path.name}.corrupt")
    with writing(aside):
        return path.replace(aside)


def corrupt(path: Path, file: RemoteFile) -> ModelFileError:
    """Set a file aside, and build the error for bytes that are not those of ``file``."""
    size = path.stat().st_size
    aside = set_aside(path)
    expected = f"sha256 {file.sha256[:12]}..." if file.sha256 else f"git hash {(file.git_oid or 'unknown')[:12]}"
    known = "an unknown number of" if file.size_bytes is None else f"{file.size_bytes:,}"
    return ModelFileError(
        f"{file.name} is corrupt: {size:,} of {known} bytes arrived, and they do not match {expected}.",
        remedy=f"It is now {aside}, which nothing uses. Fetch it again, or from a folder with --source DIR.",
    )
