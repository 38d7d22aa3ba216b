"""Reads the JSON of an odd event: what Python, C or a careless gateway writes, several documents after each other too.

The time is in proportion to the bytes. Nothing here refuses an event for a number or a key that nobody asks for.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import msgspec

from seatrial.json_text import JsonError

_CARRIERS = (b'"choices"', b'"delta"', b'"content"')  # names whose last value may be the empty one, if they come twice
_TWICE = 2
_LONGEST_NUMBER = 300  # digits; more than a float holds
_MOST = 1000  # documents in an event
_BETWEEN = re.compile("(?:[\\s,;\0\x1e\ufeff]|data:)*")  # documents; RFC 7464 sets U+001E before each
_DONE = re.compile(r'["\'\s]{0,9}\[\s{0,9}["\']?DONE\b|\W{0,9}DONE\W{0,9}\Z', re.IGNORECASE)
_WORDS = re.compile(r'"(?:[^"\\]|\\.)*+"?|-?\b(nan|inf|None|True|False|undefined)\b', re.DOTALL)
_MEANT = {"None": "null", "True": "true", "False": "false", "undefined": "null"}
END = {"done": True}
"""Stands for ``[DONE]``; it is how Ollama writes it."""


def read_documents(event: bytes) -> list[Any]:
    """Return the JSON documents in ``event``, and ``END`` for each [DONE] among them.

    Numbers too long for a float are texts. Of a name given twice, the last value counts unless it is empty.

    Raises:
        JsonError: If the event does not begin with a document.

    """
    if all(event.count(name) < _TWICE for name in _CARRIERS):
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [msgspec.json.decode(event)]
    text = event.decode("utf-8", "replace")
    try:
        return _documents(text)
    except RecursionError as error:
        raise JsonError("is nested too deeply") from error
    except json.JSONDecodeError as error:
        mended = _WORDS.sub(_meant, text)
        if mended == text:
            raise JsonError(f"is not JSON: {error}") from error
    try:
        return _documents(mended)
    except (json.JSONDecodeError, RecursionError) as error:
        raise JsonError(f"is not JSON: {error}") from error


def is_done(event: bytes) -> bool:
    """Return True for the event that ends a stream, also in quotes, between blanks or in small letters."""
    return event[:1] != b"{" and _DONE.match(event[:100].decode("utf-8", "replace")) is not None


def _documents(text: str) -> list[Any]:
    found: list[Any] = []
    at = _next(text, 0)
    while at < len(text):
        if _DONE.match(text, at):
            return [*found, END]
        try:
            document, at = _READER.raw_decode(text, at)
        except json.JSONDecodeError:
            if found:  # text behind a document
                break
            raise
        found.append(document)
        if len(found) > _MOST:
            raise JsonError(f"holds more than {_MOST:,} documents")
        at = _next(text, at)
    return found


def _next(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    return between.end() if between else at


def _meant(found: re.Match[str]) -> str:
    word = found[1]
    return found[0] if word is None else _MEANT.get(word, f'"{found[0]}"')


def _merged(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in pairs:
        if name not in row or value not in (None, "", [], {}):
            row[name] = value
    return row


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits


_READER = json.JSONDecoder(object_pairs_hook=_merged, parse_int=_whole, strict=False)
