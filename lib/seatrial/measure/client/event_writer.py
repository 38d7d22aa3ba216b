"""Writes the client's events to its parent from a thread: neither a slow reader nor a long answer holds up the loop."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace

import msgspec

from seatrial.measure.messages import Event, Finished

_STDOUT = 1
_GAPS = b'"gaps_s":[]'
_AT_ONCE = 4096  # numbers that are encoded in a piece, in a fifth of a millisecond: meanwhile nothing else runs


class EventWriter:
    """Writer of events in the order in which they come."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="event-writer", daemon=True)
        self._thread.start()

    def emit(self, event: Event) -> None:
        """Queue one event."""
        self._events.put(event)

    def close(self) -> None:
        """Wait until everything is written."""
        self._events.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (event := self._events.get()) is not None:
            write_event(event)


def write_event(event: Event) -> None:
    """Write one event as a line; end this process if nobody reads it."""
    line = b"".join(encoded(event)) + b"\n"
    try:
        while line:
            line = line[os.write(_STDOUT, line) :]
    except OSError:
        os._exit(1)  # the parent is gone


def encoded(event: Event) -> Iterator[bytes]:
    """Yield an event as JSON, that of a long answer in pieces."""
    if not isinstance(event, Finished) or len(event.completion.gaps_s) <= _AT_ONCE:
        yield msgspec.json.encode(event)
        return
    gaps = event.completion.gaps_s
    # Text has its quotes escaped: these bytes are the empty list of gaps.
    before, _, after = msgspec.json.encode(Finished(replace(event.completion, gaps_s=()))).partition(_GAPS)
    yield before + _GAPS[:-1]
    for begin in range(0, len(gaps), _AT_ONCE):
        yield (b"," if begin else b"") + msgspec.json.encode(gaps[begin : begin + _AT_ONCE])[1:-1]
    yield b"]" + after
