"""Runs the load levels one after the other: closed loop (streams at once) or open loop (arrivals)."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from itertools import count
from typing import Any

import msgspec

from seatrial.measure.client.arrivals import Outrun, arrival_times
from seatrial.measure.client.endless import LOOK_S, EndlessStreams, Wish
from seatrial.measure.client.ignored import ignored_wishes
from seatrial.measure.client.lag import LagProbe
from seatrial.measure.client.level_prompts import LevelPrompts
from seatrial.measure.client.prompts import Prompt
from seatrial.measure.client.questions import LONGEST_ANSWER, Question, Questions, judged, wrong_answers
from seatrial.measure.client.sender import Sender
from seatrial.measure.client.session import Session
from seatrial.measure.client_limits import check_file_limit
from seatrial.measure.messages import Event, Finished, PointBegins, PointEnds, Recounted, Tick
from seatrial.measure.recording import mean_rate
from seatrial.measure.types import Completion, Point
from seatrial.measure.workload import Level, Workload, label_of, levels_of

_TICK_S = 0.25
_COUNTERS = 8  # requests to the server's tokenizer at the same time
_ENDLESS_TEXTS = 16  # of a load that runs until it is stopped; a few, since it begins at once
WARMUP_TOKENS = 16  # longest answer of a discarded request

Emit = Callable[[Event], None]


class LevelRunner:
    """Load levels of a workload against one server."""

    def __init__(  # noqa: PLR0913 -- what a level is made of
        self, sender: Sender, session: Session, prompts: LevelPrompts, workload: Workload, emit: Emit, *, wish: Wish
    ) -> None:
        self._sender = sender
        self._session = session
        self._prompts = prompts
        self._workload = workload
        self._emit = emit
        self._wish = wish
        self._start_ns = 0  # zero of all times
        self._completions: list[Completion] = []  # of the latest level; and the texts of their first chunks:
        self._first_texts: list[str] = []
        self._answers: list[tuple[str, Completion]] = []  # to questions among the load
        self._questions = Questions(workload.seed)
        self._early_notes: tuple[str, ...] = ()
        self._begins: PointBegins
        self._ended: PointEnds
        self._outrun = Outrun(0)
        self._texts: list[Prompt] = []  # prompts of the latest level
        self._ticked, self._counted, self._worked = 0, 0, 0  # when the last tick was; chunks and CPU time until then
        self._probe: LagProbe | None = None  # of the level that runs

    async def run(self, start_ns: int) -> None:
        """Run all levels, each as often as asked; stop after a run in which no request succeeds."""
        self._start_ns = start_ns
        if self._workload.until_stopped:
            (only,) = levels_of(self._workload)
            self._texts = await self._prepare(only, _ENDLESS_TEXTS)
            await self._until_stopped(0, only)
            return
        if self._workload.check_answers:
            self._early_notes = (await self._questions.ask_alone(self._ask),)
        if self._workload.find_knee:
            await self._search()
            return
        levels = levels_of(self._workload)
        if self._prompts.recording is not None:
            shared = any(one.session or one.blocks for one in self._prompts.recording.arrivals)
            levels = (replace(levels[0], rate=mean_rate(self._prompts.recording), shared=shared),)
        for point, level in enumerate(levels):
            if not await self._runs(point, level):
                return

    async def _search(self) -> None:
        """Run the levels that the search for the knee asks for."""
        from seatrial.measure.knee import KneeSearch
        from seatrial.measure.repeats import merge_runs
        from seatrial.measure.summary import summarize

        search, runs = KneeSearch(self._workload), list[Point]()

        def sum_up() -> None:
            runs.append(summarize(self._completions, self._workload, self._begins, self._ended))

        for point in count():
            level = search.next_level()
            if level is None or not await self._runs(point, level, sum_up):
                return
            search.take(merge_runs(runs, len(runs)))
            runs.clear()

    async def _ask(self, question: Question) -> Completion:
        asked = max(LONGEST_ANSWER, self._workload.answer_tokens)
        return await self._sender.send(-1, question.question, time.perf_counter_ns(), answer_tokens=asked, checked=True)

    async def _runs(self, point: int, level: Level, after_each: Callable[[], None] | None = None) -> bool:
        """Run a level as often as asked; return False if no further level is to be sent."""
        check_file_limit(level.streams or 1)
        for run in range(self._workload.repeat):
            succeeded = await self._level(point, level, run)
            if self._wish.streams is not None:
                await self._until_stopped(point + 1, replace(level, streams=self._wish.streams))
                return False
            if after_each is not None:
                after_each()
            elif not succeeded and not self._refused():
                return False
        return True

    def _refused(self) -> bool:
        """Return True if the server lives and refused every request: it may take the next level, of shorter prompts say."""
        return all((one.error or "").startswith("http_4") for one in self._completions)

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
                self._emit(Tick(self._begins.point, at, rate, self._sender.active_streams, late, share))
            self._ticked, self._counted, self._worked = now, received, cpu

    async def _level(self, point: int, level: Level, run: int) -> bool:
        requests = self._prompts.number(level)
        self._texts = await self._prepare(level, requests)
        times = [] if level.streams is not None else self._times(level, requests, self._workload.seed + run)
        prompts = self._with_questions(times)
        if level.streams is not None:
            send = self._closed(point, level.streams, prompts)
        else:
            send = self._open(point, prompts, times)
        label, repeat = label_of(level, self._workload), self._workload.repeat
        if repeat > 1:
            label += f" (run {run + 1} of {repeat})"
        levels = () if self._workload.find_knee else levels_of(self._workload)[point + 1 :]
        later = (repeat - run - 1) * requests + repeat * sum(self._prompts.number(one) for one in levels)
        begins = PointBegins(point, 0.0, len(prompts), level, label, later)
        return await self._timed(begins, self._unless_wished(send)) > 0

    async def _until_stopped(self, point: int, level: Level) -> None:
        """Keep streams busy, as many as wished; a level ends when the wish changes, the last when the client does."""
        endless = EndlessStreams(self._texts, self._one, self._wish)
        while not endless.hopeless:
            begins = PointBegins(point, 0.0, 0, level, label_of(level, self._workload))
            await self._timed(begins, endless.run(point, level.streams or 1))
            point, level = point + 1, replace(level, streams=self._wish.streams or level.streams)

    async def _timed(self, begins: PointBegins, send: Awaitable[int | None]) -> int:
        """Send a level between the messages of its begin, which is now, and its end; return how many requests succeeded."""
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection in the middle would delay tokens that are being timed
        self._completions, self._first_texts, self._answers = [], [], []
        begin, cpu = time.perf_counter_ns(), time.process_time_ns()
        self._begins = msgspec.structs.replace(begins, at_s=(begin - self._start_ns) / 1e9)
        # Tokens of the warm-up are none of the level's.
        self._ticked, self._counted, self._worked = begin, self._sender.chunks, cpu
        self._emit(self._begins)
        with LagProbe() as probe:
            self._probe = probe
            succeeded = await send
            end, cpu = time.perf_counter_ns(), time.process_time_ns() - cpu
        self._probe = None
        gc.enable()
        await self._count_tokens()
        self._ended = PointEnds(
            begins.point,
            (end - self._start_ns) / 1e9,
            probe.late_s(0.99),
            cpu / max(end - begin, 1),
            self._notes(begins.level),
            partial=succeeded is None,
            loop_lag_p90_s=probe.late_s(0.9),
        )
        self._emit(self._ended)
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

    def _with_questions(self, times: list[float]) -> list[Prompt]:
        """Return the level's prompts with questions among them; of an open loop each leaves with the next request."""
        prompts = list(self._texts)
        answer_tokens = max(LONGEST_ANSWER, self._workload.answer_tokens)
        for place, question in reversed(self._questions.among(len(prompts))):
            prompts.insert(place, Prompt(question.question, exact=True, question=question, answer_tokens=answer_tokens))
            if times:
                times.insert(place, times[place])
        return prompts

    def _times(self, level: Level, requests: int, seed: int) -> list[float]:
        if self._prompts.recording is not None:
            return [one.at_s for one in self._prompts.recording.arrivals]
        return arrival_times(self._workload.arrivals, level.rate or 1.0, requests, seed)

    async def _open(self, point: int, prompts: list[Prompt], times: list[float]) -> int:
        begin = time.perf_counter_ns()
        tasks: list[asyncio.Task[int]] = []
        self._outrun = Outrun(begin)
        for prompt, at_s in zip(prompts, times, strict=True):
            due = begin + round(at_s * 1e9)
            await asyncio.sleep(max((due - time.perf_counter_ns()) / 1e9, 0.0))
            tasks.append(asyncio.create_task(self._one(point, prompt, due)))
            if self._workload.find_knee and self._outrun.hopeless(times, len(tasks), time.perf_counter_ns()):
                self._sender.give_up("the queue only grew")
                break
        return sum(await asyncio.gather(*tasks))

    async def _one(self, point: int, prompt: Prompt, scheduled_ns: int) -> int:
        completion, first_text = await self._sender.send_timed(
            point,
            prompt.text,
            scheduled_ns,
            answer_tokens=prompt.answer_tokens,
            checked=prompt.question is not None,
        )
        if prompt.question is not None:
            completion = judged(completion, prompt.question)
            self._answers.append((prompt.text, completion))
        if self._wish.streams is None and not self._workload.until_stopped:
            self._completions.append(completion)
            self._first_texts.append(first_text)
            self._outrun.ended(scheduled_ns, time.perf_counter_ns())
        else:  # without an end there is no better time
            completion = await self._sender.counted(completion, first_text)
        self._emit(Finished(completion))
        return int(completion.error is None)

    async def _count_tokens(self) -> None:
        """Count what the server's usage did not tell: after the last answer, or counting would delay the requests that follow."""
        for first in range(0, len(self._completions), _COUNTERS):
            last = first + _COUNTERS
            before = self._completions[first:last]
            texts = self._first_texts[first:last]
            after = await asyncio.gather(*map(self._sender.counted, before, texts))
            for index, (old, new) in enumerate(zip(before, after, strict=True), start=first):
                if new is not old:
                    self._completions[index] = new
                    self._emit(Recounted(index, new))

    async def _prepare(self, level: Level, requests: int) -> list[Prompt]:
        """Write the prompts of a level, send what is discarded, and open its connections."""
        prompts, discarded = await self._prompts.write(level, requests)
        streams = level.streams or 1
        tokens = min(self._workload.answer_tokens, WARMUP_TOKENS)
        for first in range(0, len(discarded), streams):
            batch = discarded[first : first + streams]
            now = time.perf_counter_ns()
            await asyncio.gather(*(self._sender.send(-1, one.text, now, answer_tokens=tokens) for one in batch))
        await self._session.open_connections(streams)
        return prompts

    def _notes(self, level: Level) -> tuple[str, ...]:
        """Return what a reader of the level must know of how it was sent, one sentence each."""
        inexact = sum(not prompt.exact for prompt in self._texts)
        notes = [*self._early_notes, *self._sender.notes]
        if inexact and self._sender.counts_tokens:
            wanted = "as long as recorded" if self._prompts.recording else f"{level.prompt_tokens:,} tokens"
            notes.append(f"{inexact} of {len(self._texts)} prompts could not be made exactly {wanted}.")
        label = label_of(level, self._workload)
        ignored = ignored_wishes(self._completions, self._workload, label)
        return (*notes, *wrong_answers(self._answers, label), *ignored)
