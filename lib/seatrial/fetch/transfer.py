"""Files that arrive whole, with the bytes they should have, or not at all.

A download goes into ``NAME.<first digits of its hash>.part`` beside its final name, is taken
up where it stopped (in this process or a later one), hashed, and only then moved into place.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from seatrial.errors import DISK_FULL, DoesNotFitError, ModelFileError, UsageError
from seatrial.fetch.progress import FetchProgress
from seatrial.fetch.retry import RetryPolicy
from seatrial.units import format_bytes

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file to fetch: what it is called, what it must be, where it comes from.

    Attributes:
        name: Path inside the checkpoint's folder, with ``/``.
        size_bytes: Exact size, None where nobody says it.
        sha256: Of the whole file, None where nobody says it.
        git_oid: Git's own SHA-1 of the file, which a hub gives for files outside LFS.
        url: Where it lies; empty for sources that are no web server.

    """

    name: str
    size_bytes: int | None
    sha256: str | None
    git_oid: str | None = None
    url: str = ""


class Opener(Protocol):
    """Something that answers a GET request, such as :class:`seatrial.fetch.hub.Hub`."""

    def open(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        """The open response; raises ``urllib.error.HTTPError`` or ``OSError``."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into an error a person can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DoesNotFitError(
                f"The disk of {path.parent} is full.",
                remedy="Free some space, or set SEATRIAL_CACHE to a folder on a larger disk; what has arrived is kept.",
            ) from error
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.",
            remedy="Set SEATRIAL_CACHE to a folder you can write to.",
        ) from error


def matches(path: Path, file: RemoteFile) -> bool:
    """Whether ``path`` holds exactly the bytes of ``file``, as far as anybody has said what they are."""
    if not path.is_file() or (file.size_bytes is not None and path.stat().st_size != file.size_bytes):
        return False
    with path.open("rb") as stream:
        return _same(_Digest(file, path.stat().st_size).update_from(stream), file)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def set_aside(path: Path) -> Path:
    """Rename a file that is not what it should be to ``NAME.corrupt``; it is never used again."""
    aside = path.with_name(f"{path.name}.corrupt")
    with writing(aside):
        return path.replace(aside)


def copy(chunks: Iterable[bytes], file: RemoteFile, target: Path, progress: FetchProgress) -> None:
    """Write ``chunks`` to ``target``, whole and checked, or not at all.

    Raises:
        ModelFileError: The bytes are not those of ``file``; they are set aside.
        DoesNotFitError: The disk is full.

    """
    part = target.with_name(f"{target.name}.part")
    try:
        with writing(part):
            target.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as stream:
                for chunk in chunks:
                    stream.write(chunk)
                    progress.say("download", f"writing {file.name}", stream.tell())
        if not matches(part, file):
            raise _wrong_bytes(part, file)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)  # a copy is not resumed: what was interrupted goes


def download(file: RemoteFile, target: Path, opener: Opener, progress: FetchProgress) -> None:
    """Fetch ``file`` to ``target``, going on where an earlier attempt stopped.

    Raises:
        NetworkError: The server gave up, or does not have the file.
        ModelFileError: It sent other bytes than it had announced, twice.
        DoesNotFitError: The disk is full.

    """
    part = _part_of(target, file)
    with writing(part):
        target.parent.mkdir(parents=True, exist_ok=True)
        _drop_other_parts(target, part)
    for last in (False, True):
        _fill(part, file, opener, progress)
        with writing(part):
            progress.say("check", f"checking {file.name}", part.stat().st_size)
            if matches(part, file):
                part.replace(target)
                return
            # A part of an earlier attempt may have been the bad one: once more, from the start.
            if last or file.size_bytes is None:
                raise _wrong_bytes(part, file)
            set_aside(part)


def _fill(part: Path, file: RemoteFile, opener: Opener, progress: FetchProgress) -> None:
    patience = RetryPolicy(file.name, urlsplit(file.url).netloc, progress)
    if file.sha256 is None and file.git_oid is None:
        part.unlink(missing_ok=True)  # nothing would tell whether the two halves belong together
    while True:
        have = part.stat().st_size if part.exists() else 0
        if file.size_bytes is not None and have > file.size_bytes:
            part.unlink()
            have = 0
        if have == file.size_bytes and part.exists():
            return
        try:
            if _receive(part, have, file, opener, patience):
                return
            patience.pause("the connection was cut")
        except OSError as error:
            if have and getattr(error, "code", None) == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink()
            patience.wait_or_raise(error)
        except http.client.HTTPException as error:
            patience.wait_or_raise(error)


def _receive(part: Path, have: int, file: RemoteFile, opener: Opener, patience: RetryPolicy) -> bool:
    """Append what comes; whether the file is now as long as it should be."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    with opener.open(file.url, headers) as response:
        goes_on = have > 0 and response.status == http.client.PARTIAL_CONTENT and _starts_at(response, have)
        start = have if goes_on else 0
        whole = None if response.length is None else start + response.length
        if None not in {whole, file.size_bytes} and whole != file.size_bytes:
            raise _other_size(file, f"{whole:,}")
        with writing(part):
            # Unbuffered: closing it writes nothing, so a full disk is met where it is known as one.
            stream = part.open("ab" if goes_on else "wb", buffering=0)
        with stream:
            size = _pour(response, stream, file, patience)
    expected = whole if file.size_bytes is None else file.size_bytes
    return expected is None or size == expected


def _pour(response: http.client.HTTPResponse, stream: FileIO, file: RemoteFile, patience: RetryPolicy) -> int:
    while chunk := response.read1(CHUNK_BYTES):
        with writing(Path(stream.name)):
            left = memoryview(chunk)
            while left:
                left = left[stream.write(left) :]
        size = stream.tell()
        patience.reached(size)
        patience.progress.say("download", file.name, size)
        if file.size_bytes is not None and size > file.size_bytes:
            stream.truncate(0)
            raise _other_size(file, "more")
    return stream.tell()


def _other_size(file: RemoteFile, sent: str) -> ModelFileError:
    return ModelFileError(
        f"{file.name} should have {file.size_bytes:,} bytes, but the server sends {sent}.",
        remedy="A proxy or login page may answer in its place: open the address in a browser, or use --source DIR.",
    )


def _starts_at(response: http.client.HTTPResponse, have: int) -> bool:
    return (response.headers.get("Content-Range") or "").replace(" ", "").startswith(f"bytes{have}-")


def _part_of(target: Path, file: RemoteFile) -> Path:
    mark = (file.sha256 or file.git_oid or "unknown")[:12]
    return target.with_name(f"{target.name}.{mark}.part")


def _drop_other_parts(target: Path, part: Path) -> None:
    """Parts of other versions of this file will never be finished: give the disk back."""
    for other in target.parent.glob("*.part"):
        if other != part and other.name.startswith(f"{target.name}."):
            other.unlink()


def _wrong_bytes(part: Path, file: RemoteFile) -> ModelFileError:
    size = part.stat().st_size
    aside = set_aside(part)
    wanted = f"sha256 {file.sha256[:12]}..." if file.sha256 else f"git hash {(file.git_oid or 'unknown')[:12]}"
    known = "unknown" if file.size_bytes is None else f"{file.size_bytes:,}"
    return ModelFileError(
        f"{file.name} is corrupt: {size:,} bytes of {known} arrived, but they are not those of {wanted}.",
        remedy=f"It was set aside as {aside} and is not used. Fetch it again, or from elsewhere with --source DIR.",
    )


def short_of_disk(need_bytes: int, free_bytes: int, folder: Path) -> DoesNotFitError:
    """The error for a disk that is too small, with both numbers."""
    return DoesNotFitError(
        f"{format_bytes(need_bytes)} are needed under {folder}, but only {format_bytes(free_bytes)} are free:"
        f" {format_bytes(need_bytes - free_bytes)} too little. Nothing was downloaded.",
        remedy="Free some space, or set SEATRIAL_CACHE to a folder on a larger disk.",
    )


class _Digest:
    """SHA-256 and, where a hub says only that, Git's SHA-1, in one pass."""

    def __init__(self, file: RemoteFile, size_bytes: int) -> None:
        self._sha256 = hashlib.sha256()
        self._git = None
        if file.sha256 is None and file.git_oid:
            self._git = hashlib.sha1(f"blob {size_bytes}\0".encode(), usedforsecurity=False)

    def update_from(self, stream: BinaryIO) -> _Digest:
        while chunk := stream.read(CHUNK_BYTES):
            self._sha256.update(chunk)
            if self._git:
                self._git.update(chunk)
        return self

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def git_oid(self) -> str | None:
        return self._git.hexdigest() if self._git else None


def _same(digest: _Digest, file: RemoteFile) -> bool:
    if file.sha256 is not None:
        return digest.sha256 == file.sha256.casefold()
    return file.git_oid is None or digest.git_oid == file.git_oid.casefold()
