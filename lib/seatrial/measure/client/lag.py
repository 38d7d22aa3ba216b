"""Measures how late the client's event loop is: the error of every token's clock.

A thread writes the time into a pipe, the loop reads it as it reads a socket. A timer would not
do: event loops round timers to a millisecond, which is more than the error that matters.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from types import TracebackType
from typing import Self

from seatrial.measure.figures import rank

BEAT_S = 0.01
_STAMP_BYTES = 8


class LagProbe:
    """Context manager that measures how long the running loop takes to notice a byte."""

    def __init__(self) -> None:
        self.lags_ns: list[int] = []
        self._told = 0  # delays of which ``newest_s`` has told
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lag-probe", daemon=True)
        self._reading, self._writing = os.pipe()

    def __enter__(self) -> Self:
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reading, self._read)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()
        self._loop.remove_reader(self._reading)
        os.close(self._reading)
        os.close(self._writing)

    def late_s(self, share: float) -> float:
        """Return the delay in seconds below which ``share`` of those so far lie, 0.0 before the first."""
        return rank(sorted(self.lags_ns), share) / 1e9 if self.lags_ns else 0.0

    def newest_s(self) -> float:
        """Return the largest delay in seconds since the last call, 0.0 if there was none."""
        new, self._told = self.lags_ns[self._told :], len(self.lags_ns)
        return max(new, default=0) / 1e9

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT_S):
            try:
                os.write(self._writing, time.perf_counter_ns().to_bytes(_STAMP_BYTES, "little"))
            except BlockingIOError:
                continue  # the loop is stuck: the beats already in the pipe show for how long

    def _read(self) -> None:
        now = time.perf_counter_ns()
        data = os.read(self._reading, 512 * _STAMP_BYTES)
        for at in range(0, len(data), _STAMP_BYTES):
            self.lags_ns.append(now - int.from_bytes(data[at : at + _STAMP_BYTES], "little"))
