"""Follows one streamed answer: the time of each token, the text, the end.

Sans-IO: takes the bytes of each socket read and the clock of that read, taken before anything
was parsed. docs/measuring.md has the definitions.
"""

from __future__ import annotations

from seatrial.json_text import JsonError
from seatrial.measure.chunks import DONE, Chunk, Usage, decode_chunk, error_message
from seatrial.measure.sse import EventReader, OversizedEventError

_MAX_TEXT = 1 << 20  # characters of an answer that are stored


class StreamError(Exception):
    """A broken stream; ``kind`` is the short name under which failures are counted."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Answer:
    """An answer as it arrives; all clocks are nanoseconds."""

    __slots__ = ("_events", "_texts", "_texts_size", "cached_tokens", "finished", "first_answer",
                 "first_chunk_tokens", "first_text", "stamps", "usage")  # fmt: skip

    def __init__(self) -> None:
        self._events = EventReader()
        self._texts: list[str] = []
        self._texts_size = 0
        self.stamps: list[int] = []  # clock of each chunk that carried tokens
        self.first_answer: int | None = None  # clock of the first token that is not reasoning
        self.first_chunk_tokens: int | None = None  # None unless the server counts them
        self.first_text = ""  # of the first chunk
        self.usage: Usage | None = None  # the server's last token counts
        self.cached_tokens: int | None = None  # prompt tokens in the prefix cache; None if unknown
        self.finished = False  # a finish reason or [DONE] came

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
        return len(self.stamps) - before

    def close(self, stamp: int) -> None:
        """End the stream; raise StreamError if the answer is not complete or brought no token."""
        for event in self._events.close():
            self._take(stamp, event)
        if not self.finished:
            raise StreamError("incomplete", f"the stream ended after {len(self.stamps)} chunks without a finish reason")
        if not self.stamps:
            raise StreamError("empty", "the stream ended without one token")

    def _take(self, stamp: int, event: bytes) -> None:
        if event == DONE:
            self.finished = True
            return
        try:
            chunk = decode_chunk(event)
        except JsonError as error:
            raise StreamError("malformed", f"an event is not a completion chunk: it {error}") from error
        message = error_message(chunk)
        if message is not None:
            raise StreamError("stream_error", message)
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
        if choice.finish_reason is not None:
            self.finished = True
        delta = choice.delta
        if delta is None:
            answer, thought, called = choice.text, None, None
        else:
            answer, thought, called = delta.content, delta.reasoning_content or delta.reasoning, delta.tool_calls
        if not (answer or thought or called):
            return
        if not self.stamps:
            self.first_text = f"{thought or ''}{answer or ''}"
            if chunk.usage is not None and chunk.usage.completion_tokens:
                self.first_chunk_tokens = chunk.usage.completion_tokens
        self.stamps.append(stamp)
        if self.first_answer is None and (answer or called):
            self.first_answer = stamp
        for text in (thought, answer):
            if text and self._texts_size < _MAX_TEXT:
                self._texts.append(text)
                self._texts_size += len(text)
