"""Decodes one event of a completion stream: text, reasoning, usage, an error, or the end.

Engines differ: reasoning comes as ``reasoning_content`` (SGLang, llama.cpp) or ``reasoning``
(vLLM, OpenRouter), plain completions as ``text``, cached tokens in ``usage`` or in llama.cpp's
``timings``; errors have two shapes and may arrive in the middle of a 200 stream.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from seatrial.json_text import JsonDecoder, JsonError, parse_json
from seatrial.printable import shortened

_LONGEST_DONE = 20
_DONE_WORDS = frozenset((b"[DONE]", b"DONE"))
MAX_MESSAGE = 300
_MOST_FIELDS = 3  # of an error about several
_TAGS = re.compile(r"<(?:script|style)\b[^<]*</(?:script|style)>|<[^>]*>", re.IGNORECASE)


class PromptDetails(msgspec.Struct):
    """Details of a prompt's tokens: how many were in the prefix cache."""

    cached_tokens: int | None = None


class Usage(msgspec.Struct):
    """Token counts of the server."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    odd: str = ""  # the counts that are no whole numbers, as a person reads them; no server sends this


class Timings(msgspec.Struct):
    """Figures of llama.cpp; only the cached tokens are read."""

    cache_n: int | None = None


class Delta(msgspec.Struct):
    """Text that a chat chunk adds."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Any] | None = None


class Choice(msgspec.Struct):
    """An answer; the kit asks for one."""

    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    """An event; every field may be missing."""

    choices: list[Choice] = []
    usage: Usage | None = None
    timings: Timings | None = None
    error: Any = None
    object: str | None = None
    message: str | None = None


decode_chunk: JsonDecoder[Chunk] = JsonDecoder(Chunk, mend_halves=True)  # a chunk may end within an emoji


def is_done(event: bytes) -> bool:
    """Return True for the event that ends a stream, also in quotes, between blanks or in small letters."""
    return len(event) < _LONGEST_DONE and event.strip().strip(b'"').upper() in _DONE_WORDS


def error_message(chunk: Chunk) -> str | None:
    """Return the message of an error event, in either shape; None if the event is no error."""
    # Gateways put an error without content beside each piece of text: {} or {"code": 0, "message": ""}.
    if any(chunk.error.values()) if isinstance(chunk.error, dict) else chunk.error:
        return _message_of(chunk.error)
    if chunk.object == "error":
        return chunk.message or "no message"
    return None


def error_text(body: bytes) -> str:
    """Return the message in the body of an HTTP error: both JSON shapes, FastAPI's ``detail``, or plain text."""
    try:
        parsed = parse_json(body, mend_halves=True)
    except JsonError:
        return _plain_text(body)
    if isinstance(parsed, dict):
        for name in ("error", "message", "detail"):
            if parsed.get(name):
                return _message_of(parsed[name])
    return one_line(str(parsed)) if parsed else ""


def one_line(text: str) -> str:
    """Return ``text`` on one line, without control characters, shortened to ``MAX_MESSAGE``."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * MAX_MESSAGE]).split())
    return shortened(line, MAX_MESSAGE)


def _message_of(error: Any) -> str:
    if isinstance(error, list) and error:  # FastAPI's: what is wrong with each field, and the whole request beside it
        return one_line("; ".join(map(_message_of, error[:_MOST_FIELDS])))
    if isinstance(error, dict):
        place = error.get("loc")
        where = f"{'.'.join(map(str, place))}: " if isinstance(place, list) else ""
        inner = error.get("message") or error.get("msg") or error.get("error") or error.get("type") or str(error)
        error = f"{where}{_message_of(inner) if isinstance(inner, dict) else inner}"
    return one_line(str(error)) or "no message"


def _plain_text(body: bytes) -> str:
    """Return the text of a body that is no JSON: a page without its tags, and of other bytes only how many."""
    text = body[: 8 * MAX_MESSAGE].decode("utf-8", "replace")
    if "\0" in text or text.count("\ufffd") > len(text) // 4:
        return f"{len(body):,} bytes that are no text"
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        text = _TAGS.sub(" ", text)
    return one_line(text)
