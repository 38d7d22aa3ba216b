"""Reads a server-sent event stream, however the network cuts it.

Sans-IO: bytes in, events out; no clock and no socket, so that every cut can be tested. Follows
https://html.spec.whatwg.org/multipage/server-sent-events.html, except that a last event without
its blank line counts, that ``error:`` lines, which some servers send, are events too, and that
signs of life carry nothing: an event of blanks, or one that is called a ping.
"""

from __future__ import annotations

import msgspec

_BLANKS = b" \t\n"
_BOM = b"\xef\xbb\xbf"
_SIGNS_OF_LIFE = frozenset((b"ping", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive"))  # names of events
_MAX_EVENT_BYTES = 1 << 20  # of a line or event; a usual chunk has a few hundred


class OversizedEventError(ValueError):
    """A line or event longer than the bound."""


class EventReader:
    """Reader that turns pieces of a stream into the data of its events."""

    __slots__ = ("_begun", "_data", "_limit", "_name", "_size", "_skip_newline", "_tail")

    def __init__(self, max_event_bytes: int = _MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._tail = b""
        self._data: list[bytes] = []
        self._size = 0
        self._skip_newline = False
        self._begun = False  # the first line came, which a byte-order mark may open
        self._name = b""  # of the event, in small letters

    @property
    def pending(self) -> bool:
        """True if an event has begun and is not complete."""
        return bool(self._tail or self._data)

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of every event that ``piece`` completes, in order; raise OversizedEventError at the bound."""
        # A CR ended the last piece: a LF that opens this one belongs to the same line end.
        if self._skip_newline and piece:
            self._skip_newline = False
            piece = piece.removeprefix(b"\n")
        if not piece:
            return []
        if len(self._tail) + len(piece) > self._limit and b"\n" not in piece and b"\r" not in piece:
            raise OversizedEventError(f"a line of more than {self._limit:,} bytes")
        text = self._tail + piece if self._tail else piece
        # Of bytes, splitlines() knows only LF, CR and CRLF: exactly the line ends of the standard.
        lines = text.splitlines()
        self._skip_newline = text.endswith(b"\r")
        self._tail = b"" if text.endswith((b"\n", b"\r")) else lines.pop()
        events: list[bytes] = []
        for line in lines:
            self._take(line, events)
        if len(self._tail) + self._size > self._limit:
            raise OversizedEventError(f"an event of more than {self._limit:,} bytes")
        return events

    def close(self) -> list[bytes]:
        """Return the event in which the stream ended, if its blank line never came."""
        events: list[bytes] = []
        self._take(self._tail, events)
        self._tail = b""
        self._take(b"", events)
        return events

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if not self._begun:
            self._begun, line = True, line.removeprefix(_BOM)
        if not line:
            self._end_event(events)
        elif line.startswith(b"data:"):
            self._add(line[5:].removeprefix(b" "))
        elif line.startswith(b"error:"):
            self._add(b'{"error":' + line[6:] + b"}")
        elif line == b"data":
            self._add(b"")
        elif line.startswith(b"event:"):
            self._name = line[6:].strip().lower()
        # Comments, ids and retry times carry nothing to measure.

    def _add(self, value: bytes) -> None:
        self._size += len(value)
        if self._size > self._limit:
            raise OversizedEventError(f"an event of more than {self._limit:,} bytes")
        self._data.append(value)

    def _end_event(self, events: list[bytes]) -> None:
        if self._data:
            event = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            if (event[:1] > b" " or event.strip(_BLANKS)) and self._name not in _SIGNS_OF_LIFE:
                events.append(_as_error(event) if self._name == b"error" else event)
            self._data.clear()
            self._size = 0
        self._name = b""


def _as_error(data: bytes) -> bytes:
    """Return an event called an error as the JSON object that says so."""
    value = data if data.lstrip().startswith((b"{", b'"')) else msgspec.json.encode(data.decode("utf-8", "replace"))
    return b'{"error":' + value + b"}"
