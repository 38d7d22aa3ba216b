"""What is kept of a server on disk, so that another process or a restarted kernel finds it again.

    <state>/servers/<name>/
        record.json   who asked, what was started, on which port (written by launch)
        process.json  who runs, how it ended (written by the supervisor)
        ready.json    when it answered (written by launch)
        plan.json     the plan that was launched: after memory ran out the next smaller one is made from it
        key           API key, mode 0600, removed when the server ends
        engine_key*   the same as the engine wants to read it, where that is not a plain line
        engine.log    output of the engine, engine.log.1 its earlier part past the cap
        stop          asks the supervisor to stop the engine

Everything is written whole or not at all; a file that makes no sense is set aside.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from seatrial import paths
from seatrial.errors import UsageError
from seatrial.records import from_dict, read_json, write_json, write_text
from seatrial.server.processes import this_boot
from seatrial.server.state import Processes, Ready, Record

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_KEY_BYTES = 32
COMING_UP_S = 15.0
_PLAIN_KEY = "{key}\n"
_ENGINE_KEY = "engine_key"
_ASIDE = ".unreadable"
"""What the name of a file that makes no sense gets at its end."""
STATE_FILES = (
    "record.json",
    "process.json",
    "ready.json",
    "plan.json",
    "key",
    "stop",
    "engine.log",
    "engine.log.1",
    "supervisor.log",
)

log = logging.getLogger("seatrial")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServerFolder:
    """The folder of one server."""

    path: Path

    @property
    def key_file(self) -> Path:
        """File with the API key."""
        return self.path / "key"

    @property
    def log_file(self) -> Path:
        """File the engine's output goes to."""
        return self.path / "engine.log"

    def record(self) -> Record | None:
        """What was started; None where nothing was recorded (yet)."""
        return self.read("record.json", Record)

    def processes(self, launch_id: str | None = None) -> Processes | None:
        """Return who runs; None if the supervisor has not written it (yet), or only of another launch than this one."""
        known = self.read("process.json", Processes)
        return known if known is None or launch_id in (None, known.launch_id) else None

    def ready(self) -> Ready | None:
        """That it truly answered; None before. Only how long that took is lost where the file was damaged."""
        found = self.read("ready.json", Ready)
        if found is None and (self.path / f"ready.json{_ASIDE}").exists():
            found = Ready(ready_after_s=None)
            with contextlib.suppress(UsageError):  # a full disk: at the next look
                self.write_ready(found)
        return found

    def write_record(self, record: Record) -> None:
        """Record what is about to be started."""
        write_json(self.path / "record.json", record, mode=0o600)

    def write_processes(self, processes: Processes) -> None:
        """Record the end of a server whose supervisor could not."""
        write_json(self.path / "process.json", processes, mode=0o600)

    def write_ready(self, ready: Ready) -> None:
        """Record that it truly answers."""
        write_json(self.path / "ready.json", ready, mode=0o600)

    def write_new_key(self, text: str = _PLAIN_KEY, suffix: str = "", *, own: str | None = None) -> tuple[str, Path]:
        """Write the key of a launch, readable by this user alone: a fresh random one of 256 bits, unless one is given.

        Args:
            text: The file the engine reads, ``{key}`` being the key.
            suffix: How that file's name must end.
            own: A person's own key.

        Returns:
            The key, and the file the engine reads.

        """
        key = own or secrets.token_hex(_KEY_BYTES)
        write_text(self.key_file, f"{key}\n", mode=0o600)
        if text == _PLAIN_KEY and not suffix:
            return key, self.key_file
        engine_file = self.path / f"{_ENGINE_KEY}{suffix}"
        write_text(engine_file, text.replace("{key}", key), mode=0o600)
        return key, engine_file

    def remove_keys(self) -> None:
        """Remove what holds the key: it has no use once the server has ended."""
        for path in (self.key_file, *self.path.glob(f"{_ENGINE_KEY}*")):
            path.unlink(missing_ok=True)

    def is_fresh(self) -> bool:
        """Whether the record was written so lately that the supervisor may not have come up yet."""
        record = self.record()
        if record is None or record.boot_id != this_boot():
            return False
        return time.monotonic() - record.begun_s < COMING_UP_S

    def request_stop(self) -> bool:
        """Ask the supervisor to stop the engine; it looks several times a second.

        Returns:
            Whether the request could be written (not on a full disk).

        """
        try:
            (self.path / "stop").touch(mode=0o600)
        except OSError:
            return False
        return True

    def clear(self) -> None:
        """Create the folder with mode 0700, and remove what an earlier server of this name left."""
        paths.private_dir(self.path)
        for name in STATE_FILES:
            (self.path / name).unlink(missing_ok=True)
            (self.path / f"{name}{_ASIDE}").unlink(missing_ok=True)
        self.remove_keys()

    def read(self, name: str, kind: type[T]) -> T | None:
        """Return what the file ``name`` holds; None if there is none, or it makes no sense and was set aside."""
        path = self.path / name
        if self.path.is_symlink():
            return None  # nothing made here is a link: these are somebody else's files
        try:
            return from_dict(kind, read_json(path))
        except UsageError as error:
            if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                return None
            if isinstance(error.__cause__, OSError):
                raise  # no permission, no file handles left: what it holds may make perfect sense
            aside = path.with_name(f"{name}{_ASIDE}")
            with contextlib.suppress(OSError):
                path.replace(aside)
            log.warning("%s was set aside as %s: %s", path, aside.name, error.what)
            return None


def servers_dir() -> Path:
    """Folder of all server folders; not created here."""
    return paths.state_dir().absolute() / "servers"


def check_name(name: str) -> str:
    """``name`` if it may name a server.

    Raises:
        UsageError: It may not.

    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:80]!r} cannot name a server.",
            remedy="Use up to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit.",
        )
    return name


def folder_of(name: str) -> ServerFolder:
    """Where a server of this name is kept, whether or not there is one."""
    return ServerFolder(servers_dir() / check_name(name))


def check_servers_dir() -> None:
    """Refuse to say that no server runs where that is not known.

    Raises:
        UsageError: The state folder is no folder, or cannot be read.

    """
    try:
        next(servers_dir().iterdir(), None)
    except FileNotFoundError:
        pass  # no server was ever launched
    except OSError as error:
        raise UsageError(
            f"The servers in {servers_dir()} cannot be listed: {error.strerror}.",
            remedy="Set SEATRIAL_STATE to the folder they were launched with.",
        ) from error


def folders() -> list[ServerFolder]:
    """Every server folder, by name."""
    try:
        entries = sorted(servers_dir().iterdir())
    except OSError:
        return []
    return [
        ServerFolder(entry)
        for entry in entries
        if NAME.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink()
    ]


def server_keys() -> set[str]:
    """The keys of all servers that run, for whoever keeps texts in which one may stand."""
    found = set()
    for folder in folders():
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found.add(folder.key_file.read_text(encoding="utf-8").strip())
    return found - {""}


@contextlib.contextmanager
def launching(name: str) -> Iterator[bool]:
    """Hold the name while a launch is under way; gives False where another process holds it."""
    with paths.locked(servers_dir(), check_name(name)) as lock:
        yield lock is not None
