"""Follows one streamed answer: the time of each token, the text, the end.

Sans-IO: takes the bytes of each socket read and the clock of that read, taken before anything
was parsed. docs/measuring.md has the definitions.
"""

from __future__ import annotations

import contextlib
from collections import deque

import msgspec

from seatrial.measure.stream.choices import OneChoice
from seatrial.measure.stream.chunks import NOT_PLAIN, decode_chunk, one_line
from seatrial.measure.stream.documents import is_done
from seatrial.measure.stream.odd_chunk import OddChunkError, Piece, read_odd_chunk
from seatrial.measure.stream.sse import EventReader, OversizedEventError
from seatrial.measure.stream.usage import Usage

_MAX_TEXT = 1 << 20  # characters of an answer that are stored
_LARGEST_STEP = 8  # tokens of one event, of a server with a drafter
_COUNTING_EVENTS = 3
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

    __slots__ = ("_asked", "_bytes", "_choice", "_enough", "_events", "_most_bytes", "_most_text", "_reasons_end", "_texts",
                 "_texts_size", "_unread", "counting_events", "done", "finished", "first_answer", "first_chunk_tokens",
                 "first_text", "odd", "reasons_first", "stamps", "usage", "usage_grew", "usage_most", "usage_sum")  # fmt: skip

    def __init__(self, asked: int = 1 << 30) -> None:
        self._asked = asked  # most tokens of the answer
        self._enough = asked + asked // 4 + _SPARE_TOKENS
        self._most_text = _LONGEST_TOKEN * self._enough
        self._most_bytes = _MOST_BYTES * self._enough
        self._bytes = 0  # that came
        self._events = EventReader()
        self._choice = OneChoice()
        self._reasons_end = True  # a finish reason ends the answer; some servers send one in each chunk
        self._texts: list[str] = []
        self._texts_size = 0  # characters that came
        self._unread = ""  # the first event that says nothing of an answer
        self.stamps: list[int] = []  # clock of each chunk that carried tokens
        self.first_answer: int | None = None  # clock of the first token that is not reasoning
        self.first_chunk_tokens: int | None = None  # None unless the server counts them
        self.first_text = ""  # of the first chunk
        self.reasons_first = False  # that chunk has reasoning
        self.usage: Usage | None = None  # the server's last token counts
        self.counting_events: deque[bytes] = deque(maxlen=_COUNTING_EVENTS)  # the last ones that may hold other counts
        self.usage_most = 0  # output tokens that a usage counted, at most ...
        self.usage_sum = 0  # ... and together, of those beside a chunk with tokens
        self.usage_grew = True  # each beside a chunk counted more than those before
        self.odd = ""  # what was left out or guessed, the first that was; empty if the stream is plain to read
        self.finished = False  # a finish reason or [DONE] came
        self.done = False  # [DONE] came

    @property
    def text(self) -> str:
        """Text so far: reasoning, and calls of tools, included."""
        return whole_text("".join(self._texts))

    @property
    def cached_tokens(self) -> int | None:
        """Prompt tokens in the prefix cache, None if unknown."""
        return None if self.usage is None else self.usage.cached_tokens

    @property
    def pending(self) -> bool:
        """True if an event has begun and is not complete."""
        return self._events.pending

    def feed(self, stamp: int, piece: bytes) -> int:
        """Take one socket read made at ``stamp``; return its chunks that carried tokens, or raise StreamError."""
        before, broken = len(self.stamps), None
        try:
            events = self._events.feed(piece)
        except OversizedEventError as error:
            events, broken = error.events, error
        for event in events:
            self._take(stamp, event)
            if self.done:
                return max(len(self.stamps) - before, 0)
        if broken is not None:
            raise StreamError("oversized", str(broken)) from broken
        if self._events.begun:
            self._take_early(stamp)
        self._bytes += len(piece)
        if self._bytes > self._most_bytes:
            raise self._overlong()
        came = len(self.stamps) - before
        return came if came > 0 else 0  # noqa: FURB136 -- faster; fewer if it turns out that several answers come

    def close(self, stamp: int) -> None:
        """End the stream; raise StreamError if the answer is not complete or brought no token."""
        for event in () if self.done else self._events.close():
            with contextlib.suppress(MalformedError):  # the stream was cut within its last event
                self._take(stamp, event)
        said = self._events.stray.decode("utf-8", "replace") or self._unread
        said = f"; between its events it said: {one_line(said)}" if said else ""
        if not self.finished:
            came = f"the stream ended after {len(self.stamps)} chunks without a finish reason"
            raise StreamError("incomplete", f"{came}{said}")
        if not self.stamps:
            raise StreamError("empty", f"the stream ended without one token{said}")
        if len(self.stamps) == 1 and ((self.usage and self.usage.completion_tokens) or 0) > _LARGEST_STEP:
            self.odd = self.odd or "the whole answer came in one event"

    def _take(self, stamp: int, event: bytes) -> None:
        try:
            chunk = decode_chunk(event)
        except NOT_PLAIN:
            self._take_odd(stamp, event)
            return
        choice = chunk.choices[0]
        delta = choice.delta
        answer = delta.content or choice.text or None
        thought = delta.reasoning_content or delta.reasoning
        if delta.tool_calls:
            called = [f"{call.function.name or ''}{call.function.arguments or ''}" for call in delta.tool_calls]
            answer = f"{answer or ''}{''.join(called)}" or None
        if not (answer or thought) or not self._choice.is_first:
            self._take_odd(stamp, event)
            return
        if chunk.usage is not None:
            self._note_usage(chunk.usage.read(), beside=True)
        self._note_tokens(stamp, thought, answer)

    def _take_odd(self, stamp: int, event: bytes) -> None:
        if is_done(event):
            self.done = self.finished = True
            return
        self.counting_events.append(event)
        try:
            pieces = read_odd_chunk(event)
        except OddChunkError as error:
            if not self.finished:
                raise MalformedError("malformed", f"an event is not a completion chunk: {error}") from error
            self.odd = self.odd or f"after the finish reason came an event that is no chunk: {error}"
            return
        if len({piece.index for piece in pieces if piece.carries}) > 1:
            self._choice.settle(len(self.stamps))
        for piece in pieces:
            self._note(stamp, piece)

    def _take_early(self, stamp: int) -> None:
        """Take an event whose blank line has not come: if its data are whole, that may never come."""
        waiting = self._events.waiting
        try:
            whole = is_done(waiting) or isinstance(msgspec.json.decode(waiting), dict)
        except NOT_PLAIN:
            return
        if whole:
            for event in self._events.complete():
                self._take(stamp, event)

    def _note(self, stamp: int, piece: Piece) -> None:
        if piece.error is not None:
            raise StreamError("stream_error", piece.error)
        if piece.usage is not None:
            self._note_usage(piece.usage, beside=piece.carries)
        if piece.timings is not None:
            self.usage = piece.timings if self.usage is None else self.usage.over(piece.timings)
        if not (piece.carries or piece.reason or piece.usage or piece.done):
            self._unread = self._unread or piece.odd
        elif piece.carries and not self._is_repeat(piece) and self._is_ours(piece):
            self.odd = self.odd or piece.odd
            self._note_tokens(stamp, piece.thought, piece.answer)
        if piece.reason is not None and self._choice.counts(piece.index):
            if piece.reason.lower() in _FAILED:
                raise StreamError(
                    "stream_error", f"the server gave the answer up: its finish reason is {piece.reason!r}"
                )
            self.finished = self._reasons_end
        if piece.done:
            self.done = self.finished = True

    def _is_ours(self, piece: Piece) -> bool:
        own = self._choice.take(piece.index, len(self.stamps))
        if own < len(self.stamps):
            del self.stamps[own:], self._texts[own:]
            self._texts_size = sum(map(len, self._texts))
        if self._choice.several:
            self.odd = self.odd or "tokens of several choices came although one answer was asked for; the first counts"
        return self._choice.counts(piece.index)

    def _is_repeat(self, piece: Piece) -> bool:
        """Return True for a last chunk that holds the whole answer again."""
        text = f"{piece.thought or ''}{piece.answer or ''}"
        if not (piece.reason or piece.done) or len(self.stamps) < 2 or len(text) != self._texts_size:  # noqa: PLR2004 -- one chunk may be all
            return False
        return whole_text(text) == self.text

    def _note_usage(self, usage: Usage, *, beside: bool) -> None:
        counted = usage.completion_tokens
        if counted is not None:
            if beside:
                self.usage_sum += counted
                self.usage_grew = self.usage_grew and counted > self.usage_most
                if not self.stamps and counted:
                    self.first_chunk_tokens = counted
            self.usage_most = max(self.usage_most, counted)
        self.usage = usage.over(self.usage)  # some servers end with an empty usage object

    def _note_tokens(self, stamp: int, thought: str | None, answer: str | None) -> None:
        if not self.stamps:
            self.first_text = whole_text(f"{thought or ''}{answer or ''}")
            self.reasons_first = bool(thought)
        if self.finished:  # text after a finish reason: of this server only [DONE] is an end
            self.finished = self._reasons_end = False
        self.stamps.append(stamp)
        if self.first_answer is None and answer is not None:
            self.first_answer = stamp
        text = answer if thought is None else thought if answer is None else thought + answer
        if text:
            if self._texts_size < _MAX_TEXT:
                self._texts.append(text)
            self._texts_size += len(text)
        if len(self.stamps) > self._enough or self._texts_size > self._most_text:
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


def whole_text(text: str) -> str:
    """Return ``text`` with its characters put together if they came in halves; a half without its other is U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
