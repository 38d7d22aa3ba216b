"""Follows one streamed answer: the time of each token, the text, the end.

Sans-IO: takes the bytes of each socket read and the clock of that read, taken before anything
was parsed. docs/measuring.md has the definitions.
"""

from __future__ import annotations

import contextlib
from collections import deque

from seatrial.json_text import JsonError
from seatrial.measure.stream.chunks import Chunk, Delta, Usage, decode_chunk, error_message, is_done
from seatrial.measure.stream.odd_chunk import OddChunkError, read_odd_chunk
from seatrial.measure.stream.sse import EventReader, OversizedEventError

_MAX_TEXT = 1 << 20  # characters of an answer that are stored
_COUNTING_EVENTS = 3
_NO_REASONS = frozenset(("", "null", "none"))  # finish reasons of an answer that goes on
_FAILED = frozenset(("abort", "error"))  # finish reasons of vLLM and SGLang for an answer they gave up
# An answer is given up some way above the tokens that were asked for: a quarter more, and a little.
_SPARE_TOKENS = 32
_LONGEST_TOKEN = 32  # characters, on average over an answer
_SHORTEST_TOKEN = 4  # likewise, of an answer that comes letter by letter
_MOST_BYTES = 1 << 16  # a token's share of a stream, empty chunks and signs of life included


class StreamError(Exception):
    """A broken stream; ``kind`` is the short name under which failures are counted."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class MalformedError(StreamError):
    """An event that is no completion chunk."""


class Answer:
    """An answer as it arrives; all clocks are nanoseconds."""

    __slots__ = ("_asked", "_bytes", "_enough", "_events", "_reasons_end", "_texts", "_texts_size", "cached_tokens",
                 "counting_events", "done",
                 "finished", "first_answer", "first_chunk_tokens", "first_text", "stamps", "usage")  # fmt: skip

    def __init__(self, asked: int = 1 << 30) -> None:
        self._asked = asked  # most tokens of the answer
        self._enough = asked + asked // 4 + _SPARE_TOKENS
        self._bytes = 0  # that came
        self._events = EventReader()
        self._reasons_end = True  # a finish reason ends the answer; some servers send one in each chunk
        self._texts: list[str] = []
        self._texts_size = 0  # characters that came
        self.stamps: list[int] = []  # clock of each chunk that carried tokens
        self.first_answer: int | None = None  # clock of the first token that is not reasoning
        self.first_chunk_tokens: int | None = None  # None unless the server counts them
        self.first_text = ""  # of the first chunk
        self.usage: Usage | None = None  # the server's last token counts
        self.counting_events: deque[bytes] = deque(maxlen=_COUNTING_EVENTS)  # the last ones that may hold other counts
        self.cached_tokens: int | None = None  # prompt tokens in the prefix cache; None if unknown
        self.finished = False  # a finish reason or [DONE] came
        self.done = False  # [DONE] came

    @property
    def text(self) -> str:
        """Text so far, reasoning included."""
        return "".join(self._texts)

    @property
    def pending(self) -> bool:
        """True if an event has begun and is not complete."""
        return self._events.pending

    def feed(self, stamp: int, piece: bytes) -> int:
        """Take one socket read made at ``stamp``; return its chunks that carried tokens, or raise StreamError."""
        try:
            events = self._events.feed(piece)
        except OversizedEventError as error:
            raise StreamError("oversized", str(error)) from error
        before = len(self.stamps)
        for event in events:
            self._take(stamp, event)
        self._bytes += len(piece)
        if self._bytes > _MOST_BYTES * self._enough:
            raise self._overlong()
        return len(self.stamps) - before

    def close(self, stamp: int) -> None:
        """End the stream; raise StreamError if the answer is not complete or brought no token."""
        for event in self._events.close():
            with contextlib.suppress(MalformedError):  # the stream was cut within its last event
                self._take(stamp, event)
        if not self.finished:
            raise StreamError("incomplete", f"the stream ended after {len(self.stamps)} chunks without a finish reason")
        if not self.stamps:
            raise StreamError("empty", "the stream ended without one token")

    def _take(self, stamp: int, event: bytes) -> None:
        if self.done:
            return
        if is_done(event):
            self.done = self.finished = True
            return
        try:
            chunk = decode_chunk(event)
        except JsonError:
            chunk = _read_odd(event)
        message = error_message(chunk)
        if message is not None:
            raise StreamError("stream_error", message)
        if chunk.usage is not None or chunk.timings is not None or (chunk.choices and chunk.choices[0].finish_reason):
            self.counting_events.append(event)
        if chunk.usage is not None:
            self._note_usage(chunk.usage)
        if chunk.timings is not None and chunk.timings.cache_n is not None and self.cached_tokens is None:
            self.cached_tokens = chunk.timings.cache_n
        if chunk.choices:
            self._note_choice(stamp, chunk)

    def _note_usage(self, usage: Usage) -> None:
        # Some servers end with an empty usage object: it must not replace the earlier one.
        if usage.completion_tokens is None and self.usage is not None:
            return
        self.usage = usage
        if usage.prompt_tokens_details is not None and usage.prompt_tokens_details.cached_tokens is not None:
            self.cached_tokens = usage.prompt_tokens_details.cached_tokens

    def _note_choice(self, stamp: int, chunk: Chunk) -> None:
        choice = chunk.choices[0]
        delta = choice.delta or Delta(content=choice.text)
        thought = delta.reasoning_content or delta.reasoning
        if delta.content or thought or delta.tool_calls:
            if not self.stamps:
                self.first_text = f"{thought or ''}{delta.content or ''}"
                if chunk.usage is not None and chunk.usage.completion_tokens:
                    self.first_chunk_tokens = chunk.usage.completion_tokens
            self._note_tokens(stamp, thought, delta)
        reason = choice.finish_reason
        if reason is None or reason.strip().lower() in _NO_REASONS:
            return
        if reason in _FAILED:
            raise StreamError("stream_error", f"the server gave the answer up: its finish reason is {reason!r}")
        self.finished = self._reasons_end

    def _note_tokens(self, stamp: int, thought: str | None, delta: Delta) -> None:
        if self.finished:  # text after a finish reason: of this server only [DONE] is an end
            self.finished = self._reasons_end = False
        self.stamps.append(stamp)
        if self.first_answer is None and (delta.content or delta.tool_calls):
            self.first_answer = stamp
        for text in (thought, delta.content):
            if text:
                if self._texts_size < _MAX_TEXT:
                    self._texts.append(text)
                self._texts_size += len(text)
        if len(self.stamps) > self._enough or self._texts_size > _LONGEST_TOKEN * self._enough:
            self._check_length()

    def _check_length(self) -> None:
        """Raise StreamError if the answer has more tokens than were asked for, however they are cut into chunks."""
        chunks, letters = len(self.stamps), self._texts_size
        # A gateway may cut an answer into letters; a call of a tool has no text.
        if letters <= _SHORTEST_TOKEN * self._enough and chunks <= 2 * _SHORTEST_TOKEN * self._enough:
            return
        raise self._overlong()

    def _overlong(self) -> StreamError:
        came = f"{len(self.stamps):,} chunks with {self._texts_size:,} characters came, and no end"
        return StreamError("overlong", f"{self._asked:,} tokens were asked for, {came}")


def _read_odd(event: bytes) -> Chunk:
    try:
        return read_odd_chunk(event)
    except OddChunkError as error:
        raise MalformedError("malformed", f"an event is not a completion chunk: {error}") from error
