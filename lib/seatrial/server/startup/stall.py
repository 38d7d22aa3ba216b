"""Whether a starting engine still moves: by its log, memory, disk, GPUs, and the compilers it has started."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from seatrial.server.phases import without_clock
from seatrial.server.processes import Activity
from seatrial.units import MIB

STALL_LIMIT_S = 300.0
"""Seconds without any sign of progress after which an engine is given up by default."""
# Growth below this is noise of an idle process, not progress.
_NOTABLE_BYTES = MIB
_NOTABLE_CPU_SHARE = 0.2
# A busy processor alone may be compiling, or spinning, and a log that repeats itself may wait or hang: either
# stretches the stall limit, but not for ever.
BUSY_FACTOR = 10
REMEMBERED = 5000
_GPU_PERIOD_S = 1.0
_JOIN_S = 0.2


@dataclass(slots=True)
class Movement:
    """What was seen to move, and when.

    Attributes:
        limit_s: Seconds without a sign of progress after which an engine has stalled.
        moved: When something was seen that is progress.
        busy: When something was seen that may be: a busy processor, a log that repeats itself.

    """

    limit_s: float
    moved: float = field(default_factory=time.monotonic)
    busy: float = field(default_factory=time.monotonic)
    _gists: dict[str, None] = field(default_factory=dict)
    _last: Activity | None = None
    _looked: float = field(default_factory=time.monotonic)

    def note(self) -> None:
        """Something moved: a new phase, a count that rose."""
        self.moved = self.busy = time.monotonic()

    def note_lines(self, lines: Iterable[str]) -> None:
        """New log lines: one that says something new is progress, one that was there before but for its clock is not."""
        for line in lines:
            self.busy = time.monotonic()
            said = without_clock(line)
            if said not in self._gists:
                self.moved = self.busy
                self._gists[said] = None
        while len(self._gists) > REMEMBERED:
            del self._gists[next(iter(self._gists))]

    def note_activity(self, seen: Activity) -> None:
        """What the processes have used by now."""
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
        """Seconds since something was seen that is progress."""
        return time.monotonic() - self.moved

    @property
    def memory_bytes(self) -> int:
        """Host memory of the engine when last looked at."""
        return self._last.memory_bytes if self._last else 0

    @property
    def read_bytes(self) -> int:
        """Bytes the engine had read from disk when last looked at."""
        return self._last.read_bytes if self._last else 0

    @property
    def stalled(self) -> bool:
        """Whether it is to be given up."""
        now = time.monotonic()
        return now - self.busy > self.limit_s or now - self.moved > BUSY_FACTOR * self.limit_s


class GpuMemory:
    """Reads the memory in use on all GPUs from a thread of its own: a driver that hangs holds up nobody else."""

    def __init__(self) -> None:
        self.used_bytes = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="gpu memory", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the reading; a driver that hangs is left behind."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    def _read(self) -> None:
        from seatrial.hardware.telemetry import GpuTelemetry

        with GpuTelemetry() as gpus:
            while readings := gpus.read():
                self.used_bytes = sum(one.used_memory_bytes or 0 for one in readings)
                if self._stop.wait(_GPU_PERIOD_S):
                    return
