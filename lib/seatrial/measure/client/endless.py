"""Streams without an end, whose number a person changes while they run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle

from seatrial.measure.client.prompts import Prompt

LOOK_S = 0.1  # between looks at the wish
_AFTER_FAILURE_S = 0.5  # before a stream sends again
_HOPELESS_A_STREAM, _HOPELESS = 2, 8  # failures in a row: so many for each stream, and so many more


class Wish:
    """Streams that the parent asked for last; None before it has."""

    def __init__(self) -> None:
        self.streams: int | None = None


class EndlessStreams:
    """Streams that each send their next request when the last one is over.

    Attributes:
        hopeless: True if so many requests failed in a row that the server is taken to be gone.

    """

    def __init__(
        self, prompts: Sequence[Prompt], send: Callable[[int, Prompt, int], Awaitable[int]], wish: Wish
    ) -> None:
        self.hopeless = False
        self._prompts = cycle(prompts)
        self._send = send
        self._wish = wish
        self._streams: list[asyncio.Task[None]] = []
        self._point = 0
        self._succeeded = 0
        self._failed_in_a_row = 0

    async def run(self, point: int, streams: int) -> int:
        """Keep ``streams`` busy until another number is wished for; return how many requests of the point succeeded.

        Streams go on from one point to the next. One too many breaks off its request, or a wish for fewer would
        take effect only after the longest answer.
        """
        self._point, self._succeeded = point, 0
        for task in self._streams[streams:]:
            task.cancel()
        del self._streams[streams:]
        self._streams += [asyncio.create_task(self._stream()) for _ in range(streams - len(self._streams))]
        while not self.hopeless and self._wish.streams in {None, streams}:
            ended, _ = await asyncio.wait(self._streams, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()  # a stream ends only with an error of the client itself
            self.hopeless = self._failed_in_a_row > _HOPELESS_A_STREAM * streams + _HOPELESS
        return self._succeeded

    async def _stream(self) -> None:
        while True:
            point = self._point
            if await self._send(point, next(self._prompts).renewed(), time.perf_counter_ns()):
                self._failed_in_a_row = 0
                self._succeeded += point == self._point
            else:
                self._failed_in_a_row += 1
                await asyncio.sleep(_AFTER_FAILURE_S)
