"""Sends requests and records the outcome of each."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from http import HTTPStatus
from itertools import pairwise
from typing import Any, cast

from seatrial.measure.client.request_fields import RequestFields
from seatrial.measure.client.session import CHAT, RequestError, Session
from seatrial.measure.stream.answer import StreamError
from seatrial.measure.stream.chunks import one_line
from seatrial.measure.stream.counts import believed_cached, believed_first, doubt_output, doubt_prompt
from seatrial.measure.stream.drafts import read_drafts
from seatrial.measure.stream.flight import Flight
from seatrial.measure.types import Completion
from seatrial.measure.workload import Workload

_MAX_RETRIES = 3
_MAX_WAIT_S = 5.0  # before a request is sent again, whatever the server asks for
_FIRST_WAIT_S = 0.5  # if it asks for nothing; doubled each time
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Sender:
    """Requests in flight to one server."""

    def __init__(self, session: Session, model: str, workload: Workload, start_ns: int) -> None:
        self.path = CHAT  # or PLAIN
        self.counts_tokens = False  # the server has a tokenizer
        self.chunks = 0  # with tokens, received so far by all streams
        self._session = session
        self.model = model
        self._fields = RequestFields(ignore_eos=workload.ignore_eos, reasoning=workload.reasoning, tools=workload.tools)
        self._workload = workload
        self._start_ns = start_ns  # zero of all times
        self._active: dict[Flight, asyncio.Task[Any]] = {}
        self._expired: dict[Flight, StreamError] = {}
        self._settled = [0, 0]  # tokens and chunks of the finished requests

    @property
    def active_streams(self) -> int:
        """Requests in flight."""
        return len(self._active)

    @property
    def notes(self) -> tuple[str, ...]:
        """What requests leave out because the server refused it."""
        return tuple(self._fields.notes)

    @property
    def tokens_per_chunk(self) -> float:
        """Tokens in a chunk of the finished requests, 1.0 before the first."""
        tokens, chunks = self._settled
        return tokens / chunks if chunks else 1.0

    async def send(
        self, point: int, prompt: str, scheduled_ns: int, *, answer_tokens: int | None = None, checked: bool = False
    ) -> Completion:
        """Send one request, follow it to its end and count its tokens; raise nothing, whatever the server does."""
        timed = self.send_timed(point, prompt, scheduled_ns, answer_tokens=answer_tokens, checked=checked)
        return await self.counted(*await timed)

    async def send_timed(
        self, point: int, prompt: str, scheduled_ns: int, *, answer_tokens: int | None = None, checked: bool = False
    ) -> tuple[Completion, str]:
        """Do as ``send`` without asking the server's tokenizer, which takes time; return the text of the first chunk, too."""
        asked = answer_tokens or self._workload.answer_tokens
        flight, retries = await self._until_answered(prompt, asked, checked=checked)
        answer, stamps = flight.answer, flight.answer.stamps
        doubts = (doubt_output(answer, asked), doubt_prompt(answer, prompt))
        tokens, source = self._tokens(flight, doubtful=bool(doubts[0]))
        drafts = read_drafts(reversed(answer.counting_events), tokens)
        prompt_tokens = answer.usage.prompt_tokens if answer.usage and not doubts[1] else None
        completion = Completion(
            point=point,
            scheduled_s=self._seconds(scheduled_ns),
            sent_s=self._seconds(flight.sent or flight.started),
            first_token_s=self._seconds(stamps[0]) if stamps else None,
            first_answer_s=None if answer.first_answer is None else self._seconds(answer.first_answer),
            last_token_s=self._seconds(stamps[-1]) if stamps else None,
            chunks=len(stamps),
            tokens=tokens,
            token_source=source,
            first_chunk_tokens=believed_first(answer, tokens),
            prompt_tokens=prompt_tokens,
            cached_tokens=believed_cached(answer, prompt_tokens),
            gaps_s=tuple((after - before) / 1e9 for before, after in pairwise(stamps)),
            error=str(flight.error) if flight.error is not None else None,
            text=answer.text,
            ended_s=self._seconds(flight.ended),
            retries=retries,
            reasons_first=answer.reasons_first,
            usage_doubt="; ".join(dict.fromkeys(filter(None, doubts))),
            stream_doubt=one_line(answer.odd),
            draft_steps=drafts and drafts.steps,
            drafted_tokens=drafts and drafts.drafted,
            accepted_tokens=drafts and drafts.accepted,
        )
        if flight.error is None:
            self._settled[0] += tokens
            self._settled[1] += len(stamps)
        return completion, answer.first_text

    async def counted(self, completion: Completion, first_text: str) -> Completion:
        """Return the request with the tokens that the server's tokenizer counts if its usage does not tell them.

        Nothing is asked after a failure: the server may hang. A tokenizer that fails leaves what is known.
        """
        if completion.error is not None or not self.counts_tokens:
            return completion
        try:
            if completion.token_source == "chunks" and completion.text:  # noqa: S105 -- of a model
                tokens = await self._session.count_tokens(self.model, completion.text)
                self._settled[0] += tokens - completion.tokens
                completion = replace(completion, tokens=tokens, token_source="tokenize")  # noqa: S106
            if completion.first_chunk_tokens is None and completion.tokens > completion.chunks:
                first = await self._session.count_tokens(self.model, first_text)
                completion = replace(completion, first_chunk_tokens=first)
        except RequestError as error:
            self.counts_tokens = error.kind != "timeout"  # it takes half a minute each
        return completion

    def expire(self) -> None:
        """Break off every request past a deadline."""
        now = time.perf_counter_ns()
        for flight, task in list(self._active.items()):
            if flight in self._expired or flight.answer.finished:
                continue
            if now - flight.started > self._workload.request_timeout_s * 1e9:
                limit = f"not complete within {self._workload.request_timeout_s:g} s"
                self._expired[flight] = StreamError("timeout", limit)
            elif flight.progress and now - flight.progress > self._workload.token_timeout_s * 1e9:
                silence = f"no token for {self._workload.token_timeout_s:g} s after {len(flight.answer.stamps)} chunks"
                self._expired[flight] = StreamError("token_timeout", silence)
            else:
                continue
            task.cancel()

    def give_up(self, why: str) -> None:
        """Break off all requests in flight."""
        for flight, task in list(self._active.items()):
            if flight not in self._expired and not flight.answer.finished:
                self._expired[flight] = StreamError("given_up", why)
                task.cancel()

    async def _until_answered(self, prompt: str, asked: int, *, checked: bool) -> tuple[Flight, int]:
        """Send a request until it is answered or has failed; return its last attempt, and how often it was turned away."""
        retries = 0
        while True:
            path = self.path
            text = {"messages": [{"role": "user", "content": prompt}]} if path == CHAT else {"prompt": prompt}
            flight = await self._attempt(path, self._fields.body(self.model, text, asked, checked=checked), asked)
            if flight.error is None:
                self._fields.accepted()
                return flight, retries
            if (wait := _wait_s(flight.error, retries)) is not None:
                await asyncio.sleep(wait)
                retries += 1
            elif not self._fields.give_way(path, flight.error):
                return flight, retries

    async def _attempt(self, path: str, body: dict[str, Any], asked: int) -> Flight:
        flight = Flight(self._count_chunks, asked)
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._active[flight] = task
        try:
            await self._session.stream(path, body, flight)
        except StreamError as error:
            flight.error = error
        except asyncio.CancelledError:
            if flight not in self._expired:
                raise
            task.uncancel()
            flight.error = self._expired[flight]
        finally:
            flight.ended = flight.ended or time.perf_counter_ns()
            del self._active[flight]
            self._expired.pop(flight, None)
        return flight

    def _tokens(self, flight: Flight, *, doubtful: bool) -> tuple[int, str]:
        usage = flight.answer.usage
        if usage is not None and usage.completion_tokens is not None and not doubtful:
            return usage.completion_tokens, "usage"
        return len(flight.answer.stamps), "chunks"

    def _count_chunks(self, chunks: int) -> None:
        self.chunks += chunks

    def _seconds(self, clock_ns: int) -> float:
        return (clock_ns - self._start_ns) / 1e9


def _wait_s(error: StreamError | None, retries: int) -> float | None:
    """Return the seconds to wait before another attempt, None if there is none."""
    if not isinstance(error, RequestError) or error.status not in _BUSY or retries >= _MAX_RETRIES:
        return None
    wanted = _FIRST_WAIT_S * 2**retries if error.retry_after_s is None else error.retry_after_s
    return min(wanted, _MAX_WAIT_S)
