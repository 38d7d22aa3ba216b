"""Reads an engine's CPU, memory and GPU use while it is measured, a few times a second.

A thread of its own reads them, so that a driver that hangs delays neither the load nor the clock.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import psutil

from seatrial.hardware.telemetry import GpuTelemetry

if TYPE_CHECKING:  # the measuring client does without the planner, which engines bring
    from seatrial.server.metrics import ServerMetrics

_PERIOD_S = 0.25
_METRICS_PERIOD_S = 1.0  # seldom, since the engine answers beside its work
METRICS_LIMIT_S = 0.5
_LEAVE_S = 1.0
_FRESH_S = 1.0  # a reading is no older, or it is none: the driver hangs


@dataclass(frozen=True, slots=True)
class Reading:
    """Figures of an engine at one instant; units as in ``Sample``."""

    cpu_share: float | None = None
    memory_bytes: int | None = None
    gpu_memory_bytes: tuple[int | None, ...] = ()
    gpu_utilization: tuple[float | None, ...] = ()
    gpu_power_w: tuple[float | None, ...] = ()
    waiting_requests: int | None = None
    kv_cache_usage: float | None = None


class ProcessTree:
    """CPU and memory of a process and all its descendants."""

    def __init__(self, pid: int) -> None:
        self._first: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):
            self._first = psutil.Process(pid)  # at once: psutil tells it from a later process of this number
        self._cpu_s: dict[int, float] = {}
        self._read_at: float | None = None

    def read(self) -> tuple[float | None, int | None]:
        """Return CPU since the last reading (1.0 is one core; None at the first) and resident bytes; None once it ended."""
        now, cpu_s, resident = time.monotonic(), {}, 0
        for process in self._processes():
            with contextlib.suppress(psutil.Error), process.oneshot():
                times = process.cpu_times()
                cpu_s[process.pid] = times.user + times.system
                resident += process.memory_info().rss
        if not cpu_s:
            return None, None
        share = None
        if self._read_at is not None and now > self._read_at:
            # A process that began since counts from zero; one that ended takes its share with it.
            used = sum(spent - self._cpu_s.get(pid, 0.0) for pid, spent in cpu_s.items())
            share = max(used, 0.0) / (now - self._read_at)
        self._cpu_s, self._read_at = cpu_s, now
        return share, resident

    def _processes(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            if self._first is not None and self._first.is_running():
                return [self._first, *self._first.children(recursive=True)]
        return []


class Telemetry:
    """Latest reading of an engine by its first process; empty for a server elsewhere. A context manager."""

    def __init__(self, pid: int | None, metrics: Callable[[float], ServerMetrics | None] | None = None) -> None:
        self._metrics = metrics  # asks the server for its queue and cache; None if it has no such page
        self._asked_at = -math.inf
        self._server: ServerMetrics | None = None
        self._latest, self._read_at = Reading(), -math.inf
        self._stopped = threading.Event()
        self._thread = None
        if pid is not None:
            self._thread = threading.Thread(target=self._run, args=(ProcessTree(pid),), name="telemetry", daemon=True)

    @property
    def latest(self) -> Reading:
        """Last complete reading; an empty one if that is older than a second."""
        return self._latest if time.monotonic() - self._read_at <= _FRESH_S else Reading()

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_LEAVE_S)  # a hanging driver call cannot be ended; the thread is a daemon

    def _run(self, tree: ProcessTree) -> None:
        with GpuTelemetry() as gpus:
            while True:
                share, resident = tree.read()
                read = gpus.read()
                used, busy, power = zip(*read, strict=True) if read else ((), (), ())
                server = self._ask_server()
                waiting, cache = (server.waiting, server.kv_cache_usage) if server else (None, None)
                self._latest = Reading(share, resident, used, busy, power, waiting, cache)
                self._read_at = time.monotonic()
                if self._stopped.wait(_PERIOD_S):
                    return

    def _ask_server(self) -> ServerMetrics | None:
        now = time.monotonic()
        if self._metrics is not None and now - self._asked_at >= _METRICS_PERIOD_S:
            self._asked_at = now
            self._server = self._metrics(METRICS_LIMIT_S)
        return self._server
