"""Reads the load of an Apple GPU through ioreg; what only root may read stays unknown."""

from __future__ import annotations

import re
import subprocess
import time

from seatrial.hardware.gpu_reading import GpuReading, MissingReadings

_PERIOD_S = 5.0  # each reading is a program that runs for some hundredths of a second
_DEADLINE_S = 5.0
_COMMAND = ("ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator")
_STATISTICS = re.compile(r'"PerformanceStatistics" = \{([^{}]*)\}')
_FIGURE = re.compile(r'"([^"]+)"=(\d{1,18})')
_ROOT_ONLY = ("power_w", "temperature_c", "clock_mhz", "throttle")
_GPU = 0
_WHOLE, _UNKNOWN = 100, 101  # percent


class AppleTelemetry:
    """The GPU of this Mac."""

    def __init__(self) -> None:
        self.missing = MissingReadings()
        self._latest: list[GpuReading] = []
        self._read_at = -_PERIOD_S
        for name in _ROOT_ONLY:
            self.missing.note(name, _GPU, "macOS tells it to root only (powermetrics)")
        self.missing.note("processes", _GPU, "macOS does not list the processes of a GPU")

    def read(self) -> list[GpuReading]:
        """Return the latest reading, some seconds old at most; empty if ioreg does not tell."""
        now = time.monotonic()
        if now - self._read_at >= _PERIOD_S:
            self._read_at = now
            try:
                done = subprocess.run(_COMMAND, capture_output=True, timeout=_DEADLINE_S, check=True)
                self._latest = parse_ioreg(done.stdout.decode("utf-8", "replace"))
            except (OSError, subprocess.SubprocessError) as error:
                self._latest = []
                self.missing.note_none(f"ioreg could not be run ({type(error).__name__})")
        return self._latest


def parse_ioreg(text: str) -> list[GpuReading]:
    """Read memory and utilization of each GPU from what ``ioreg -c IOAccelerator`` printed."""
    found = []
    for statistics in _STATISTICS.findall(text):
        figures = {name: int(value) for name, value in _FIGURE.findall(statistics)}
        memory, busy = figures.get("In use system memory"), figures.get("Device Utilization %", _UNKNOWN)
        if memory is not None or busy <= _WHOLE:
            found.append(GpuReading(memory, busy / 100 if busy <= _WHOLE else None))
    return found
