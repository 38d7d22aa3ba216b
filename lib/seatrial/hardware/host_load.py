"""Reads how busy this computer is while a measurement runs, or the container in which the engine lives."""

from __future__ import annotations

import math
import time
from pathlib import Path

import psutil

from seatrial.hardware import cgroup


class HostLoad:
    """CPU and memory in use: of the control group that limits a process, else of the machine.

    Args:
        root: Folder of ``/proc`` and ``/sys``.
        process: A process id, or ``self``.

    """

    def __init__(self, root: Path = Path("/"), process: str = "self") -> None:
        quotas, limits = cgroup.cpu_quotas(root, process), cgroup.memory_limits(root, process)
        self._quota = min(quotas, key=lambda entry: entry[1], default=None)
        self._limit = min(limits, key=lambda entry: entry[1], default=None)
        self._before: tuple[float, float] | None = None

    def cpu_share(self) -> float | None:
        """Return the share of the CPUs in use since the last reading, 0 to 1; None at the first."""
        now = self._cpu_s()
        before, self._before = self._before, now
        if before is None or now is None or now[1] <= before[1] or now[0] < before[0]:
            return None
        return min((now[0] - before[0]) / (now[1] - before[1]), 1.0)

    def memory_bytes(self) -> int | None:
        """Return the memory in use, without the page cache that the kernel gives back on demand."""
        if self._limit is not None:
            return cgroup.memory_used(self._limit[0])
        memory = psutil.virtual_memory()
        return int(memory.total - memory.available)

    def _cpu_s(self) -> tuple[float, float] | None:
        """Return the seconds of CPU used and offered so far; None if they cannot be read."""
        if self._quota is not None:
            group, cpus = self._quota
            used = cgroup.cpu_used_s(group)
            return None if used is None else (used, time.monotonic() * cpus)
        times = psutil.cpu_times()
        # The kernel counts what guests use as the user's, too: psutil lists it beside.
        total = sum(value for name, value in times._asdict().items() if not name.startswith("guest"))
        idle = times.idle + getattr(times, "iowait", 0.0)
        return (total - idle, total) if math.isfinite(total) else None
