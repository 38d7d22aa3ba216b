"""Reads CPU and memory of an engine's processes, a few times a second for next to nothing."""

from __future__ import annotations

import contextlib
import os
import time

import psutil

from seatrial.server import supervisor

_LOOK_PERIOD_S = 2.0  # at least, between two looks for new processes ...
_LOOK_SHARE = 300  # ... and so many times what a look took: a large machine has thousands
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_USER, _SYSTEM, _START, _RESIDENT = 11, 12, 19, 21
"""Fields of /proc/PID/stat after the name, see proc_pid_stat(5)."""


class ProcessTree:
    """A process and all its descendants, also those whose parent has ended since they were seen."""

    def __init__(self, pid: int) -> None:
        start = supervisor.start_of(pid)  # at once: it tells the process from a later one of this number
        self._start: dict[int, str] = {} if start is None else {pid: start}
        self._look_at = 0.0
        self._cpu_s: dict[int, float] = {}
        self._read_at: float | None = None

    def belongs(self, pid: int) -> bool | None:
        """Return True if a process is of the tree, False if it is another's, None if it cannot be seen."""
        seen: set[int] = set()
        while pid not in self._start:
            row = supervisor.process_row(pid)
            if row is None:
                return None
            if row.parent in seen or row.parent <= 1:
                return False
            seen.add(pid)
            pid = row.parent
        return True

    def read(self) -> tuple[float | None, int | None]:
        """Return CPU since the last reading (1.0 is one core; None at the first) and resident bytes; None once it ended."""
        if time.monotonic() >= self._look_at:
            self.look()
        now, cpu_s, resident = time.monotonic(), {}, 0
        for pid, start in list(self._start.items()):
            use = _use(pid, start)
            if use is None:
                del self._start[pid]
                continue
            cpu_s[pid] = use[0]
            resident += use[1]
        if not cpu_s:
            return None, None
        share = None
        if self._read_at is not None and now > self._read_at:
            # A process that began since counts from zero; one that ended takes its share with it.
            used = sum(spent - self._cpu_s.get(pid, 0.0) for pid, spent in cpu_s.items())
            share = max(used, 0.0) / (now - self._read_at)
        self._cpu_s, self._read_at = cpu_s, now
        return share, resident

    def look(self) -> None:
        """Look for new processes of the tree."""
        begun = time.monotonic()
        rows = supervisor.process_table() if self._start else []
        children: dict[int, list[supervisor.Row]] = {}
        for row in rows:
            children.setdefault(row.parent, []).append(row)
        waiting = [row for row in rows if self._start.get(row.pid) == row.start and not row.gone]
        self._start = {}
        while waiting:
            row = waiting.pop()
            if row.pid not in self._start:
                self._start[row.pid] = row.start
                waiting += children.get(row.pid, [])
        now = time.monotonic()
        self._look_at = now + max(_LOOK_PERIOD_S, _LOOK_SHARE * (now - begun))


def _use(pid: int, start: str) -> tuple[float, int] | None:
    """Return the CPU seconds and resident bytes of a process, None if it has ended."""
    if not supervisor.HAS_PROC:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            times = process.cpu_times()
            return times.user + times.system, int(process.memory_info().rss)
        return None
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 -- twice as fast as a Path, for each process
            text = file.read(1024)
    except OSError:
        return None
    fields = text.rpartition(b")")[2].split()
    if fields[_START].decode() != start:
        return None
    spent = (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_PER_S
    return spent, int(fields[_RESIDENT]) * _PAGE_BYTES
