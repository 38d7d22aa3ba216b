"""Reads the stream of one request to its end, and no further: a server may leave the connection open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp

from seatrial.measure.stream.answer import Answer, StreamError

_REST_S = 2.0  # after a finish reason, for counts and [DONE] ...
_KNOWN_REST_S = 0.25  # ... of a server that left a connection open after one
_END_S = 1.0  # after [DONE], for the end of the body


class Flight:
    """An attempt at a request. All clocks are nanoseconds, 0 until it happens."""

    __slots__ = ("answer", "count_chunks", "ended", "error", "progress", "rest_until", "reused", "sent", "started")

    def __init__(self, count_chunks: Callable[[int], None] = lambda _: None, asked: int = 1) -> None:
        self.answer = Answer(asked)
        self.started = time.perf_counter_ns()  # the request was built
        self.sent = 0  # it was passed to its connection
        self.progress = 0  # last token; before the first, an event that began and is not complete
        self.ended = 0
        self.rest_until = 0.0  # how long the rest of a finished answer is awaited, on the loop's clock
        self.reused = False  # over a connection that was open already
        self.error: StreamError | None = None  # None unless it failed
        self.count_chunks = count_chunks  # called with the number of token chunks of each read

    def take(self, piece: bytes) -> None:
        """Take what a read brought."""
        stamp = time.perf_counter_ns()
        answer = self.answer
        chunks = answer.feed(stamp, piece)
        if chunks:
            self.progress = stamp
            self.count_chunks(chunks)
        elif not answer.pending and not answer.stamps:
            self.progress = 0  # nothing but comments or an empty role chunk: still waiting in line
        elif not self.progress:
            self.progress = stamp


class StreamReader:
    """Reader of the streams of one server, which learns whether the server ends them."""

    def __init__(self) -> None:
        self._rest_s, self._end_s = _REST_S, _END_S

    async def follow(self, content: aiohttp.StreamReader, flight: Flight, piece: bytes) -> None:
        """Read a stream that begins with ``piece`` to the end of its answer; raise StreamError if there is none."""
        answer = flight.answer
        flight.take(piece)
        while not answer.done and (piece := await self._read(content, flight)):
            flight.take(piece)
        answer.close(time.perf_counter_ns())
        flight.ended = time.perf_counter_ns()
        if answer.done and self._end_s:
            await self._reach_end(content)

    async def _read(self, content: aiohttp.StreamReader, flight: Flight) -> bytes:
        """Read on; after a finish reason only for a while, since counts and [DONE] may never come."""
        if not flight.answer.finished:
            return await content.readany()
        clock = asyncio.get_running_loop().time
        flight.rest_until = flight.rest_until or clock() + self._rest_s
        try:
            async with asyncio.timeout_at(flight.rest_until):
                return await content.readany()
        except TimeoutError:
            self._rest_s = _KNOWN_REST_S
            return b""

    async def _reach_end(self, content: aiohttp.StreamReader) -> None:
        """Read to the end of the body, so that its connection serves the next request; not if a server leaves it open."""
        try:
            async with asyncio.timeout(self._end_s):
                while await content.readany():
                    pass
        except TimeoutError:
            self._end_s = 0.0
