"""Stops one launch and proves that nothing of it is left: first through its supervisor, then directly."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import time
from dataclasses import dataclass, replace

from seatrial.errors import EngineError, UsageError
from seatrial.server import processes
from seatrial.server.folder import ServerFolder
from seatrial.server.state import Exit, Processes, Record

STOP_S = 10.0
_HELP_S = 4.0  # part of STOP_S that remains to end it without the supervisor
_ELSEWHERE_S = 4.0  # within which a supervisor in another container or on another machine obeys
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Stopped:
    """Proof that a server is gone.

    Attributes:
        name: Name of the server.
        port: Port it had.
        port_free: True if a server can listen on the port again; False if somebody else took it since.
        processes_left: Processes of it that still run: 0.
        took_s: Seconds from the request to the proof.
        was_running: True if there was anything to stop.
        asked: Another machine or container whose supervisor was asked to stop it and has not answered: nothing is
            proven then. Empty otherwise.

    """

    name: str
    port: int
    port_free: bool
    processes_left: int
    took_s: float
    was_running: bool
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The end of one launch."""

    folder: ServerFolder
    record: Record | None  # None if a later launch has the folder, or somebody removed it
    held: Record  # as whoever stops it knows it: by this its processes are found
    timeout_s: float

    def run(self, *, was_running: bool) -> Stopped:
        """End every process of it, and prove that.

        Raises:
            EngineError: If a process of it still runs after ``timeout_s`` seconds.

        """
        begun, record, known, asked = time.monotonic(), self.record, self._processes(), ""
        if record is not None:
            if not self._here:
                if known is None or not known.finished:
                    was_running = self._ended_elsewhere(begun + min(_ELSEWHERE_S, self.timeout_s))
                    asked = record.machine if not was_running and record.machine != platform.node() else ""
            elif known is None:
                # Its supervisor has not come up yet: it looks for the request before it starts anything.
                self.folder.request_stop()
            elif known.supervisor and processes.lives(known.supervisor, record.boot_id):
                if not self.folder.request_stop():
                    with contextlib.suppress(ProcessLookupError):  # it ends just now
                        os.kill(known.supervisor.pid, signal.SIGTERM)
                self._wait_for_supervisor(known, begun + max(0.5, self.timeout_s - _HELP_S))
        if self._here:
            was_running = was_running or (record is None and bool(processes.members(known, self.held.launch_id)))
            processes.end(self._processes(), self.held.launch_id, grace_s=_HELP_S / 2)
            if known is not None and known.supervisor:
                processes.kill(known.supervisor)  # it hangs, and nothing is left for it to watch
        return replace(self._prove(begun, was_running=was_running), asked=asked)

    @property
    def _here(self) -> bool:
        return self.held.boot_id == processes.this_boot()

    def _is_anothers_port(self) -> bool:
        return any(processes.meets(address, self.held.host) for address, _ in processes.listeners(self.held.port))

    def _processes(self) -> Processes | None:
        return self.folder.processes(self.held.launch_id)

    def _wait_for_supervisor(self, known: Processes, deadline: float) -> None:
        while time.monotonic() < deadline and processes.lives(known.supervisor):
            time.sleep(_POLL_S)

    def _ended_elsewhere(self, deadline: float) -> bool:
        """Ask a supervisor on another machine or in another container to stop it, and return True if it did."""
        self.folder.request_stop()
        while time.monotonic() < deadline:
            known = self._processes()
            if known is not None and known.finished:
                return True
            time.sleep(_POLL_S)
        return False

    def _close(self, record: Record, reason: str) -> None:
        """Write the record of the end in place of a supervisor that is gone."""
        known = self._processes()
        if known is not None and (known.finished or processes.lives(known.supervisor, record.boot_id)):
            return
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ended = Exit(reason=reason, code=None, signal=None, error="", oom_kills={}, at=at)
        nobody = Processes(record.launch_id, record.boot_id, None, None, None, None, finished=True)
        self.folder.remove_keys()
        with contextlib.suppress(UsageError):  # a full disk: it is gone all the same, and listed as stale
            self.folder.write_processes(replace(known or nobody, exit=ended, finished=True))

    def _prove(self, begun: float, *, was_running: bool) -> Stopped:
        record, known = self.record, self._processes()
        while True:
            left = processes.members(known, self.held.launch_id) if self._here else []
            free = processes.port_is_free(self.held.port, self.held.host)
            late = time.monotonic() - begun > self.timeout_s
            # A port that is taken though nothing of ours is left belongs to somebody else by now.
            if not left and (free or late or not was_running or self._is_anothers_port()):
                break
            if late:
                pids = ", ".join(str(process.pid) for process in left)
                raise EngineError(
                    f"The server {self.folder.path.name!r} could not be stopped within {self.timeout_s:g} s: "
                    f"pid {pids} still run.",
                    remedy="They may wait for a device or disk: try again, or kill -9 them yourself.",
                    cause="cannot be stopped",
                )
            time.sleep(_POLL_S)
        if record is not None and (known is None or not known.finished):
            self._close(record, "stopped" if was_running else "lost")
        return Stopped(self.folder.path.name, self.held.port, free, len(left), time.monotonic() - begun, was_running)
