"""Reports each step of a fetch, with bytes counted over all files of the checkpoint, whichever thread fetches them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_EVERY_S = 0.1
_WAIT_EVERY_S = 5.0

Stage = Literal["size", "note", "wait", "download", "retry", "check", "done"]


@dataclass(frozen=True, slots=True)
class FetchEvent:
    """One step of a fetch, for a progress bar."""

    stage: Stage  # ``size`` comes before anything is written
    text: str  # one line
    done_bytes: int = 0  # bytes of the whole checkpoint on this disk
    total_bytes: int = 0
    done_files: int = 0
    total_files: int = 0
    received_bytes: int = 0  # bytes that this fetch brought; without those an earlier one left


OnProgress = Callable[[FetchEvent], None]


def ignore(_: FetchEvent) -> None:
    """Take an event and do nothing."""


class StoppedError(Exception):
    """The fetch was interrupted, or another file failed: the part stays, and the next fetch resumes it."""


class FetchProgress:
    """Counts the bytes of a whole checkpoint and reports each step; the listener is called by one thread at a time."""

    def __init__(self, on_progress: OnProgress, total_bytes: int = 0, total_files: int = 0) -> None:
        self.on_progress = on_progress
        self.total_bytes = total_bytes
        self.total_files = total_files
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._bytes: dict[str, int] = {}
        self._done_files = 0
        self._received_bytes = 0
        self._told: dict[str, float] = {}

    def report(self, stage: Stage, text: str) -> None:
        """Report a step that changes no count."""
        with self._lock:
            self._tell(stage, text)

    def count(self, stage: Stage, name: str, text: str, file_bytes: int) -> None:
        """Report that ``file_bytes`` of the file ``name`` are on this disk; of many reports in a row, the listener gets one.

        Raises:
            StoppedError: If the fetch is to end.

        """
        with self._lock:
            if stage == "download":
                self._received_bytes += max(0, file_bytes - self._bytes.get(name, 0))
            self._bytes[name] = file_bytes
            if self._is_due(stage, _EVERY_S):
                self._tell(stage, text)
        self.go_on()

    def finish(self, name: str, file_bytes: int) -> None:
        """Count a file as complete."""
        with self._lock:
            self._bytes[name] = file_bytes
            self._done_files += 1
            self._tell("check", f"{name} is complete")

    def wait(self, text: str) -> None:
        """Report what is waited for; threads that wait at the same time make one report."""
        with self._lock:
            if self._is_due("wait", _WAIT_EVERY_S):
                self._tell("wait", text)

    def go_on(self) -> None:
        """Raise if the fetch is to end.

        Raises:
            StoppedError: If it is.

        """
        if self.stopping.is_set():
            raise StoppedError

    def _is_due(self, stage: Stage, every_s: float) -> bool:
        now = time.monotonic()
        if now - self._told.get(stage, -every_s) < every_s:
            return False
        self._told[stage] = now
        return True

    def _tell(self, stage: Stage, text: str) -> None:
        done = sum(self._bytes.values())
        counts = (done, self.total_bytes, self._done_files, self.total_files, self._received_bytes)
        self.on_progress(FetchEvent(stage, text, *counts))
