"""Gives up on a server that sends nothing or next to nothing: every wait for the network has a limit and a floor.

A limit for each read is not enough: a server that sends a byte a second, header after header, or ``100 Continue`` for ever
never reaches it (`http.client` sets a limit for each read only).
"""

from __future__ import annotations

import io
import socket
import time

from seatrial.errors import NetworkError
from seatrial.fetch.progress import FetchProgress
from seatrial.units import counted, format_bytes

LIMIT_S = 40.0
"""Longest time in which a server may send less than the floor, over all attempts."""
FLOOR_BYTES_PER_S = 1024
"""At this rate, the smallest checkpoint of V4 would take two years."""
SILENCE_S = 15.0
"""Longest time without a byte on one connection; then another connection is tried."""
_LOOK_S = 0.25
_REPORT_AFTER_S = 5.0


class Pace:
    """Time that a server has taken since it last sent enough, over all attempts.

    Args:
        what: What is fetched, in messages.
        progress: Hears what is waited for.
        limit_s: Longest time in which less than the floor may come.

    """

    def __init__(self, what: str, progress: FetchProgress, limit_s: float | None = None) -> None:
        self.what = what
        self.progress = progress
        self._limit_s = LIMIT_S if limit_s is None else limit_s
        self.waiting_for = "a connection"
        self.enough_bytes = FLOOR_BYTES_PER_S * self._limit_s
        self._since = time.monotonic()
        self._any_bytes = 0
        self._body_bytes = 0

    def count_body(self, count: int) -> None:
        """Count bytes of files and lists, also those that came before; the time starts anew after enough of them."""
        self._body_bytes += count
        if self._body_bytes >= self.enough_bytes:
            self._since, self._body_bytes, self._any_bytes = time.monotonic(), 0, 0

    def count_any(self, count: int) -> None:
        """Count bytes of any kind, such as headers: the message names them, but they win no time."""
        self._any_bytes += count

    def pause(self, seconds: float) -> None:
        """Wait before another attempt; a pause that the server asked for is no slowness.

        Raises:
            StoppedError: If the fetch is to end meanwhile.

        """
        self.progress.stopping.wait(seconds)
        self.progress.go_on()
        self._since += seconds

    def remaining_s(self) -> float:
        """Return the seconds until the server is given up, unless more comes.

        Raises:
            NetworkError: If it has none.
            StoppedError: If the fetch is to end.

        """
        self.progress.go_on()
        waited_s = time.monotonic() - self._since
        if waited_s >= self._limit_s:
            raise NetworkError(
                f"{self.what}: waited {waited_s:.0f} s for {self.waiting_for}; {format_bytes(self._any_bytes)} came, and"
                f" less than {format_bytes(FLOOR_BYTES_PER_S)} a second is given up.",
                remedy="Try again later: the next fetch resumes. HF_ENDPOINT names a mirror; --source DIR takes a folder.",
            )
        if waited_s >= _REPORT_AFTER_S:
            passed = counted(int(waited_s), "second")
            self.progress.wait(
                f"{self.what}: waiting for {self.waiting_for}, {passed} so far (at most {self._limit_s:.0f})"
            )
        return self._limit_s - waited_s


class PacedSocket:
    """A connected socket for ``http.client``, whose answer must keep up a pace.

    Args:
        inner: The connection.
        pace: What the answer must keep up.
        closes: True if closing the answer closes the connection.

    """

    def __init__(self, inner: socket.socket, pace: Pace, *, closes: bool = True) -> None:
        self._inner = inner
        self._pace = pace
        self._closes = closes

    def sendall(self, data: bytes) -> None:
        """Send a request."""
        self._inner.settimeout(SILENCE_S)
        self._inner.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        """Return a stream of the answer."""
        return io.BufferedReader(_PacedReader(self._inner, self._pace, self._closes))

    def close(self) -> None:
        """Keep the connection open: the answer's stream closes it."""


class _PacedReader(io.RawIOBase):
    def __init__(self, inner: socket.socket, pace: Pace, closes: bool) -> None:
        self._inner = inner
        self._pace = pace
        self._closes = closes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        began = time.monotonic()
        while True:
            self._inner.settimeout(min(_LOOK_S, self._pace.remaining_s()))
            try:
                count = self._inner.recv_into(buffer)
            except TimeoutError:
                if time.monotonic() - began > SILENCE_S:
                    raise
            else:
                self._pace.count_any(count)
                return count

    def close(self) -> None:
        if self._closes and not self.closed:
            self._inner.close()
        super().close()
