"""Reads a hub's list of files, each file once, and refuses names that no file of a model can have."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from seatrial.catalog.remote_file import RemoteFile
from seatrial.errors import NetworkError
from seatrial.json_text import JsonError, parse_json
from seatrial.printable import shortened

LISTING_LIMIT_BYTES = 32 << 20
_MOST_FILES = 100_000
_MOST_PAGES = 1000
_LONGEST_NAME = 200
"""Characters of one part of a name: the ending of a partial file must fit beside it into the 255 bytes of file systems."""


class Listing:
    """The files of one repository, page by page.

    Args:
        what: Name of the repository and the hub in messages.
        base: Address to which a file's quoted name is appended.

    """

    def __init__(self, what: str, base: str) -> None:
        self.what = what
        self.base = base
        self._files: dict[str, RemoteFile] = {}
        self._pages = 0

    def add(self, page: bytes) -> bool:
        """Add a page, and return True if it lists a file that no page before it did.

        Raises:
            NetworkError: If it is not a list of files, has more of them than a model, or contradicts another page.

        """
        before = len(self._files)
        self._pages += 1
        for entry in _entries(page, self.what):
            if entry.get("type") != "file":
                continue
            file = _file_of(entry, self.base)
            if self._files.setdefault(file.name, file) != file:
                raise NetworkError(
                    f"{self.what}: {shortened(file.name)!r} is listed twice, with different sizes or hashes."
                    " Nothing was downloaded.",
                    remedy="Use another hub.",
                )
        if len(self._files) > _MOST_FILES or self._pages > _MOST_PAGES:
            raise NetworkError(
                f"{self.what}: the list of files does not end ({len(self._files):,} files on {self._pages:,} pages).",
                remedy="Use another hub.",
            )
        return len(self._files) > before

    def files(self) -> tuple[RemoteFile, ...]:
        """Return every file, in the order they were listed."""
        return tuple(self._files.values())


def _entries(text: bytes, what: str) -> list[dict[str, Any]]:
    try:
        entries = parse_json(text)
    except JsonError:
        entries = None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise NetworkError(
            f"{what}: the answer is not a list of files.",
            remedy="A proxy or login page may answer in its place: check HF_ENDPOINT and the network.",
        )
    return entries


def _file_of(entry: dict[str, Any], base: str) -> RemoteFile:
    name, lfs = entry.get("path"), entry.get("lfs")
    lfs = lfs if isinstance(lfs, dict) else {}
    if not isinstance(name, str) or re.search(r"(^|/)\.{0,2}(/|$)|[\\\x00-\x1f\x7f\ud800-\udfff]", name):
        raise NetworkError(
            f"The hub lists a file named {shortened(str(name))!r}, a path outside its folder. Nothing was downloaded.",
            remedy="Use another hub.",
        )
    if not name.isprintable() or any(len(part.encode()) > _LONGEST_NAME for part in name.split("/")):
        raise NetworkError(
            f"The hub lists a file named {shortened(name)!a}, which is too long or has characters that are not seen."
            " Nothing was downloaded.",
            remedy="Use another hub.",
        )
    digest = str(lfs.get("oid") or "").removeprefix("sha256:")
    oid = str(entry.get("oid") or "")
    return RemoteFile(
        name=name,
        size_bytes=_size_of(lfs.get("size", entry.get("size"))),
        sha256=digest.casefold() if re.fullmatch(r"[0-9a-fA-F]{64}", digest) else None,
        # An LFS file's oid is the hash of its pointer, not of its bytes.
        git_oid=oid.casefold() if not lfs and re.fullmatch(r"[0-9a-fA-F]{40}", oid) else None,
        url=base + quote(name),
    )


def _size_of(value: object) -> int | None:
    """Return a size in bytes; None if the value is negative, no whole number, or absent."""
    return value if type(value) is int and value >= 0 else None
