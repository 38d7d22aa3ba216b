"""Checks files by size and hash, and sets wrong ones aside so that no engine reads them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from seatrial.errors import ModelFileError
from seatrial.fetch.disk import writing
from seatrial.fetch.remote_file import RemoteFile


def matches(path: Path, file: RemoteFile) -> bool:
    """Return True if ``path`` has the size and the hash of ``file``, as far as they are known."""
    if not path.is_file() or (file.size_bytes is not None and path.stat().st_size != file.size_bytes):
        return False
    if file.sha256 is not None:
        return sha256_of(path) == file.sha256.casefold()
    return file.git_oid is None or _git_oid_of(path) == file.git_oid.casefold()


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _git_oid_of(path: Path) -> str:
    """Return Git's object id of a file: the SHA-1 of its length and its bytes."""
    start = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: start).hexdigest()


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
