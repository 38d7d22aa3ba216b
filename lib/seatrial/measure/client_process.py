"""Starts the measuring client as a process, sends it messages, and ends it for good."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
from typing import IO, cast

import msgspec

from seatrial.measure.messages import LoadJob, SetStreams

_STOP_S = 2.0


class ClientProcess:
    """The client's process. It leaves by itself when its standard input ends.

    Attributes:
        pid: Its process id.
        stdout: Its events, a line each.

    """

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- lives as long as the process
        self._writing = threading.Lock()
        # A session of its own: Ctrl-C reaches only this process, which then ends the client.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "seatrial.measure.client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self.stdout = cast("IO[bytes]", self._process.stdout)

    @property
    def ended(self) -> bool:
        """True if it has ended."""
        return self._process.poll() is not None

    def send(self, message: LoadJob | SetStreams) -> None:
        """Write a message; do nothing if the process has ended: who reads its events finds its exit code."""
        with self._writing, contextlib.suppress(OSError, ValueError):
            self._stdin.write(msgspec.json.encode(message) + b"\n")
            self._stdin.flush()

    def leave(self) -> None:
        """Close its standard input, at which it leaves."""
        with self._writing, contextlib.suppress(OSError):
            self._stdin.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """Let it leave, and kill it if it does not."""
        self.leave()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Close its files, once nobody reads them any more."""
        self.leave()
        self.stdout.close()
        self._errors.close()

    def last_words(self) -> str:
        """Return the last line of its standard error, empty if it wrote none."""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""
