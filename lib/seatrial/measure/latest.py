"""Reads something again and again in a thread of its own, and keeps the latest of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator
from typing import Generic, TypeVar

from seatrial.printable import shortened

_logger = logging.getLogger("seatrial")

T = TypeVar("T")

_LEAVE_S = 1.0


class Latest(Generic[T]):
    """The latest value of a source; None before the first, and if that is too old: then what reads it hangs.

    Args:
        source: Yields a value each time it is asked, and closes what it opened; all of it happens in the thread.
        name: Of the thread.
        period_s: Seconds between two values.
        fresh_s: Age up to which a value counts.

    """

    def __init__(self, source: Generator[T], name: str, period_s: float, fresh_s: float) -> None:
        self._source = source
        self._period_s, self._fresh_s = period_s, fresh_s
        self.broken = ""  # why it reads no more
        self._latest: tuple[T, float] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def value(self) -> T | None:
        """The latest value that is fresh enough."""
        latest = self._latest
        return latest[0] if latest is not None and time.monotonic() - latest[1] <= self._fresh_s else None

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """True once it has begun, until it ends."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop reading, and do not wait for what hangs: no thread can be ended, and this one is a daemon."""
        self._stopped.set()
        if self.running:
            self._thread.join(_LEAVE_S)

    def _run(self) -> None:
        try:
            for value in self._source:
                self._latest = (value, time.monotonic())
                if self._stopped.wait(self._period_s):
                    return
        except Exception as error:  # a measurement goes on without what cannot be read
            _logger.debug("%s ended", self._thread.name, exc_info=True)
            self.broken = shortened(f"its reader failed: {type(error).__name__}: {error}")
        finally:
            self._source.close()
