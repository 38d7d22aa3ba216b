"""Runs the load levels one after the other: closed loop (streams at once) or open loop (arrivals)."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from itertools import accumulate
from typing import Any

from seatrial.measure.client.endless import LOOK_S, EndlessStreams, Wish
from seatrial.measure.client.lag import LagProbe
from seatrial.measure.client.prompts import Prompt, PromptWriter
from seatrial.measure.client.sender import Sender
from seatrial.measure.client.session import Session
from seatrial.measure.messages import Event, Finished, PointBegins, PointEnds, Tick
from seatrial.measure.types import Workload
from seatrial.measure.workload import levels_of

_TICK_S = 0.25
_WRITERS = 8  # prompts made at the same time before a point: each asks the server's tokenizer a few times
_MAX_TEXTS = 512  # different texts of a point; further requests repeat them under new nonces
# Requests of a point if the workload has no number: enough for a steady stretch.
_REQUESTS_A_STREAM, _MIN_REQUESTS = 4, 8
_ENDLESS_TEXTS = 16  # of a load that runs until it is stopped; a few, since it begins at once
_OPEN_LOOP_S, _MIN_ARRIVALS = 30, 20
WARMUP_TOKENS = 16  # longest answer of a discarded request

Emit = Callable[[Event], None]


def _requests_of(workload: Workload, streams: int | None) -> int:
    if workload.requests is not None:
        return workload.requests
    if streams is not None:
        return max(_REQUESTS_A_STREAM * streams, _MIN_REQUESTS)
    return max(math.ceil(_OPEN_LOOP_S * (workload.rate or 0.0)), _MIN_ARRIVALS)


class LevelRunner:
    """Load levels of a workload against one server."""

    def __init__(  # noqa: PLR0913 -- what a level is made of
        self, sender: Sender, session: Session, writer: PromptWriter, workload: Workload, emit: Emit, *, wish: Wish
    ) -> None:
        self._sender = sender
        self._session = session
        self._writer = writer
        self._workload = workload
        self._emit = emit
        self._wish = wish
        self._texts: list[Prompt] = []  # prompts of the latest level
        self._point = -1
        self._ticked, self._counted, self._worked = 0, 0, 0  # when the last tick was; chunks and CPU time until then
        self._probe: LagProbe | None = None  # of the level that runs

    async def run(self, start_ns: int) -> None:
        """Run all levels; stop after a level at which no request succeeds."""
        if self._workload.until_stopped:
            await self._until_stopped(0, self._workload.concurrency[0], start_ns)
            return
        for point, streams in enumerate(levels_of(self._workload)):
            succeeded = await self._level(point, streams, start_ns)
            if self._wish.streams is not None:
                await self._until_stopped(point + 1, self._wish.streams, start_ns)
            if not succeeded or self._wish.streams is not None:
                return

    async def watch(self, start_ns: int) -> None:
        """Break off late requests and emit a tick, four times a second, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            self._sender.expire()
            now, received, cpu = time.perf_counter_ns(), self._sender.chunks, time.process_time_ns()
            tokens = (received - self._counted) * self._sender.tokens_per_chunk
            if self._probe is not None:
                passed = max(now - self._ticked, 1)
                rate, late = tokens / (passed / 1e9), self._probe.newest_s()
                at, share = (now - start_ns) / 1e9, (cpu - self._worked) / passed
                self._emit(Tick(self._point, at, rate, self._sender.active_streams, late, share))
            self._ticked, self._counted, self._worked = now, received, cpu

    async def _level(self, point: int, streams: int | None, start_ns: int) -> bool:
        prompts = self._texts = await self._prompts(_requests_of(self._workload, streams))
        await self._warm_up(streams or 1)
        send = self._closed(point, streams, prompts) if streams is not None else self._open(point, prompts)
        return await self._timed(point, streams, self._unless_wished(send), start_ns, requests=len(prompts)) > 0

    async def _until_stopped(self, point: int, streams: int, start_ns: int) -> None:
        """Keep streams busy, as many as wished; a level ends when the wish changes, the last when the client does."""
        if not self._texts:
            self._texts = await self._prompts(_ENDLESS_TEXTS)
            await self._warm_up(streams)
        endless = EndlessStreams(self._texts, self._one, self._wish)
        while not endless.hopeless:
            await self._timed(point, streams, endless.run(point, streams), start_ns, requests=0)
            point, streams = point + 1, self._wish.streams or streams

    async def _timed(
        self, point: int, streams: int | None, send: Awaitable[int | None], start_ns: int, *, requests: int
    ) -> int:
        """Send a level between the messages of its begin and its end; return how many requests succeeded."""
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection in the middle would delay tokens that are being timed
        begin, cpu = time.perf_counter_ns(), time.process_time_ns()
        self._point = point
        # Tokens of the warm-up are none of the level's.
        self._ticked, self._counted, self._worked = begin, self._sender.chunks, cpu
        levels = levels_of(self._workload)[point + 1 :] if requests else ()
        later = sum(_requests_of(self._workload, one) for one in levels)
        self._emit(PointBegins(point, (begin - start_ns) / 1e9, requests, streams, later))
        with LagProbe() as probe:
            self._probe = probe
            succeeded = await send
            end, cpu = time.perf_counter_ns(), time.process_time_ns() - cpu
        self._point, self._probe = -1, None
        gc.enable()
        self._emit(
            PointEnds(
                point,
                (end - start_ns) / 1e9,
                probe.late_s(0.99),
                cpu / max(end - begin, 1),
                self._notes(),
                streams,
                partial=succeeded is None,
                loop_lag_p90_s=probe.late_s(0.9),
            )
        )
        return succeeded or 0

    async def _unless_wished(self, send: Coroutine[Any, Any, int]) -> int | None:
        """Send a level, and break off its requests when other streams are wished for; return None then."""
        sending = asyncio.create_task(send)
        while not (await asyncio.wait([sending], timeout=LOOK_S))[0]:
            if self._wish.streams is not None:
                sending.cancel()
                await asyncio.wait([sending])
                return None
        return sending.result()

    async def _closed(self, point: int, streams: int, prompts: list[Prompt]) -> int:
        queue = iter(prompts)

        async def slot() -> int:
            succeeded = 0
            for prompt in queue:
                succeeded += await self._one(point, prompt, time.perf_counter_ns())
            return succeeded

        return sum(await asyncio.gather(*(slot() for _ in range(streams))))

    async def _open(self, point: int, prompts: list[Prompt]) -> int:
        arrivals = random.Random(f"arrivals {self._workload.seed}")  # noqa: S311 -- load, not secrets
        rate = self._workload.rate or 1.0
        begin = time.perf_counter_ns()
        tasks: list[asyncio.Task[int]] = []
        for prompt, at_s in zip(prompts, accumulate(arrivals.expovariate(rate) for _ in prompts), strict=True):
            due = begin + round(at_s * 1e9)
            await asyncio.sleep(max((due - time.perf_counter_ns()) / 1e9, 0.0))
            tasks.append(asyncio.create_task(self._one(point, prompt, due)))
        return sum(await asyncio.gather(*tasks))

    async def _one(self, point: int, prompt: Prompt, scheduled_ns: int) -> int:
        completion = await self._sender.send(point, prompt.text, scheduled_ns)
        self._emit(Finished(completion))
        return int(completion.error is None)

    async def _prompts(self, number: int) -> list[Prompt]:
        prompts: list[Prompt] = []
        texts = min(number, _MAX_TEXTS)
        while len(prompts) < texts:
            batch = min(_WRITERS, texts - len(prompts))
            prompts += await asyncio.gather(*(self._writer.write() for _ in range(batch)))
        return prompts + [prompts[index % texts].renewed() for index in range(texts, number)]

    async def _warm_up(self, streams: int) -> None:
        await self._session.open_connections(streams)
        number = self._workload.warmup_requests
        prompts = await self._prompts(number)
        tokens = min(self._workload.answer_tokens, WARMUP_TOKENS)
        for first in range(0, number, streams):
            batch = prompts[first : first + streams]
            now = time.perf_counter_ns()
            await asyncio.gather(*(self._sender.send(-1, one.text, now, answer_tokens=tokens) for one in batch))

    def _notes(self) -> tuple[str, ...]:
        inexact = sum(not prompt.exact for prompt in self._texts)
        if not inexact or not self._sender.counts_tokens:
            return self._sender.notes
        return (
            *self._sender.notes,
            f"{inexact} of {len(self._texts)} prompts could not be made exactly {self._workload.prompt_tokens} tokens.",
        )
