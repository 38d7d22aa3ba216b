"""Where the kit keeps things: model files in the cache, server records in the state folder.

Follows the XDG base directories; ``SEATRIAL_CACHE`` and ``SEATRIAL_STATE`` move either.
"""

from __future__ import annotations

import os
from pathlib import Path

from seatrial.errors import UsageError


def cache_dir() -> Path:
    """Folder of downloaded models; not created here."""
    return _folder("SEATRIAL_CACHE", "XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """Folder of server records, keys and logs; not created here."""
    return _folder("SEATRIAL_STATE", "XDG_STATE_HOME", ".local/state")


def models_dir() -> Path:
    """Folder in which fetched checkpoints lie; not created here."""
    return cache_dir() / "models"


def private_dir(path: Path) -> Path:
    """Create ``path`` with mode 0700 and return it.

    Raises:
        UsageError: The folder cannot be created, is a link, or belongs to somebody else.

    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            raise UsageError(
                f"{path} is a link or belongs to another user; keys and logs would be exposed.",
                remedy="Remove it, or set SEATRIAL_STATE to a folder of your own.",
            )
        path.chmod(0o700)
    except OSError as error:
        raise UsageError(
            f"The folder {path} cannot be written: {error.strerror}.",
            remedy="Set SEATRIAL_STATE (or SEATRIAL_CACHE) to a writable folder.",
        ) from error
    return path


def _folder(own: str, xdg: str, default: str) -> Path:
    if own in os.environ:
        return Path(os.environ[own]).expanduser()
    base = os.environ.get(xdg)
    return (Path(base) if base else Path.home() / default) / "seatrial"
