"""Chooses, checks and locks the folder of a run.

A run has a folder of its own with the executed notebooks and ``record.json``. Nothing is ever written outside it, over
a file that no run made, or through a link.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from seatrial.batch.types import Run
from seatrial.errors import UsageError, cannot_write
from seatrial.measure.record import read_document
from seatrial.paths import typed_path
from seatrial.records import RECORD, from_dict
from seatrial.writing import Ours, check_target

_RUNS = Path("runs")
NOT_YET_OURS = Ours("a file that a run made", lambda _: False)
"""For a name that the folder's record does not have: whatever is there is somebody's."""


def choose_folder(output: Path | str | None) -> Path:
    """Return the folder of a run, checked but not created; a new one in ``runs/`` if none is given.

    Raises:
        UsageError: If the path contains ``..``, braces or control characters, or is a link or a file.

    """
    if output is None:
        return _new_folder()
    text = os.fspath(output)
    if not text.strip() or not text.isprintable() or any(mark in text for mark in "{}"):
        raise UsageError(
            f"{text[:80]!r} is not a folder to write to: braces, control characters and empty names are refused.",
            remedy="Name a plain folder, such as runs/first.",
        )
    path = typed_path(text, "The output path")
    if ".." in path.parts:
        raise UsageError(f"The output path {text!r} climbs with '..'.", remedy="Name the folder itself.")
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        kind = "a link" if path.is_symlink() else "a file"
        raise UsageError(f"The output path {text!r} is {kind}, not a folder.", remedy="Name a folder, or a new one.")
    return path


def check_targets(folder: Path, names: Sequence[str]) -> Run | None:
    """Return the run already in ``folder``, if there is one; refuse to write over anything else.

    Raises:
        UsageError: If something in the place of a file to be written is not an ordinary file, or no run made it.

    """
    earlier = read_run(folder)
    by_a_run = {one.notebook for one in earlier.notebooks} if earlier else set()
    for name in (RECORD, *names):
        check_target(folder / name, None if name in {RECORD, *by_a_run} else NOT_YET_OURS)
    return earlier


def read_run(folder: Path) -> Run | None:
    """Return the run recorded in ``folder``; None if there is none.

    Raises:
        UsageError: If ``record.json`` exists but cannot be read as a run.

    """
    path = folder / RECORD
    return from_dict(Run, read_document(path)) if path.exists() else None


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Create and lock ``folder``, so that two runs never write into the same one; remove it again if it stays empty.

    Raises:
        UsageError: If the folder cannot be created or written, or another run has locked it.
        DoesNotFitError: If the disk is full.

    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise cannot_write(folder, error, "Choose another with --output.") from error
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, handle)
        _lock(handle, folder)
        # Before the handle is closed: a folder is removed while no other run can lock it.
        stack.callback(_remove_empty, made)
        yield


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), folder.stat()):
            return  # else the run that had the lock has removed the folder meanwhile
    except OSError:
        pass
    raise UsageError(
        f"Another run is writing into {folder}.", remedy="Wait for it, or choose another folder with --output."
    )


def _new_folder() -> Path:
    """Return a new folder, distinct also for runs that start in the same second and have not made theirs yet."""
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    folder, count = _RUNS / stamp, 1
    while folder.exists():
        count += 1
        folder = _RUNS / f"{stamp}-{count}"
    return folder
