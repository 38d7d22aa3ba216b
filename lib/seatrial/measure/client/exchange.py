"""Follows the answer of one request to its end, and no further: a server may drip, flood, or leave a connection open."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from seatrial.measure.client.connection import Head
from seatrial.measure.client.failure import RequestError
from seatrial.measure.client.unpacking import Unpacker, UnpackError, unpacker_of
from seatrial.measure.stream.answer import StreamError
from seatrial.measure.stream.chunks import error_text, one_line
from seatrial.measure.stream.flight import Flight

_ERROR_TIMEOUT_S = 5.0  # for the rest of an error, whose beginning says why
_MAX_ERROR_BODY = 1 << 16
_KNOWN_REST_S = 0.25  # after a finish reason, of a server that left a connection open after one
_STREAM_TYPES = frozenset(("text/event-stream", "application/octet-stream"))
_STREAM_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")  # of a stream under another type
_BOM = b"\xef\xbb\xbf"


class Exchange(ABC):
    """A request and its answer. This one refuses every answer but 200; what that brings is for those made of it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.over = self._loop.create_future()
        self.head = Head()
        self._unpacker: Unpacker | None = None  # of a body that comes packed
        self._refusal: Callable[[str], RequestError] | None = None  # the error, of whose text this is the beginning
        self._text = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def chunks(self) -> int:
        """Chunks with tokens so far."""
        return 0

    def begin(self, head: Head) -> None:
        """Take the head of the answer."""
        self.head, status = head, head.status
        self._unpacker = unpacker_of(head.headers)
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise RequestError("redirect", f"HTTP {status}: the server redirects, which is not followed", status)
        if status != HTTPStatus.OK:
            after_s = _retry_after(head)
            self._refuse(lambda text: RequestError(f"http_{status}", f"HTTP {status}: {text}", status, after_s))

    def take(self, stamp: int, piece: bytes) -> None:
        """Take a piece of the body, packed or not."""
        try:
            for part in (piece,) if self._unpacker is None else self._unpacker.unpack(piece):
                if self._is_enough():
                    return
                if self._refusal is None:
                    self._read(stamp, part)
                else:
                    self._add_reason(part)
        except UnpackError as error:
            if self._refusal is not None:
                self._give_reason(" (the rest cannot be read)")
                return
            raise RequestError(
                "compressed",
                f"the answer cannot be unpacked after {self.chunks} chunks ({error}); plain text was asked for",
            ) from error

    def end(self, stamp: int) -> None:
        """Note that the body is complete."""
        if self._refusal is None:
            self._close(stamp)
        else:
            self._give_reason("")

    def fail(self, error: Exception) -> None:
        """End with this error, or with the one that the server had begun to give."""
        if self._refusal is not None and isinstance(error, RequestError):
            self._give_reason(" (the rest cannot be read)")
        elif not self.over.done():
            self._stop_timer()
            # Nothing collects cycles while a level runs: an error's traceback would keep this exchange.
            self.over.set_exception(error.with_traceback(None) if isinstance(error, StreamError) else error)

    def again(self) -> None:
        """Begin anew: the request is sent over another connection."""
        self.over = self._loop.create_future()

    @abstractmethod
    def _read(self, stamp: int, part: bytes) -> None:
        """Read a piece of the body, unpacked."""

    @abstractmethod
    def _close(self, stamp: int) -> None:
        """Take the end of the body."""

    def _is_enough(self) -> bool:
        return self.over.done()

    def _finish(self) -> None:
        self._stop_timer()
        if not self.over.done():
            self.over.set_result(None)

    def _refuse(self, refusal: Callable[[str], RequestError], begun: bytes = b"") -> None:
        self._refusal = refusal
        self._limit(_ERROR_TIMEOUT_S, self._leave_rest)
        self._add_reason(begun)

    def _add_reason(self, part: bytes) -> None:
        self._text += part[:_MAX_ERROR_BODY]
        if len(self._text) >= _MAX_ERROR_BODY:
            self._give_reason("")

    def _leave_rest(self) -> None:
        self._give_reason(f" (the rest did not come within {_ERROR_TIMEOUT_S:g} s)")

    def _give_reason(self, unread: str) -> None:
        refusal, self._refusal = self._refusal, None
        text = error_text(bytes(self._text[:_MAX_ERROR_BODY])) or one_line(self.head.reason.decode("latin1"))
        self._text.clear()
        if refusal is not None:
            self.fail(refusal(f"{text or 'no reason given'}{unread}"))

    def _limit(self, seconds: float, late: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Whole(Exchange):
    """A short question and its whole answer, which is cut at a limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.body = bytearray()
        self._most = limit

    def _read(self, _: int, part: bytes) -> None:
        self.body += part
        if len(self.body) >= self._most:
            del self.body[self._most :]
            self._finish()

    def _close(self, _: int) -> None:
        self._finish()


@dataclass(slots=True)
class Patience:
    """How long the rest of a complete answer is awaited, in seconds; learned from a server that leaves connections open."""

    rest_s: float = 2.0  # after a finish reason, for counts and [DONE]
    end_s: float = 1.0  # after [DONE], for the end of the body, so that its connection serves the next request


class Streamed(Exchange):
    """A request for a completion, and its answer as it streams in."""

    def __init__(self, flight: Flight, patience: Patience) -> None:
        super().__init__()
        self._flight = flight
        self._answer = flight.answer
        self._patience = patience
        self._begun = False  # it is an event stream
        self._plain = False  # nothing is left to decide: each piece goes to the answer

    @property
    def chunks(self) -> int:
        """Chunks with tokens so far."""
        return len(self._answer.stamps)

    def take(self, stamp: int, piece: bytes) -> None:
        """Take a piece of the body."""
        if self._plain:
            self._flight.take(stamp, piece)
            if self._answer.finished:
                self._await_rest(stamp)
        elif not self._flight.ended:
            super().take(stamp, piece)

    def fail(self, error: Exception) -> None:
        """End with this error, unless the answer was complete before."""
        if self._answer.finished and isinstance(error, RequestError):
            self._conclude(time.perf_counter_ns())
        else:
            super().fail(error)

    def _read(self, stamp: int, part: bytes) -> None:
        if not self._begun:
            part = bytes(self._text) + part
            if not self._is_stream(part):
                return
            self._begun, self._plain = True, self._unpacker is None
        self._flight.take(stamp, part)
        if self._answer.finished:
            self._await_rest(stamp)

    def _is_enough(self) -> bool:
        return bool(self._flight.ended) or self.over.done()

    def _is_stream(self, part: bytes) -> bool:
        """Return True if the answer is an event stream. What it begins with counts more than its type."""
        begin = part.removeprefix(_BOM).lstrip()
        kind = self.head.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
        # An error, or a page, may be called a stream.
        if begin.startswith(_STREAM_STARTS) or (kind in _STREAM_TYPES and not begin.startswith((b"{", b"<"))):
            return True
        self._text.clear()
        if any(start.startswith(begin) for start in _STREAM_STARTS) and len(part) < _MAX_ERROR_BODY:
            self._text += part  # too short to say
        else:
            self._refuse(
                lambda text: RequestError(
                    "not_a_stream", f"the answer is {one_line(kind)}, not an event stream: {text}"
                ),
                part,
            )
        return False

    def _await_rest(self, stamp: int) -> None:
        if not self._answer.done:
            if self._timer is None:
                self._limit(self._patience.rest_s, self._stop_resting)
        elif not self._flight.ended:
            self._plain = False
            self._note_end(stamp)
            if self._patience.end_s:
                self._limit(self._patience.end_s, self._stop_ending)
            else:
                self._finish()

    def _stop_resting(self) -> None:
        self._timer = None
        if self._answer.finished:  # a server may send text after a finish reason
            self._patience.rest_s = _KNOWN_REST_S
            self._conclude(time.perf_counter_ns())

    def _stop_ending(self) -> None:
        self._patience.end_s = 0.0
        self._finish()

    def _close(self, stamp: int) -> None:
        if not self._begun and not self._flight.ended:
            begun = bytes(self._text)
            if self._is_stream(begun):
                self._flight.take(stamp, begun)
            elif self._refusal is not None:
                self._give_reason("")
                return
        self._conclude(stamp)

    def _conclude(self, stamp: int) -> None:
        try:
            self._note_end(stamp)
        except Exception as error:  # noqa: BLE001 -- whoever waits for the answer is told, whatever it was
            super().fail(error)
        else:
            self._finish()

    def _note_end(self, stamp: int) -> None:
        if not self._flight.ended:
            self._answer.close(stamp)
            self._flight.ended = stamp


def _retry_after(head: Head) -> float | None:
    try:
        seconds = float(head.headers["retry-after"])
    except (KeyError, ValueError):
        return None  # missing, or a date, which no engine sends
    return seconds if 0 <= seconds < float("inf") else None
