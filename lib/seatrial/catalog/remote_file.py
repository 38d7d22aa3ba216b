"""A file to fetch: its name, the bytes it must have, its address."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch; unknown sizes and hashes are None."""

    name: str  # path inside the checkpoint's folder, with ``/``
    size_bytes: int | None
    sha256: str | None
    git_oid: str | None = None  # Git's own SHA-1, which a hub gives for files outside LFS
    url: str = ""  # in a folder: the path inside it; empty for other sources that are no web server
