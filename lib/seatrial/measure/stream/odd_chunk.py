"""Reads an event that is no plain chunk: what carries tokens counts in every form, and an odd field beside it loses nothing.

Gateways write null for an empty list, text in parts, a second choice, half an emoji in each of two events; other servers
stream in another dialect (Ollama, Anthropic, OpenAI's Responses). Only text that cannot be read is an error, which says where.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from seatrial.json_text import JsonError
from seatrial.measure.stream.chunks import error_message
from seatrial.measure.stream.documents import read_documents
from seatrial.measure.stream.texts import Texts, described
from seatrial.measure.stream.usage import Usage, part, read_timings, read_usage, whole
from seatrial.printable import shortened

_REASONS = ("finish_reason", "stop_reason", "done_reason")
_NO_REASONS = frozenset(("", "null", "none", "unspecified", "finish_reason_unspecified"))  # of an answer that goes on
# Types of the event that ends an answer in OpenAI's Responses, Anthropic's Messages, and Cohere's dialect.
_ENDS = frozenset(("response.completed", "response.incomplete", "message_stop", "message-end", "stream-end"))
_CARRY = ("delta", "generation", "text", "content", "token", "chunk")  # ends of the types that carry text
_ENDED = ("done", "stop", "is_finished")
_LONGEST = 80  # characters of an event that is shown


class OddChunkError(ValueError):
    """An event that is no chunk. The message says what it is instead, or which field is odd."""


class Piece(msgspec.Struct):
    """What an event says of one choice; a text is None if it carries no token of that kind."""

    thought: str | None = None
    answer: str | None = None
    index: int | None = None  # None if the server does not say
    reason: str | None = None  # why the answer is at its end
    usage: Usage | None = None
    timings: Usage | None = None
    error: str | None = None
    done: bool = False
    odd: str = ""  # what was left out, or all of an event that says nothing

    @property
    def carries(self) -> bool:
        """True if it carries tokens."""
        return self.thought is not None or self.answer is not None


def read_odd_chunk(event: bytes) -> list[Piece]:
    """Return what an event says, a piece for each choice.

    Raises:
        OddChunkError: If the event is not JSON, no object, or a field that carries the answer cannot be read.

    """
    try:
        pieces = [piece for document in read_documents(event) for piece in _pieces(document)]
    except JsonError as error:
        raise OddChunkError(f"it {error}") from error
    except RecursionError as error:
        raise OddChunkError("it is nested too deeply") from error
    if any("\ufffd" in f"{piece.thought}{piece.answer}" for piece in pieces):
        try:
            event.decode()
        except UnicodeDecodeError as error:
            raise OddChunkError(f"its text is not UTF-8 (byte {error.start:,})") from error
    return pieces


def _pieces(document: Any, *, inner: bool = False) -> Iterator[Piece]:
    if not document:  # null, "" or []: a sign of life
        return
    if isinstance(document, dict):
        yield from _pieces_of_object(document)
    elif isinstance(document, list) and not inner and not any(row and not isinstance(row, dict) for row in document):
        for row in document:
            yield from _pieces(row, inner=True)
    elif isinstance(document, str) and not inner and document.lstrip().startswith("{"):  # JSON within JSON
        for row in read_documents(document.encode("utf-8", "replace")):
            yield from _pieces(row, inner=True)
    else:
        raise OddChunkError(f"it is {described(document)}")


def _pieces_of_object(document: dict[str, Any]) -> Iterator[Piece]:
    message = error_message(document)
    if message is not None:
        yield Piece(error=message)
        return
    rows = _choices(document.get("choices"))
    found = [_piece_of_choice(row, f"choices[{at}]") for at, row in enumerate(rows)] or [_piece_of_event(document)]
    found[0].usage = read_usage(document, rows[0] if rows else {})
    found[0].timings = read_timings(document)
    if found == [Piece()] and not rows:
        found[0].odd = shortened(json.dumps(document), _LONGEST)
    yield from found


def _choices(value: Any) -> list[dict[str, Any]]:
    rows = value or []
    if isinstance(value, dict):
        rows = list(value.values()) if value and all(isinstance(row, dict) for row in value.values()) else [value]
        rows = [value] if {"delta", "message"} & value.keys() else rows
    if not isinstance(rows, list):
        raise OddChunkError(f"choices is {described(value)}")
    found = [row for row in rows if row and isinstance(row, dict)]
    odd = next((at for at, row in enumerate(rows) if row and not isinstance(row, dict)), None)
    if odd is not None and not found:
        raise OddChunkError(f"choices[{odd}] is {described(rows[odd])}")
    return found


def _piece_of_choice(row: dict[str, Any], place: str) -> Piece:
    texts = Texts()
    name = "message" if row.get("delta") is None and row.get("message") else "delta"
    body = row.get(name)
    if isinstance(body, dict):
        texts.read(body, f"{place}.{name}")
    elif isinstance(body, str | list):
        texts.add(body, f"{place}.{name}")
    elif body:
        raise OddChunkError(f"{place}.{name} is {described(body)}")
    if not texts:
        texts.read(row, place)
    return _piece(texts, _reason(row) or _reason(part(row, name)), whole(row.get("index")))


def _piece_of_event(document: dict[str, Any]) -> Piece:
    """Return what an event without choices says, in the dialect of another API."""
    kind = str(document.get("type") or document.get("event_type") or "")
    texts = Texts()
    if kind.endswith(_CARRY) or not kind:
        name = next((name for name in ("message", "delta", "token", "response") if document.get(name)), "")
        body = document.get(name, document)
        thought = any(word in kind for word in ("reason", "think"))
        if isinstance(body, dict):
            texts.read(body, name or "the event")
        else:
            texts.add(body, name, thought=thought)
    reason = _reason(document) or _reason(part(document, "delta")) or _reason(part(document, "details"))
    piece = _piece(texts, reason, None)
    piece.done = kind in _ENDS or any(document.get(name) is True for name in _ENDED)
    return piece


def _piece(texts: Texts, reason: str | None, index: int | None) -> Piece:
    if texts.odd and not texts:
        raise OddChunkError(texts.odd[0])
    thought, answer = ("".join(parts) if parts else None for parts in (texts.thought, texts.answer))
    return Piece(thought, answer, index, reason, odd=", ".join(texts.odd[:1]))


def _reason(row: dict[str, Any]) -> str | None:
    value = next((row[name] for name in _REASONS if row.get(name)), None)
    if not value:
        return None
    reason = value if isinstance(value, str) else json.dumps(value)
    return None if reason.strip().lower() in _NO_REASONS else reason.strip()
