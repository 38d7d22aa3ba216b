"""Detects whether a starting engine still makes progress: by its log, memory, disk, GPUs, and compilers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from seatrial.server.phases import without_clock
from seatrial.server.processes import Activity
from seatrial.units import MIB

STALL_LIMIT_S = 300.0  # default: without any sign of progress for so long, a start is given up
# Growth below these is noise of an idle process.
_NOTABLE_BYTES = MIB
_NOTABLE_CPU_SHARE = 0.2
# A busy processor may be compiling or spinning, and a log that repeats itself may wait or hang: either stretches the
# stall limit, but not for ever.
BUSY_FACTOR = 10
REMEMBERED = 5000
_GPU_PERIOD_S = 1.0
_JOIN_S = 0.2


@dataclass(slots=True)
class Movement:
    """Signs of progress, and when they were last seen."""

    limit_s: float  # without a sign of progress, after which an engine has stalled
    moved: float = field(default_factory=time.monotonic)  # last progress
    busy: float = field(default_factory=time.monotonic)  # last sign that may be none, such as a busy processor
    _seen: dict[str, None] = field(default_factory=dict)
    _last: Activity | None = None
    _looked: float = field(default_factory=time.monotonic)

    def note(self) -> None:
        """Note progress: a new phase, a count that rose."""
        self.moved = self.busy = time.monotonic()

    def note_lines(self, lines: Iterable[str]) -> None:
        """Note new log lines: one with new words is progress; one that differs only in its clock is not."""
        for line in lines:
            self.busy = time.monotonic()
            words = without_clock(line)
            if words not in self._seen:
                self.moved = self.busy
                self._seen[words] = None
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def note_activity(self, seen: Activity) -> None:
        """Note the resources that the processes have used by now."""
        now = time.monotonic()
        last, passed = self._last, now - self._looked
        self._last, self._looked = seen, now
        if last is None:
            return
        if (
            abs(seen.memory_bytes - last.memory_bytes) > _NOTABLE_BYTES
            or seen.read_bytes - last.read_bytes > _NOTABLE_BYTES
            or abs(seen.gpu_bytes - last.gpu_bytes) > _NOTABLE_BYTES
            or seen.compilers - last.compilers
            or (seen.compilers and seen.cpu_s - last.cpu_s > _NOTABLE_CPU_SHARE * passed)
        ):
            self.moved = self.busy = now
        elif seen.cpu_s - last.cpu_s > _NOTABLE_CPU_SHARE * passed:
            self.busy = now

    @property
    def still_s(self) -> float:
        """Seconds since the last progress."""
        return time.monotonic() - self.moved

    @property
    def memory_bytes(self) -> int:
        """Host memory of the engine at the last look."""
        return self._last.memory_bytes if self._last else 0

    @property
    def read_bytes(self) -> int:
        """Bytes the engine had read from disk by the last look."""
        return self._last.read_bytes if self._last else 0

    @property
    def stalled(self) -> bool:
        """True if the start is to be given up."""
        now = time.monotonic()
        return now - self.busy > self.limit_s or now - self.moved > BUSY_FACTOR * self.limit_s


class GpuMemory:
    """Reads the memory in use on all GPUs in a thread of its own: a driver that hangs delays nobody else."""

    def __init__(self) -> None:
        self.used_bytes = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read, unless that has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="gpu memory", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop reading, without waiting for a driver that hangs."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def _read(self) -> None:
        from seatrial.hardware.telemetry import GpuTelemetry  # late: ps and logs read no GPUs

        with GpuTelemetry() as gpus:
            while readings := gpus.read():
                self.used_bytes = sum(one.used_memory_bytes or 0 for one in readings)
                if self._stop.wait(_GPU_PERIOD_S):
                    return
