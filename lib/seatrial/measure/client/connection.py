"""Sends requests over one HTTP/1.1 connection and reads the answers: the clock first, then one pass over each read.

The parser is llhttp, the one of Node.js. What it does not bound is bounded here: a head, marks of chunks and interim
answers that never end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, cast

from httptools.parser.errors import HttpParserError, HttpParserUpgrade
from httptools.parser.parser import HttpResponseParser

from seatrial.measure.client.failure import UnansweredError, disconnected, not_http
from seatrial.measure.stream.chunks import one_line

_MAX_FRAMING = 1 << 16  # bytes of a head, of marks of chunks ...
_FRAMING_SHARE = 16  # ... and this many times the body's: a chunk of one byte has five beside it
_TLS_ALERT = b"\x15\x03"
_SHOWN = 40  # bytes of what is no HTTP


@dataclass(slots=True)
class Head:
    """Status line and headers of an answer."""

    status: int = 0
    reason: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)  # by name in small letters; the first of each name

    @property
    def until_close(self) -> bool:
        """True if only the end of the connection ends the body."""
        coded = self.headers.get("transfer-encoding", "").lower()
        return not coded.endswith("chunked") and (bool(coded) or "content-length" not in self.headers)


class Receiver(Protocol):
    """Whoever follows the answer of a request. Each method may raise, which ends the connection and fails the request."""

    def begin(self, head: Head) -> None:
        """Take the head."""

    def take(self, stamp: int, piece: bytes) -> None:
        """Take what a read made at ``stamp`` brought of the body."""

    def end(self, stamp: int) -> None:
        """Note that the body is complete."""

    def fail(self, error: Exception) -> None:
        """Note that no more comes."""

    @property
    def chunks(self) -> int:
        """Chunks with tokens so far."""


class Connection(asyncio.Protocol):
    """A connection, which answers one request at a time."""

    def __init__(self, released: Callable[[Connection], None], lost: Callable[[Connection], None]) -> None:
        self._released, self._lost = released, lost  # called when it is free again, and when it has ended
        self._transport: asyncio.Transport
        self._receiver: Receiver | None = None
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # of the parser, as is each on_...
        self._parser: HttpResponseParser | None = None
        self._head = Head()
        self._head_complete = self._complete = self._keep = False
        self._framing = self._body = 0  # bytes of the answer
        self._heard = False  # a byte of an answer came
        self._early = b""  # what came before anything was asked
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take up the connection."""
        self._transport = cast("asyncio.Transport", transport)
        # Else uvloop sends only after everything that is ready has run, which the clock would count as the server's time.
        self._transport.set_write_buffer_limits(high=0)
        self._parser = HttpResponseParser(self)
        # Bare line feeds and blanks after a chunk's size are common, and no danger to who reads one answer a request.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self.open = True

    def send(self, request: bytes, receiver: Receiver) -> int:
        """Send a request whose answer goes to ``receiver``; return the clock at which it was handed over."""
        self._receiver = receiver
        self._head = Head()
        self._head_complete = self._complete = self._keep = self._heard = False
        self._framing = self._body = 0
        sent = time.perf_counter_ns()
        if self.open:
            self._transport.write(request)
        else:  # the server spoke, or left, before it was asked
            self._receiver = None
            why = f"it begins unasked with {one_line(repr(self._early[:_SHOWN])[1:])}"
            receiver.fail(not_http(why) if self._early else _unanswered())
        return sent

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        stamp = time.perf_counter_ns()
        receiver, pieces = self._receiver, self._pieces
        refused: Exception | None = None
        if receiver is None or self._parser is None:
            self._early = self._early or data
            self.close()
            return
        self._heard = True
        begun = self._head_complete
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            refused = error
        try:
            if self._head_complete and not begun:
                receiver.begin(self._head)
            size = 0
            if pieces:
                piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                pieces.clear()
                size = len(piece)
                receiver.take(stamp, piece)
            self._framing += len(data) - size
            self._body += size
            if self._complete:
                self._receiver = None
                if self._keep and refused is None and self.open:
                    self._released(self)
                else:
                    self.close()
                self._end(receiver, stamp)
            elif refused is not None or self._framing > _MAX_FRAMING + _FRAMING_SHARE * self._body:
                self._refuse(refused, data)
        except Exception as error:  # noqa: BLE001 -- whoever waits for the answer is told, whatever it was
            pieces.clear()
            self._receiver = None
            self.close()
            receiver.fail(error)

    def eof_received(self) -> None:
        """Give no further request to a connection that the server has closed."""
        self.open = False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer, which is right only for one that ends so."""
        self.open = False
        self._parser = None  # which refers to this connection
        receiver, self._receiver = self._receiver, None
        self._lost(self)
        if receiver is None:
            return
        if not self._heard:
            receiver.fail(_unanswered())
        elif exc is not None or not self._head_complete or not self._head.until_close:
            receiver.fail(disconnected(receiver.chunks))
        else:
            self._end(receiver, time.perf_counter_ns())

    def leave(self, receiver: Receiver) -> None:
        """Close the connection if ``receiver`` still waits for the end of an answer."""
        if self._receiver is receiver:
            self._receiver = None
            self.close()

    def close(self) -> None:
        """Close at once."""
        self.open = False
        self._transport.abort()

    def on_message_begin(self) -> None:
        """Refuse an answer to which there was no request."""
        if self._complete:
            raise ValueError("a second answer")

    def on_status(self, reason: bytes) -> None:
        """Take a part of the reason."""
        self._head.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._head.headers.setdefault(name.decode("latin1").lower(), value.decode("latin1").strip())

    def on_headers_complete(self) -> None:
        """Take the head, unless another follows."""
        if self._parser is None:
            return
        self._head.status = self._parser.get_status_code()
        self._head_complete = self._head.status >= HTTPStatus.OK

    def on_message_complete(self) -> None:
        """Note the end of the body, or of an interim answer (1xx)."""
        if not self._head_complete:
            self._head = Head()
        elif self._parser is not None:
            self._complete, self._keep = True, self._parser.should_keep_alive()

    def _end(self, receiver: Receiver, stamp: int) -> None:
        try:
            receiver.end(stamp)
        except Exception as error:  # noqa: BLE001 -- whoever waits for the answer is told, whatever it was
            receiver.fail(error)

    def _refuse(self, refused: Exception | None, data: bytes) -> None:
        if refused is None:
            raise not_http(f"{self._framing:,} bytes of headers and marks of chunks came")
        if data.startswith(_TLS_ALERT):
            raise not_http("it is TLS: give the address with https://")
        switched = isinstance(refused, HttpParserUpgrade)
        raise not_http("it changes to another protocol" if switched else str(refused) or type(refused).__name__)


def _unanswered() -> UnansweredError:
    return UnansweredError("disconnected", "the server closed the connection after 0 chunks")
