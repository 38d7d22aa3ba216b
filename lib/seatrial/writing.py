"""Writes files so that nobody loses one: the one rule for all that seatrial writes.

A file is new, or one of ours. It is an ordinary file, complete before it has its name: it is written beside its place
and renamed. Links, devices, pipes, sockets and folders are never written through, and never replaced.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from seatrial.errors import UsageError, cannot_write

_REMEDY = "Name another file, or move that one away first."
_SPACE = "Free some space or choose another folder."


@dataclass(frozen=True, slots=True)
class Ours:
    """A kind of file that only seatrial writes."""

    name: str  # with its article, such as "a report of seatrial"
    recognise: Callable[[Path], bool]  # from the content of an ordinary file


def check_target(path: Path, ours: Ours | None = None) -> None:
    """Raise if a file written to ``path`` would replace something that is not ours.

    Args:
        path: Name of the file to be written.
        ours: The only kind of file that may be replaced; None in a folder that seatrial made and only seatrial fills.

    Raises:
        UsageError: If a link, a device, a pipe, a socket, a folder or somebody's file is there.

    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return  # new; a parent that is a file shows when it is written
    except OSError as error:
        raise cannot_write(path, error, _REMEDY) from error
    except ValueError as error:  # a character that no file name can have
        raise UsageError(f"{path} is not a file name: {error}.", remedy="Name another file.") from error
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is {_kind(mode)}, which nothing is written over.", remedy=_REMEDY)
    if ours is not None and not ours.recognise(path):
        raise UsageError(f"{path} is there already, and it is not {ours.name}.", remedy=_REMEDY)


def write_text(path: Path, text: str, mode: int = 0o644, *, ours: Ours | None = None) -> None:
    """Write ``text`` to ``path`` completely or not at all.

    Args:
        path: Name of the file; missing folders above it are made.
        text: Its whole content.
        mode: Its permissions.
        ours: The only kind of file that may be replaced; None in a folder that only seatrial fills.

    Raises:
        UsageError: If something that is not ours is there, or the folder cannot be written; the old file stays.
        DoesNotFitError: If the disk is full; the old file stays.

    """
    content = text.encode()
    check_target(path, ours)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".seatrial-")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path, ours)
    except OSError as error:
        raise cannot_write(path, error, _SPACE) from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)  # already gone if the rename worked


def put_in_place(finished: Path, path: Path, ours: Ours | None = None) -> None:
    """Rename a finished file to ``path``, in the same folder.

    Raises:
        UsageError: If something that is not ours is there.
        OSError: If it cannot be renamed.

    """
    check_target(path, ours)
    finished.replace(path)


def open_own(path: Path, *, append: bool = False, mode: int = 0o600) -> FileIO:
    """Open a file of ours that grows (a log, a part of a download), emptied unless ``append``; without a buffer.

    Raises:
        UsageError: If it is no ordinary file, or has a second name.
        OSError: If it cannot be opened.

    """
    check_target(path)
    # O_NOFOLLOW, and a look at what was opened: somebody may have put a link there since.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags | (os.O_APPEND if append else 0), mode)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        raise UsageError(f"{path} is also another file of this disk, which would be changed.", remedy=_REMEDY)
    if not append:
        os.ftruncate(handle, 0)
    return os.fdopen(handle, "ab" if append else "wb", buffering=0)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
