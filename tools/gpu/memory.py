"""The GPUs of a proof as NVML shows them: readings while something runs, memory that comes back."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Self

import psutil

from gpu.report import GIB, PLAYED
from gpu.site import Failed, Figures, Site
from seatrial.hardware.gpu_reading import GpuReading
from seatrial.hardware.telemetry import GpuTelemetry

MIB = 1 << 20
SLACK_BYTES = 256 * MIB
"""The driver and other programs may take or give that much meanwhile."""

_PERIOD_S = 0.1
_BACK_S = 15.0
_IDLE_S = 2.0


class GpuWatch:
    """Readings of every GPU, taken ten times a second by a thread; a context manager.

    In a rehearsal it also tells the stand-in for NVML what to play: the memory and load of the engine's processes.
    """

    def __init__(self, pid: int | None, played: Path | None) -> None:
        self.readings: list[list[GpuReading]] = []
        self._pid = pid
        self._played = played
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(_BACK_S)

    def figures(self) -> Figures:
        """Return the extremes of all readings, over all GPUs."""
        seen = [reading for row in list(self.readings) for reading in row]
        power = [reading.power_w for reading in seen if reading.power_w is not None]
        busy = [reading.utilization for reading in seen if reading.utilization is not None]
        return {
            "readings": len(self.readings),
            "most_used_bytes": max(
                (sum(each.used_memory_bytes or 0 for each in row) for row in self.readings), default=0
            ),
            "most_utilization": max(busy, default=None),
            "most_power_w": max(power, default=None),
        }

    def _run(self) -> None:
        with GpuTelemetry() as gpus:
            while not self._over.is_set():
                if self._played is not None:
                    play(self._played, self._pid)
                self.readings.append(gpus.read())
                self._over.wait(_PERIOD_S)


def play(state: Path, pid: int | None) -> None:
    """Tell the stand-in for NVML that the first GPU holds what the processes of ``pid`` hold; nothing if they ended."""
    used, busy = 0, 0
    with contextlib.suppress(psutil.Error):
        if pid is not None:
            first = psutil.Process(pid)
            for process in (first, *first.children(recursive=True)):
                used += process.memory_info().rss
            busy = 50
    part = state.with_suffix(".part")
    part.write_text(f"0 {used // MIB} {busy} {300 if busy else 80}\n", encoding="utf-8")
    part.replace(state)


def used_bytes() -> int:
    """Return the memory in use on all GPUs."""
    with GpuTelemetry() as gpus:
        return sum(reading.used_memory_bytes or 0 for reading in gpus.read())


def memory_back(site: Site) -> Figures:
    """Wait until the GPUs hold no more than at first, and return what they hold.

    Raises:
        Failed: If they still hold more after 15 seconds.

    """
    idle = site.figures("idle").get("idle_bytes", 0)
    deadline = time.monotonic() + _BACK_S
    while True:
        if site.rehearsal:
            play(state_of(site), None)
        used = used_bytes()
        if used <= idle + SLACK_BYTES:
            return {"used_after_bytes": used, "used_at_first_bytes": idle}
        if time.monotonic() > deadline:
            raise Failed(
                f"The GPUs hold {used / GIB:.2f} GiB, at first {idle / GIB:.2f} GiB: memory was not given back."
            )
        time.sleep(_PERIOD_S)


def state_of(site: Site) -> Path:
    """Return the file by which a rehearsal tells the stand-in what to play."""
    return site.work / PLAYED


def idle(site: Site) -> Figures:
    """Read every GPU through NVML for two seconds before anything runs."""
    with GpuWatch(None, state_of(site) if site.rehearsal else None) as watch:
        time.sleep(_IDLE_S)
    figures = watch.figures()
    if not figures["readings"] or not watch.readings[-1]:
        raise Failed("NVML gave no reading.", figures)
    return figures | {"idle_bytes": used_bytes()}
