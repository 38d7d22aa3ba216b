"""Reads a server-sent event stream, however the network cuts it.

Sans-IO: bytes in, events out; no clock and no socket, so that every cut can be tested. Follows
https://html.spec.whatwg.org/multipage/server-sent-events.html, except for what servers really send: a last event without
its blank line counts, and so do ``error:`` lines and lines that are a JSON object. A JSON object that follows another
begins a new event, with a blank line or without. Signs of life carry nothing: an event of blanks, or one called a ping.
"""

from __future__ import annotations

import msgspec

_BLANKS = b" \t\n\0"
_MARKS = b"\xef\xbb\xbf \t\0"  # before a field: a byte-order mark, blanks
_SIGNS_OF_LIFE = frozenset(
    (b"ping", b"pong", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive")
)  # names of events
_ENDS = frozenset((b"done", b"[done]"))  # likewise
_DONE = b"[DONE]"
_MAX_EVENT_BYTES = 1 << 20  # of a line or event; a usual chunk has a few hundred
_MAX_STRAY_BYTES = 1 << 10


class OversizedEventError(ValueError):
    """A line or event longer than the bound, and the ``events`` that the same piece completes before it."""

    def __init__(self, message: str, events: list[bytes]) -> None:
        super().__init__(message)
        self.events = events


class EventReader:
    """Reader that turns pieces of a stream into the data of its events."""

    __slots__ = ("_data", "_limit", "_name", "_size", "_skip_newline", "_tail", "begun", "stray")

    def __init__(self, max_event_bytes: int = _MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._tail = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._skip_newline = False
        self.begun = False  # something of an event or line end came, and is not complete
        self._name = b""  # of the event, in small letters
        self.stray = b""  # the first line that is no field

    @property
    def pending(self) -> bool:
        """True if an event has begun and is not complete."""
        return bool(self._tail or self._data)

    @property
    def waiting(self) -> bytes:
        """Data of an event that waits for its blank line, if they look whole; empty if there is none."""
        return self._data[0] if len(self._data) == 1 and _looks_whole(self._data[0]) else b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of every event that ``piece`` completes, in order; raise OversizedEventError at the bound."""
        # What engines send, whole events of one line each, needs no look at the lines.
        if not self.begun and piece[:7] == b"data: {" and b"\r" not in piece:
            size = len(piece)
            if piece.find(b"\n") == size - 2 and piece[-1:] == b"\n" and size <= self._limit:
                return [piece[6:-2]]
            if piece[-3:] == b"}\n\n" and size <= self._limit:
                events = piece[6:-2].split(b"\n\ndata: ")
                if piece.count(b"\n") == 2 * len(events):
                    return events
        return self._read(piece)

    def complete(self) -> list[bytes]:
        """Return the event that has begun, as if its blank line had come."""
        events: list[bytes] = []
        self._end_event(events)
        return events

    def close(self) -> list[bytes]:
        """Return the events in which the stream ended, if a line end or blank line never came."""
        events: list[bytes] = []
        self._take(bytes(self._tail), events)
        self._tail.clear()
        self._end_event(events)
        return events

    def _read(self, piece: bytes) -> list[bytes]:
        events: list[bytes] = []
        # A CR ended the last piece: a LF that opens this one belongs to the same line end.
        if self._skip_newline and piece:
            self._skip_newline = False
            piece = piece.removeprefix(b"\n")
        if b"\n" not in piece and b"\r" not in piece:
            self._tail += piece
            lines = []
        else:
            text = bytes(self._tail) + piece
            # Of bytes, splitlines() knows only LF, CR and CRLF: exactly the line ends of the standard.
            lines = text.splitlines()
            self._skip_newline = text.endswith(b"\r")
            self._tail = bytearray() if text.endswith((b"\n", b"\r")) else bytearray(lines.pop())
        for line in lines:
            self._take(line, events)
        if len(self._tail) + self._size > self._limit:
            raise self._oversized(events)
        self.begun = bool(self._tail or self._data or self._name or self._skip_newline)
        return events

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            self._end_event(events)
        elif line.startswith(b"data:"):
            self._add(line[5:].removeprefix(b" "), events)
        elif line.startswith(b"event:"):
            self._name = line[6:].strip().lower()
        elif not line.startswith((b":", b"id:", b"retry:")):  # those carry nothing to measure
            self._take_odd(line.lstrip(_MARKS), events)

    def _take_odd(self, line: bytes, events: list[bytes]) -> None:
        name, colon, value = line.partition(b":")
        name = name.strip().lower()
        if name == b"data":
            self._add(value.removeprefix(b" "), events)
        elif name == b"error" and colon:
            self._add(_as_error(value), events)
        elif name == b"event":
            self._name = value.strip().lower()
        elif _looks_whole(line):  # one JSON object a line, without a field's name
            self._add(line, events)
        elif name and not self.stray:
            self.stray = line[:_MAX_STRAY_BYTES]

    def _add(self, value: bytes, events: list[bytes]) -> None:
        # No JSON text goes on with an object after a line that closes one.
        if self.waiting and (value[:1] == b"{" or _looks_whole(value)):
            self._end_event(events)
        self._size += len(value)
        if self._size > self._limit:
            raise self._oversized(events)
        self._data.append(value)

    def _end_event(self, events: list[bytes]) -> None:
        name, event = self._name, b"\n".join(self._data)
        self._data.clear()
        self._size, self._name = 0, b""
        if name == b"error":
            events.append(_as_error(event))
        elif event.strip(_BLANKS) and not {name, event.strip(b' \t\n[]":').lower()} & _SIGNS_OF_LIFE:
            events.append(event)
        if name in _ENDS:
            events.append(_DONE)

    def _oversized(self, events: list[bytes]) -> OversizedEventError:
        return OversizedEventError(f"an event of more than {self._limit:,} bytes", events)


def _looks_whole(data: bytes) -> bool:
    return (data[:1] == b"{" and data.rstrip(_BLANKS)[-1:] == b"}") or data.strip(_BLANKS) == _DONE


def _as_error(data: bytes) -> bytes:
    """Return an event called an error as the JSON object that says so."""
    try:
        said = data if msgspec.json.decode(data) else b'"no message"'
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = msgspec.json.encode(data.decode("utf-8", "replace").strip() or "no message")
    return b'{"error":' + said + b"}"
