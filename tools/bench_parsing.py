"""Measure what reading an event of a stream costs, beside the bare decoding of the same bytes in the same run.

Each event is a chunk as one engine sends it: a word, and the fields that this engine writes beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from bench_servers import Figure
from seatrial.measure.stream.answer import Answer

EVENTS = 2_000  # of one answer
REPEATS = 40  # of which the fastest counts: others on the machine only add
IN_A_READ = 8
CHUNKS = {
    "SGLang": b'{"id":"6f2cf5d2a5c94b0db9d4d9a0c1c1c6b2","object":"chat.completion.chunk","created":1764500000,'
    b'"model":"deepseek-ai/DeepSeek-V4-Flash","choices":[{"index":0,"delta":{"role":null,"content":" word",'
    b'"reasoning_content":null,"tool_calls":null},"logprobs":null,"finish_reason":null,"matched_stop":null}],"usage":null}',
    "vLLM": b'{"id":"chatcmpl-6f2cf5d2a5c94b0db9d4d9a0c1c1c6b2","object":"chat.completion.chunk","created":1764500000,'
    b'"model":"deepseek-ai/DeepSeek-V4-Flash","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,'
    b'"finish_reason":null,"token_ids":null}]}',
    "llama.cpp": b'{"choices":[{"finish_reason":null,"index":0,"delta":{"content":" word"}}],"created":1764500000,'
    b'"id":"chatcmpl-kR9zN0mJpC1zqSx4QmNfVwz1c2Ykq0bB","model":"gguf","system_fingerprint":"b11549-035aa95b",'
    b'"object":"chat.completion.chunk"}',
}


def parsing() -> Iterator[Figure]:
    """Measure the processor time of an event of each engine, each in a read of its own and several in one."""
    for engine, chunk in CHUNKS.items():
        event = b"data: " + chunk + b"\n\n"
        bare, alone, together = fastest(
            partial(decode, chunk),
            partial(follow, event, EVENTS),
            partial(follow, event * IN_A_READ, EVENTS // IN_A_READ),
        )
        yield Figure(f"parsing an event of {engine}", alone * 1e6, "us", 2.5)
        yield Figure(f"parsing an event of {engine}, {IN_A_READ} in a read", together * 1e6, "us", 2.5)
        yield Figure(f"parsing an event of {engine}, against a bare decode", alone / bare, "x", 3.5)


def decode(chunk: bytes) -> None:
    """Decode a chunk as often as an answer has events, and do nothing with it."""
    for _ in range(EVENTS):
        msgspec.json.decode(chunk)


def follow(read: bytes, times: int) -> None:
    """Follow an answer that comes in so many equal reads."""
    answer = Answer(2 * EVENTS)
    for stamp in range(times):
        answer.feed(stamp, read)
    if len(answer.stamps) != EVENTS:
        raise RuntimeError(f"{len(answer.stamps):,} tokens were read of {EVENTS:,}.")


def fastest(*actions: Callable[[], object]) -> tuple[float, ...]:
    """Return the seconds of processor time for an event in each action's fastest run; the actions take turns."""
    runs = [[spent(action) / EVENTS for action in actions] for _ in range(REPEATS)]
    return tuple(min(times) for times in zip(*runs, strict=True))


def spent(action: Callable[[], object]) -> float:
    """Return the seconds of processor time that ``action`` takes."""
    begin = time.process_time()
    action()
    return time.process_time() - begin
