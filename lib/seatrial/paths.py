"""Folders of seatrial: model files in the cache, server records in the state folder.

They follow the XDG base directories. ``SEATRIAL_CACHE`` and ``SEATRIAL_STATE`` move them; ``SEATRIAL_ENGINES`` moves the
environments of engines, by default a folder of the cache.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.errors import UsageError, cannot_write


def _cache_dir() -> Path:
    """Return the cache folder, without creating it."""
    return _folder("SEATRIAL_CACHE", "XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """Return the folder of server records, keys and logs, without creating it."""
    return _folder("SEATRIAL_STATE", "XDG_STATE_HOME", ".local/state")


def models_dir() -> Path:
    """Return the folder of fetched checkpoints, without creating it."""
    return _cache_dir() / "models"


def readable_dir() -> Path:
    """Return the folder of checkpoints with a config.json that an engine can read, without creating it."""
    return _cache_dir() / "readable"


def engines_dir() -> Path:
    """Return the folder of the environments engines are installed into, without creating it."""
    own = os.environ.get("SEATRIAL_ENGINES")
    return Path(own).expanduser() if own else _cache_dir() / "engines"


def private_dir(path: Path) -> Path:
    """Create ``path`` and missing folders above it with mode 0700, and return it.

    Raises:
        UsageError: If the folder cannot be created, is a link or belongs to somebody else, or if everybody may put
            another in its place.
        DoesNotFitError: If the disk is full.

    """
    try:
        for folder in (*reversed(path.parents), path):
            folder.mkdir(exist_ok=True, mode=0o700)
        _check_above(path)
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            raise UsageError(
                f"{path} is a link or belongs to another user; keys and logs would be exposed.",
                remedy="Remove it, or set SEATRIAL_STATE to a folder of your own.",
            )
        path.chmod(0o700)
    except OSError as error:
        raise cannot_write(
            path, error, "Set SEATRIAL_STATE, SEATRIAL_CACHE or SEATRIAL_ENGINES to a writable folder."
        ) from error
    return path


@contextmanager
def locked(folder: Path, name: str) -> Iterator[int | None]:
    """Lock a name in a private folder; yield the lock's file descriptor, or None if another process has the lock.

    The lock ends with the process that has it, however that ends. Child processes inherit the descriptor only if it is
    passed to them.
    """
    lock = os.open(private_dir(folder) / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield lock
    finally:
        os.close(lock)


def _check_above(path: Path) -> None:
    """Refuse a folder in which everybody may rename others' files (writable, and not sticky as /tmp is)."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise UsageError(
                f"Everybody may write to {folder}, and so put another folder in the place of {path}.",
                remedy=f"chmod o-w {folder}, or set SEATRIAL_STATE to a folder elsewhere.",
            )


def _folder(own: str, xdg: str, default: str) -> Path:
    if own in os.environ:
        return Path(os.environ[own]).expanduser()
    base = os.environ.get(xdg)
    return (Path(base) if base else Path.home() / default) / "seatrial"
