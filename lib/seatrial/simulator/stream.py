"""Sends one simulated stream: each token when it is due, events in every form, and mid-stream faults."""

from __future__ import annotations

import asyncio
import math
import os
import time
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from seatrial.simulator import Settings
from seatrial.simulator.counts import Counts
from seatrial.simulator.text import word

_LONG_LINE_BYTES = 10_000_000
_FOREVER_S = 3600.0
_UTF8_LEAD = 0xC0  # first byte of a character of several bytes, at least
encode = msgspec.json.encode


@dataclass(slots=True, kw_only=True)
class Stream:
    """The answer to one request."""

    settings: Settings
    is_chat: bool
    tokens: int
    prompt_tokens: int
    cached_tokens: int
    usage: str
    faults: frozenset[str]
    started: float
    ttft_s: float
    counts: Counts

    @property
    def tpot_s(self) -> float:
        """Seconds between tokens, which grow with the streams that run now."""
        return self.settings.tpot_s + self.settings.tpot_per_stream_s * (self.counts.running - 1)

    def usage_after(self, tokens: int) -> dict[str, Any]:
        """Return the usage object once ``tokens`` tokens were sent."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": self.prompt_tokens + tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }

    def event(self, payload: dict[str, Any]) -> bytes:
        """Return one server-sent event, in the form that the faults demand."""
        head = b"data:" if "no_space" in self.faults else b"data: "
        end = b"\r\n\r\n" if "crlf" in self.faults else b"\n\n"
        note = b": keepalive" + end if "keepalive" in self.faults else b""
        return note + head + encode(payload) + end

    def chunk(self, choices: list[dict[str, Any]], sent: int | None = None) -> bytes:
        """Return one completion chunk, with usage if ``sent`` is given."""
        payload: dict[str, Any] = {
            "id": "simulated",
            "object": "chat.completion.chunk" if self.is_chat else "text_completion",
            "created": 0,
            "model": self.settings.model,
            "system_fingerprint": "simulated",
            "choices": choices,
        }
        if sent is not None:
            payload["usage"] = self.usage_after(sent)
        return self.event(payload)

    def tokens_chunk(self, first: int, count: int) -> bytes:
        """Return ``count`` tokens from number ``first`` on in one event."""
        text = "".join(map(word, range(first, first + count)))
        reasons = first < self.settings.reasoning_tokens
        if self.is_chat:
            choice: dict[str, Any] = {"delta": {self.settings.reasoning_field if reasons else "content": text}}
        else:
            choice = {"text": text}
        sent = first + count if self.usage == "each" else None
        return self.chunk([{"index": 0, **choice, "finish_reason": None}], sent)


async def write_stream(stream: Stream, request: web.Request, response: web.StreamResponse) -> None:
    """Send all of the stream, each chunk at its due time counted from the start, so that nothing drifts."""
    if "early_role" in stream.faults:
        await _write_role(stream, response)
    await _until(stream.started + stream.ttft_s)
    if "early_role" not in stream.faults:
        await _write_role(stream, response)
    due = stream.started + stream.ttft_s
    sent = 0
    while sent < stream.tokens:
        if sent >= stream.settings.fault_after and await _go_wrong(stream, request, response):
            return
        count = _next_count(stream, sent)
        # An event is due with its last token; the first one is due at the TTFT.
        due += count * stream.tpot_s if sent else 0.0
        await _until(due)
        await _write(stream, response, stream.tokens_chunk(sent, count))
        sent += count
        stream.counts.generated_tokens += count
    await _finish(stream, response, sent)


def _next_count(stream: Stream, sent: int) -> int:
    # Reasoning and answer never share a chunk.
    border = stream.settings.reasoning_tokens
    end = border if sent < border else stream.tokens
    return min(stream.settings.tokens_per_chunk, end - sent, stream.tokens - sent)


async def _write_role(stream: Stream, response: web.StreamResponse) -> None:
    if stream.is_chat:
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        await _write(stream, response, stream.chunk([choice]))


async def _finish(stream: Stream, response: web.StreamResponse, sent: int) -> None:
    last: dict[str, Any] = {"delta": {}} if stream.is_chat else {"text": ""}
    await _write(stream, response, stream.chunk([{"index": 0, **last, "finish_reason": "length"}]))
    if stream.usage == "last":
        await _write(stream, response, stream.chunk([], sent))
    if "no_done" not in stream.faults:
        await response.write(b"data: [DONE]\n\n")


async def _go_wrong(stream: Stream, request: web.Request, response: web.StreamResponse) -> bool:
    """Inject the mid-stream fault, once, and return True if it ends the stream."""
    faults, stream.faults = stream.faults, stream.faults - {"garbled", "bad_utf8", "long_line"}
    if "error_event" in faults:
        error = {"message": "the simulated engine failed", "type": "InternalServerError", "code": 500}
        await response.write(stream.event({"error": error}) + b"data: [DONE]\n\n")
    elif "garbled" in faults:
        await response.write(b'data: {"choices":[{"del\n\n')
    elif "bad_utf8" in faults:
        await response.write(b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n')
    elif "long_line" in faults:
        await response.write(b"data: " + b"x" * _LONG_LINE_BYTES)
    elif "cut" in faults and request.transport is not None:
        request.transport.abort()
    elif "die" in faults:
        os._exit(1)
    elif "freeze" in faults:
        await asyncio.sleep(_FOREVER_S)
    elif "drip" in faults:
        for byte in stream.tokens_chunk(0, stream.tokens):
            await response.write(bytes((byte,)))
            await asyncio.sleep(1)
    return bool(faults & {"error_event", "cut", "eof", "freeze", "drip"})


async def _write(stream: Stream, response: web.StreamResponse, data: bytes) -> None:
    if "split" not in stream.faults:
        await response.write(data)
        return
    # Cut inside the first character of several bytes if there is one, else in the middle.
    wide = next((at for at, byte in enumerate(data) if byte >= _UTF8_LEAD), len(data) // 2)
    for piece in (data[: wide + 1], data[wide + 1 :]):
        await response.write(piece)
        await asyncio.sleep(0)


async def _until(due: float) -> None:
    # Event loops count in milliseconds and may wake early by one: never send before the time.
    while (left := due - time.monotonic()) > 0:  # noqa: ASYNC110 -- a clock cannot be awaited
        await asyncio.sleep(math.ceil(left * 1000) / 1000)
