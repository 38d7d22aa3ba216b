"""Checks the free space of the disk, and turns a full or read-only disk into one clear error."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from seatrial.errors import DISK_FULL, DoesNotFitError, UsageError
from seatrial.paths import cannot_read, models_dir
from seatrial.units import format_bytes


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into an error a person can act on.

    Raises:
        DoesNotFitError: If the disk is full.
        UsageError: If ``path`` cannot be written for another reason.

    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DoesNotFitError(
                f"The disk of {path.parent} is full.",
                remedy="Free some space, or set SEATRIAL_CACHE to a folder on a larger disk. The next fetch resumes.",
            ) from error
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", remedy="Set SEATRIAL_CACHE to a folder you can write to."
        ) from error


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn a file or folder that cannot be looked at into an error a person can act on.

    Raises:
        UsageError: If ``path`` cannot be read.

    """
    try:
        yield
    except OSError as error:
        raise cannot_read(path, error) from error


def make_own_folder(folder: Path) -> None:
    """Create a folder below the models folder, none of which may be a link.

    Raises:
        UsageError: If the models folder or a folder below it is a link, or cannot be created.
        DoesNotFitError: If the disk is full.

    """
    check_no_link(folder)  # before a folder is made behind one
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    check_no_link(folder)  # again: one may have come meanwhile


def check_no_link(folder: Path) -> None:
    """Refuse a folder of the cache that others may have put a link in the place of.

    Raises:
        UsageError: If the models folder, or a folder between it and ``folder``, is a link.

    """
    with reading(folder):
        links = [path for path in (folder, *folder.parents) if path.is_relative_to(models_dir()) and path.is_symlink()]
    if links:
        raise UsageError(
            f"{links[0]} is a link, which nothing is written through: others may have put it there.",
            remedy="Remove it, or set SEATRIAL_CACHE to the folder it should lead to.",
        )


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk of a folder, which need not exist yet."""
    with reading(folder):
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).free


def check_free_space(need_bytes: int, folder: Path) -> None:
    """Raise an error if the disk of ``folder`` has less free space than ``need_bytes``.

    Raises:
        DoesNotFitError: If the disk is too small; the message has both numbers.

    """
    free = free_bytes(folder)
    if need_bytes > free:
        raise DoesNotFitError(
            f"{format_bytes(need_bytes)} are needed under {folder}, but only {format_bytes(free)} are free:"
            f" {format_bytes(need_bytes - free)} too little.",
            remedy="Free some space, or set SEATRIAL_CACHE to a folder on a larger disk.",
        )


@contextlib.contextmanager
def remove_empty_folders_on_failure(folder: Path) -> Iterator[None]:
    """Remove the folders made on the way to ``folder`` if the block fails and they are still empty."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):  # it holds a file, or was never made
                path.rmdir()
        raise
