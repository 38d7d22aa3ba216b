"""Writes a file with exactly the bytes it should have, or not at all.

A download goes into ``NAME.<first digits of its hash>.part`` beside its final name. A later attempt resumes it, in this
process or another. The file gets its final name only when its hash is right. Nothing is written through a link.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import stat
from collections.abc import Iterable
from dataclasses import replace
from io import FileIO
from pathlib import Path
from urllib.parse import urlsplit

from seatrial.catalog.remote_file import RemoteFile
from seatrial.errors import ModelFileError
from seatrial.fetch.disk import check_free_space, make_own_folder, reading, writing
from seatrial.fetch.hub import Hub
from seatrial.fetch.progress import FetchProgress
from seatrial.fetch.retry import RetryPolicy
from seatrial.fetch.verify import corrupt, holds, matches, set_aside
from seatrial.units import format_bytes
from seatrial.writing import check_target, open_own, put_in_place

CHUNK_BYTES = 1 << 20
_MOST_OF_UNKNOWN_BYTES = 64 << 20
"""Most bytes taken of a file whose size neither the list of files nor the answer gives."""


def copy(chunks: Iterable[bytes], file: RemoteFile, target: Path, progress: FetchProgress) -> None:
    """Write ``chunks`` to ``target`` and check them.

    Raises:
        ModelFileError: If the bytes are not those of ``file``; they are set aside.
        DoesNotFitError: If the disk is full.
        UsageError: If a link or another thing that is no file of ours is in the place of one.

    """
    part = target.with_name(f"{target.name}.part")
    make_own_folder(target.parent)
    check_target(part)
    try:
        with writing(part), open_own(part) as stream:
            for chunk in chunks:
                _write_all(stream, chunk)
                progress.count("download", file.name, f"writing {file.name}", stream.tell())
        if not matches(part, file, progress):
            raise corrupt(part, file)
        with writing(part):
            put_in_place(part, target)
    finally:
        part.unlink(missing_ok=True)  # nothing resumes a copy


def download(file: RemoteFile, target: Path, hub: Hub, progress: FetchProgress) -> None:
    """Download ``file`` to ``target``, or the rest of it after an earlier attempt.

    Raises:
        NetworkError: If the server failed too often or is too slow, or does not have the file.
        ModelFileError: If it sent wrong bytes twice.
        DoesNotFitError: If the disk is full.
        UsageError: If a link or another thing that is no file of ours is in the place of one.

    """
    part = _part_of(target, file)
    make_own_folder(target.parent)
    check_target(part)
    with writing(part):
        _remove_other_parts(target, part)
    for last in (False, True):
        _fill(part, file, hub, progress)
        with writing(part):
            progress.count("check", file.name, f"checking {file.name}", part.stat().st_size)
            if matches(part, file, progress):
                put_in_place(part, target)
                return
            # The bad bytes may come from an earlier attempt: try once more from the start.
            if last or file.size_bytes is None:
                raise corrupt(part, file)
            set_aside(part)


def left_bytes(file: RemoteFile, target: Path) -> int:
    """Return the bytes of ``file`` still to be written: all but those in ``target`` or in its part; 0 if unknown."""
    present = 0
    for path in (target, _part_of(target, file)):
        with reading(path), contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            present += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return max(0, (file.size_bytes or 0) - present)


def link(cached: Path, file: RemoteFile, target: Path, progress: FetchProgress) -> bool:
    """Link ``target`` to a file of another cache, and return True, if it has the bytes of ``file``; never write there."""
    progress.report("check", f"checking {file.name} in {cached.parent}")
    if not holds(cached, file, progress):
        progress.report("note", f"{cached} does not have the bytes of {file.name}; it is left as it is, and not used.")
        return False
    make_own_folder(target.parent)
    with writing(target):
        target.symlink_to(cached)
    return True


def _part_of(target: Path, file: RemoteFile) -> Path:
    return target.with_name(f"{target.name}.{(file.sha256 or file.git_oid or 'unknown')[:12].casefold()}.part")


def _fill(part: Path, file: RemoteFile, hub: Hub, progress: FetchProgress) -> None:
    if file.sha256 is None and file.git_oid is None:
        part.unlink(missing_ok=True)  # no hash would show whether the two halves belong together
    retry = RetryPolicy(file.name, urlsplit(file.url).netloc, progress, _usable_bytes(part, file))
    while True:
        have = _usable_bytes(part, file)
        progress.count("check", file.name, file.name, have)  # what an earlier attempt left did not come now
        if have == file.size_bytes and part.exists():
            return
        try:
            if _receive(part, have, file, hub, retry):
                return
            retry.pause("the connection was cut")
        except OSError as error:
            if have and getattr(error, "code", None) == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink()
            retry.wait_or_raise(error)
        except http.client.HTTPException as error:
            retry.wait_or_raise(error)


def _usable_bytes(part: Path, file: RemoteFile) -> int:
    """Return the bytes of a part, after removing one that is longer than its file."""
    have = part.stat().st_size if part.exists() else 0
    if file.size_bytes is None or have <= file.size_bytes:
        return have
    part.unlink()
    return 0


def _receive(part: Path, have: int, file: RemoteFile, hub: Hub, retry: RetryPolicy) -> bool:
    """Append what the server sends, and return True if the file now has its full length."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    with hub.open(file.url, headers, retry.pace) as response:
        resumes = have > 0 and response.status == http.HTTPStatus.PARTIAL_CONTENT and _starts_at(response, have)
        start = have if resumes else 0
        announced = None if response.length is None else start + response.length
        if None not in {announced, file.size_bytes} and announced != file.size_bytes:
            raise _other_size(file, f"{announced:,}")
        if file.size_bytes is None and announced is not None:
            check_free_space(announced - have, part.parent)
        retry.pace.waiting_for = f"the rest of {format_bytes(announced)}"
        with writing(part):
            # Unbuffered: each write meets a full disk itself, and closing the file writes nothing.
            stream = open_own(part, append=resumes)
        with stream:
            most = _MOST_OF_UNKNOWN_BYTES if announced is None else announced
            size = _write_body(
                response,
                stream,
                replace(file, size_bytes=most if file.size_bytes is None else file.size_bytes),
                part,
                retry,
            )
    expected = announced if file.size_bytes is None else file.size_bytes
    return expected is None or size == expected


def _write_body(
    response: http.client.HTTPResponse, stream: FileIO, file: RemoteFile, part: Path, retry: RetryPolicy
) -> int:
    while chunk := response.read1(CHUNK_BYTES):
        with writing(part):
            _write_all(stream, chunk)
            size = stream.seek(0, 2)
        retry.record(len(chunk), size)
        retry.progress.count("download", file.name, file.name, size)
        if file.size_bytes is not None and size > file.size_bytes:
            stream.truncate(0)
            raise _other_size(file, "more")
    return stream.seek(0, 2)


def _write_all(stream: FileIO, chunk: bytes) -> None:
    """Write all of ``chunk``: the last write before a disk is full takes only some of its bytes."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[stream.write(rest) :]


def _other_size(file: RemoteFile, sent: str) -> ModelFileError:
    return ModelFileError(
        f"{file.name} should have {file.size_bytes:,} bytes, but the server sends {sent}.",
        remedy="A proxy or login page may answer in its place: open the address in a browser, or use --source DIR.",
    )


def _starts_at(response: http.client.HTTPResponse, have: int) -> bool:
    return (response.headers.get("Content-Range") or "").replace(" ", "").startswith(f"bytes{have}-")


def _remove_other_parts(target: Path, part: Path) -> None:
    """Remove parts of other versions of this file, which no fetch will finish."""
    of_target = re.compile(rf"{re.escape(target.name)}\.([0-9a-f]{{12}}|unknown)\.part")
    for other in target.parent.glob("*.part"):
        if other != part and of_target.fullmatch(other.name):
            other.unlink()
