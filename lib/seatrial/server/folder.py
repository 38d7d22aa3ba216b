"""Files of a server, by which another process or a restarted kernel finds it again.

    <state>/servers/<name>/
        record.json   who asked, what was started, on which port (written by launch)
        process.json  who runs, how it ended (written by the supervisor)
        ready.json    when it answered (written by launch)
        plan.json     the plan that was launched: after memory ran out the next smaller one is made from it
        key           API key, mode 0600, removed when the server ends
        engine_key*   the same in the engine's own form, unless that is a plain line
        engine.log    output of the engine, engine.log.1 its earlier part past the cap
        stop          asks the supervisor to stop the engine

Every file is written atomically; an unreadable one is set aside.
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
from seatrial.records import from_dict, read_json, write_json
from seatrial.server.processes import this_boot
from seatrial.server.state import Processes, Ready, Record
from seatrial.writing import write_text

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_KEY_BYTES = 32
COMING_UP_S = 15.0
_PLAIN_KEY = "{key}\n"
_ENGINE_KEY = "engine_key"
_ASIDE = ".unreadable"  # suffix of a file set aside
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
        """Return what was started; None if nothing was recorded (yet)."""
        return self.read("record.json", Record)

    def processes(self, launch_id: str | None = None) -> Processes | None:
        """Return who runs; None if the supervisor has not written it (yet), or only of another launch than this one."""
        known = self.read("process.json", Processes)
        return known if known is None or launch_id in (None, known.launch_id) else None

    def ready(self) -> Ready | None:
        """Return when the engine first answered; None before. Of a damaged file only the times are lost."""
        found = self.read("ready.json", Ready)
        if found is None and (self.path / f"ready.json{_ASIDE}").exists():
            found = Ready(ready_after_s=None)
            with contextlib.suppress(UsageError):  # a full disk: at the next look
                self.write_ready(found)
        return found

    def write_record(self, record: Record) -> None:
        """Record what is about to start."""
        write_json(self.path / "record.json", record, mode=0o600)

    def write_processes(self, processes: Processes) -> None:
        """Record the end of a server in place of its supervisor, which is gone."""
        write_json(self.path / "process.json", processes, mode=0o600)

    def write_ready(self, ready: Ready) -> None:
        """Record that the engine answers."""
        write_json(self.path / "ready.json", ready, mode=0o600)

    def write_new_key(self, text: str = _PLAIN_KEY, suffix: str = "", *, own: str | None = None) -> tuple[str, Path]:
        """Write the key of a launch, readable by this user only: a random one of 256 bits, or a person's own.

        Args:
            text: Content of the file the engine reads, ``{key}`` being the key.
            suffix: End of that file's name.
            own: A person's own key, None for a random one.

        Returns:
            The key, and the file the engine reads.

        """
        key, engine_file = own or secrets.token_hex(_KEY_BYTES), self.engine_key_file(text, suffix)
        write_text(self.key_file, f"{key}\n", mode=0o600)
        if engine_file != self.key_file:
            write_text(engine_file, text.replace("{key}", key), mode=0o600)
        return key, engine_file

    def engine_key_file(self, text: str = _PLAIN_KEY, suffix: str = "") -> Path:
        """Return the file that the engine reads the key from; arguments as for ``write_new_key``."""
        return self.key_file if text == _PLAIN_KEY and not suffix else self.path / f"{_ENGINE_KEY}{suffix}"

    def remove_keys(self) -> None:
        """Remove the files with the key: it has no use once the server has ended."""
        for path in (self.key_file, *self.path.glob(f"{_ENGINE_KEY}*")):
            path.unlink(missing_ok=True)

    def is_fresh(self) -> bool:
        """Return True if the record is so new that the supervisor may not have come up yet."""
        record = self.record()
        if record is None or record.boot_id != this_boot():
            return False
        return time.monotonic() - record.begun_s < COMING_UP_S

    def request_stop(self) -> bool:
        """Ask the supervisor, which looks several times a second, to stop the engine.

        Returns:
            True if the request could be written (not on a full disk).

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
        (self.path / "record.json.damaged").unlink(missing_ok=True)  # what the supervisor made of one set aside
        self.remove_keys()

    def read(self, name: str, kind: type[T]) -> T | None:
        """Return the content of a file; None if it does not exist, or was unreadable and therefore set aside."""
        path = self.path / name
        if self.path.is_symlink():
            return None  # this kit makes no links: these are somebody else's files
        try:
            return from_dict(kind, read_json(path))
        except UsageError as error:
            if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                return None
            if isinstance(error.__cause__, OSError):
                raise paths.cannot_read(path, error.__cause__) from error  # the file itself may be fine
            aside = path.with_name(f"{name}{_ASIDE}")
            with contextlib.suppress(OSError):
                path.replace(aside)
            log.warning("%s was set aside as %s: %s", path, aside.name, error.what)
            return None


def servers_dir() -> Path:
    """Return the folder of all server folders, which need not exist."""
    return paths.state_dir() / "servers"


def check_name(name: str) -> str:
    """Return ``name`` if it may name a server.

    Raises:
        UsageError: If it may not.

    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name[:80]!r} cannot name a server.",
            remedy="Use up to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit.",
        )
    return name


def folder_of(name: str) -> ServerFolder:
    """Return the folder of a server of this name, which need not exist."""
    return ServerFolder(servers_dir() / check_name(name))


def folders() -> list[ServerFolder]:
    """Return every server folder, by name.

    Raises:
        UsageError: If they cannot be listed: servers may run all the same.

    """
    entries = [entry for entry in paths.content_of(servers_dir()) if NAME.fullmatch(entry.name)]
    try:
        return [ServerFolder(entry) for entry in entries if entry.is_dir() and not entry.is_symlink()]
    except OSError as error:
        raise paths.cannot_read(servers_dir(), error) from error


def server_keys() -> set[str]:
    """Return the keys of all servers that run, so that texts which may hold one can be masked."""
    found = set()
    with contextlib.suppress(UsageError):  # who cannot list the servers knows none of their keys
        for folder in folders():
            with contextlib.suppress(OSError, UnicodeDecodeError):
                found.add(folder.key_file.read_text(encoding="utf-8").strip())
    return found - {""}


@contextlib.contextmanager
def launching(name: str) -> Iterator[bool]:
    """Lock the name during a launch; yields False if another process has locked it."""
    with paths.locked(servers_dir(), check_name(name)) as lock:
        yield lock is not None
