"""Follows one request from its sending to the end of its answer: what came when."""

from __future__ import annotations

import time
from collections.abc import Callable

from seatrial.measure.stream.answer import Answer, StreamError


class Flight:
    """An attempt at a request. All clocks are nanoseconds, 0 until it happens."""

    __slots__ = ("answer", "count_chunks", "ended", "error", "progress", "reused", "sent", "started")

    def __init__(self, count_chunks: Callable[[int], None] = lambda _: None, asked: int = 1) -> None:
        self.answer = Answer(asked)
        self.started = time.perf_counter_ns()  # the request was built
        self.sent = 0  # it was handed to its connection
        self.progress = 0  # last token; before the first, an event that began and is not complete
        self.ended = 0
        self.reused = False  # over a connection that was open already
        self.error: StreamError | None = None  # None unless it failed
        self.count_chunks = count_chunks  # called with the number of token chunks of each read

    def take(self, stamp: int, piece: bytes) -> None:
        """Take what a read made at ``stamp`` brought."""
        answer = self.answer
        chunks = answer.feed(stamp, piece)
        if chunks:
            self.progress = stamp
            self.count_chunks(chunks)
        elif not answer.pending and not answer.stamps:
            self.progress = 0  # nothing but comments or an empty role chunk: still waiting in line
        elif not self.progress:
            self.progress = stamp
