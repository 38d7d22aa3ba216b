"""Decodes one event of a completion stream: text, reasoning, usage, an error, or the end.

Engines differ: reasoning comes as ``reasoning_content`` (SGLang, llama.cpp) or ``reasoning``
(vLLM, OpenRouter), plain completions as ``text``, cached tokens in ``usage`` or in llama.cpp's
``timings``; errors have two shapes and may arrive in the middle of a 200 stream.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.printable import shortened

DONE = b"[DONE]"
_LONGEST_DONE = 20
_DONE_WORDS = frozenset((b"[DONE]", b"DONE"))
MAX_MESSAGE = 300


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


decode_chunk = msgspec.json.Decoder(Chunk).decode  # raises msgspec.DecodeError, UnicodeDecodeError or RecursionError


def is_done(event: bytes) -> bool:
    """Return True for the event that ends a stream, also in quotes, between blanks or in small letters."""
    return event == DONE or (len(event) < _LONGEST_DONE and event.strip().strip(b'"').upper() in _DONE_WORDS)


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
        parsed = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return one_line(body.decode("utf-8", "replace"))
    if isinstance(parsed, dict):
        for name in ("error", "message", "detail"):
            if parsed.get(name):
                return _message_of(parsed[name])
    return one_line(str(parsed))


def one_line(text: str) -> str:
    """Return ``text`` on one line, without control characters, shortened to ``MAX_MESSAGE``."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * MAX_MESSAGE]).split())
    return shortened(line, MAX_MESSAGE)


def _message_of(error: Any) -> str:
    if isinstance(error, dict):
        error = error.get("message") or error.get("error") or error.get("type") or error
    return one_line(str(error)) or "no message"
