"""Decodes a chunk as engines send it, and tells errors: in the middle of a 200 stream, or as the body of an HTTP error.

Everything that a chunk may hold beside a piece of the one answer makes the decoder refuse it. It is then read field by
field (``odd_chunk``), so that the many plain chunks cost no look at what they do not have.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from seatrial.json_text import JsonError, parse_json
from seatrial.measure.stream.usage import Usage
from seatrial.printable import shortened

MAX_MESSAGE = 300
_MOST_FIELDS = 3  # of an error about several
_MOST_LEVELS = 8
# Words of an error that is none, or of a sign of life.
_NOTHING = frozenset(
    ("", "null", "none", "false", "0", "ok", "success", "ping", "pong", "heartbeat", "keepalive", "keep-alive")
)
_TAGS = re.compile(r"<(?:script|style)\b[^<]*</(?:script|style)>|<[^>]*>", re.IGNORECASE)


class PromptDetails(msgspec.Struct, gc=False):
    """Details of a prompt's tokens: how many were in the prefix cache."""

    cached_tokens: int | None = None


class Counts(msgspec.Struct, gc=False):
    """Token counts as OpenAI's API writes them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None

    def read(self) -> Usage:
        """Return the counts as every server's are kept."""
        details = self.prompt_tokens_details
        return Usage(self.prompt_tokens, self.completion_tokens, details.cached_tokens if details else None)


class Called(msgspec.Struct, gc=False):
    """Piece of a function's name and arguments."""

    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct, gc=False):
    """Piece of a call of a tool."""

    function: Called


class Delta(msgspec.Struct, gc=False, frozen=True):
    """Text that a chat chunk adds."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] | None = None
    thinking: None = None
    refusal: None = None
    function_call: None = None
    audio: None = None


_NO_DELTA = Delta()


class Choice(msgspec.Struct, gc=False):
    """Piece of the one answer that the kit asks for."""

    delta: Delta = _NO_DELTA
    text: str | None = None
    index: Literal[0] = 0
    finish_reason: None = None


class Chunk(msgspec.Struct, gc=False):
    """A chunk as engines send it for each token."""

    choices: tuple[Choice]
    usage: Counts | None = None
    error: None = None
    timings: None = None


decode_chunk = msgspec.json.Decoder(Chunk).decode
"""Return the chunk in an event, or raise one of ``NOT_PLAIN``: the event is an end, an error, or odd. Other fields are skipped."""

NOT_PLAIN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def error_message(document: dict[str, Any]) -> str | None:
    """Return the message of an error event, in any shape; None if the event is no error."""
    for name in ("error", "errors"):
        if _says(document.get(name)):
            return _message_of(document[name])
    given = (document.get(name) for name in ("object", "type", "status", "event"))
    kinds = [kind.lower() for kind in given if kind and isinstance(kind, str)]
    failed = any("error" in kind or "fail" in kind for kind in kinds)
    if failed or not (document.get("choices") or kinds):
        code = document.get("code") or document.get("status_code") or document.get("status")
        for name in ("message", "msg", "detail"):
            if isinstance(document.get(name), str | list) and _says(document[name]):
                return _message_of(document[name])
        if failed or (_says(code) and code != HTTPStatus.OK):
            return one_line(json.dumps(document))
    return None


def error_text(body: bytes) -> str:
    """Return the message in the body of an HTTP error: both JSON shapes, FastAPI's ``detail``, or plain text."""
    try:
        parsed = parse_json(body, mend_halves=True)
    except JsonError:
        return _plain_text(body)
    if isinstance(parsed, dict):
        if isinstance(parsed.get("choices"), list) and parsed["choices"]:
            return "it came whole, not streamed"
        for name in ("error", "message", "detail"):
            if parsed.get(name):
                return _message_of(parsed[name])
    return one_line(str(parsed)) if parsed else ""


def one_line(text: str) -> str:
    """Return ``text`` on one line, without control characters, shortened to ``MAX_MESSAGE``."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * MAX_MESSAGE]).split())
    return shortened(line, MAX_MESSAGE)


def _says(error: Any, levels: int = _MOST_LEVELS) -> bool:
    """Return False for an error without content, which gateways put beside each piece of text: {} or {"code": 0}."""
    if isinstance(error, dict | list) and levels:
        return any(_says(value, levels - 1) for value in (error.values() if isinstance(error, dict) else error))
    return bool(error) and str(error).strip().lower() not in _NOTHING


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
