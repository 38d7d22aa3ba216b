"""Simulates an engine: known TTFT and TPOT, and every fault on demand.

It serves teaching and tests, and is the known truth the measuring client is checked against. Its answers are labelled as
simulated, and so is everything the kit shows of them. Start it with
``python -m seatrial.simulator --port=8000 --model=NAME --ttft-s=0.05 --tpot-s=0.01``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FAULTS = {
    "http_400": "400 in SGLang's shape",
    "http_500": "500 in OpenAI's shape",
    "http_503": "503 with Retry-After",
    "http_429": "429 with Retry-After",
    "redirect": "302 to another path",
    "not_a_stream": "200 with an HTML page",
    "empty": "200 stream without one token",
    "error_event": "an error event in the middle of a 200 stream",
    "garbled": "an event that is not JSON in the middle of a stream",
    "bad_utf8": "bytes that are not UTF-8 in the middle of a stream",
    "cut": "the connection is reset in the middle of a stream",
    "eof": "the stream ends early, without finish_reason and [DONE]",
    "die": "the process exits in the middle of a stream",
    "freeze": "the stream falls silent",
    "drip": "the rest arrives one byte a second",
    "long_line": "a line of 10 MB",
    "no_done": "no [DONE]",
    "crlf": "lines end in CRLF",
    "no_space": "no space after data:",
    "keepalive": "comment lines between events",
    "split": "each event arrives in pieces, cut inside characters",
    "early_role": "the role-only chunk is sent at once, long before the first token",
}
"""Name of each fault or oddity, and its effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Behaviour of the simulated engine."""

    model: str = "simulated"  # the one model id it lists and serves
    ttft_s: float = 0.05  # from request to first token
    tpot_s: float = 0.01  # between later tokens
    tpot_per_stream_s: float = 0.0  # added to ``tpot_s`` for each further stream that runs
    slots: int | None = None  # streams at once, further requests wait in line; None: no limit
    kv_tokens: int = 65_536  # that fit the KV cache whose use ``/metrics`` shows; nothing is refused when it is full
    tokens_per_chunk: int = 1  # in each event
    reasoning_tokens: int = 0  # sent as reasoning before the answer
    reasoning_field: Literal["reasoning_content", "reasoning"] = "reasoning_content"
    answer_tokens: int | None = None  # after which the model stops by itself; None: at the requested length
    usage: Literal["last", "each", "none"] = "last"  # last: if asked for; each: with every chunk
    tokenizer: bool = True  # False: no ``/tokenize``
    chat: bool = True  # False: no ``/v1/chat/completions``
    faults: tuple[str, ...] = ()  # names from ``FAULTS``
    fault_after: int = 3  # tokens sent before a mid-stream fault
    fault_skip: int = 0  # completion requests served well first
    fault_times: int | None = None  # completion requests that meet the faults; None: all after ``fault_skip``
    retry_after_s: float = 0.05  # in answers with status 429 and 503
    ready_after_s: float = 0.0  # until then ``/health`` answers 503
    api_key: str | None = None  # needed everywhere but on ``/health``; None: no key needed


__all__ = ["FAULTS", "Settings"]
