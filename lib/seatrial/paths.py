"""Folders of seatrial: model files in the cache, server records in the state folder; and paths that people type.

They follow the XDG base directories. ``SEATRIAL_CACHE`` and ``SEATRIAL_STATE`` move them; ``SEATRIAL_ENGINES`` moves the
environments of engines, by default a folder of the cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from seatrial.environment import variable
from seatrial.errors import UsageError, cannot_write
from seatrial.printable import shortened

_LONGEST_NAME, _LONGEST_PATH = 255, 4095
"""Bytes of a file's name and of a path that Linux and macOS take at most."""
_OWN_FOLDER = "set SEATRIAL_STATE, SEATRIAL_CACHE or SEATRIAL_ENGINES to a folder of your own"


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
    own = variable("SEATRIAL_ENGINES")
    return typed_path(own, "SEATRIAL_ENGINES").absolute() if own else _cache_dir() / "engines"


def home() -> Path:
    """Return the home folder of this user.

    Raises:
        UsageError: If HOME is no absolute path, or the system knows no home of this user.

    """
    own = variable("HOME")
    if own is not None:
        if not own.startswith("/"):
            raise UsageError(f"HOME is {shortened(own)!r}, which is no absolute path.", remedy="Set HOME to one.")
        return Path(own)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise UsageError(
            f"HOME is not set, and the system knows no user {os.getuid()}.",
            remedy="Set HOME to a folder of yours.",
        ) from None


def typed_path(text: str | os.PathLike[str], what: str = "A path") -> Path:
    """Return a path that a person typed, ``~`` being a home folder.

    Args:
        text: The path.
        what: Name of the option or variable that it was given for.

    Raises:
        UsageError: If no file can have this path: it is empty, too long, or in a home that nobody has.

    """
    written = os.fspath(text)
    odd = f"{what} is {shortened(ascii(written))}"
    if not written.strip() or "\0" in written:
        raise UsageError(f"{odd}, which is no path.", remedy="Write a path in plain text.")
    name, _, rest = written.partition("/")
    path = Path(written)
    if name == "~":
        path = home() / rest
    elif name.startswith("~"):
        try:
            path = Path(pwd.getpwnam(name[1:]).pw_dir) / rest
        except KeyError:
            raise UsageError(
                f"{odd}, and there is no user {shortened(name[1:])!r}.", remedy="Write the path in full."
            ) from None
    longest = max(map(len, map(os.fsencode, path.parts)), default=0)
    if longest > _LONGEST_NAME or len(os.fsencode(path)) > _LONGEST_PATH:
        raise UsageError(f"{odd}, which is too long for a path.", remedy="Choose a shorter name.")
    return path


def content_of(folder: Path) -> list[Path]:
    """Return what a folder holds, by name; nothing if it does not exist.

    Raises:
        UsageError: If it is no folder or cannot be read: an unreadable folder is not taken for an empty one.

    """
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise cannot_read(folder, error) from error


def cannot_read(path: Path, error: OSError) -> UsageError:
    """Return the error for a file or folder of the kit that this user cannot read, with what would change that."""
    return UsageError(f"{path} cannot be read: {error.strerror}.", remedy=_advice(path, error))


def _advice(path: Path, error: OSError) -> str:
    """Return what to do about a file or folder that this user may not use: mostly ``sudo`` made it."""
    barrier = _barrier(path) if isinstance(error, PermissionError) else None
    if barrier is None:
        return f"{_OWN_FOLDER[:1].upper()}{_OWN_FOLDER[1:]}."
    owner, user = barrier.stat().st_uid, os.getuid()
    if owner == user:
        return f"chmod u+rwX {barrier}, or {_OWN_FOLDER}."
    return f"It belongs to user {owner}, and you are user {user}: sudo chown -R {user} {barrier}, or {_OWN_FOLDER}."


def _barrier(path: Path) -> Path | None:
    """Return the first file or folder on the way to ``path`` that this user may not use; None if each can be read.

    Of a path that does not exist it is the last folder that does, in which nothing can be made.
    """
    with contextlib.suppress(OSError):
        for part in (*reversed(path.parents), path):
            if not os.access(part, os.R_OK | os.X_OK if part.is_dir() else os.R_OK):
                return part if part.exists() else part.parent
    return None


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
        owner, user = path.stat().st_uid, os.getuid()
        if path.is_symlink() or owner != user:
            raise UsageError(
                f"{path} is a link or belongs to another user ({owner}, and you are {user}); keys and logs would be exposed.",
                remedy=f"Remove it, or if it is yours: sudo chown -R {user} {path}; or {_OWN_FOLDER}.",
            )
        path.chmod(0o700)
    except OSError as error:
        raise cannot_write(path, error, _advice(path, error)) from error
    return path


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[int | None]:
    """Lock a name in a private folder; yield the lock's file descriptor, or None if another process has the lock.

    The lock ends with the process that has it, however that ends. Child processes inherit the descriptor only if it is
    passed to them.
    """
    path = private_dir(folder) / f".{name}.lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot_write(path, error, _advice(path, error)) from error
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
    chosen = variable(own)
    if chosen is not None:
        return typed_path(chosen, own).absolute()
    base = variable(xdg)
    # The specification of these folders has relative paths ignored.
    return (Path(base) if base and base.startswith("/") else home() / default) / "seatrial"
