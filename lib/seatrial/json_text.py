"""Reads JSON that others wrote: a document, or one error that says what is wrong with it.

Every JSON text that the package reads comes through here: files, hubs, servers and engines write what they like. Python's own
reader overflows its stack on nested brackets, takes NaN and Infinity for numbers, and keeps halves of characters that nothing
can print or send on.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from seatrial.printable import shortened

_MOST_LEVELS = 200
"""Depth of brackets that is still read: what walks a document afterwards has room on the stack, too."""

# An escaped backslash, a whole pair, or one half of a pair. Only a half is a group.
_HALVES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)

_NO_BRACKETS = bytes(sign for sign in range(256) if sign not in b"[]{}")

T = TypeVar("T")

REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of ``decoder_of``."""


class JsonError(ValueError):
    """Text that is no JSON document. The message is what is said of the text: "is not JSON: ..."."""


def parse_json(content: bytes | str, *, mend_halves: bool = False, mend_numbers: bool = False) -> Any:
    """Return the document in ``content``.

    Args:
        content: UTF-8 text, with or without a byte-order mark.
        mend_halves: Take half a character (a lone surrogate) for U+FFFD instead of refusing the document.
        mend_numbers: Take NaN, Infinity and what is out of range for null instead of refusing the document.

    Raises:
        JsonError: If it is not UTF-8 or not JSON, is nested too deeply, names a key twice, or holds a number out of range
            or half a character.

    """
    try:
        encoded = content.encode() if isinstance(content, str) else bytes(content)
        encoded = _without_halves(encoded, mend=mend_halves)
        # Editors of Windows begin a file with a byte-order mark.
        document = (_MENDING if mend_numbers else _READER).decode(encoded.decode("utf-8-sig"))
        _check_levels(document)
    except RecursionError as error:
        raise JsonError("is nested too deeply") from error
    except UnicodeError as error:
        raise JsonError(f"is not UTF-8 text (byte {getattr(error, 'start', 0):,})") from error
    except json.JSONDecodeError as error:
        raise JsonError(f"is not JSON: {error}" if content else "is not JSON: it is empty") from error
    return document


class JsonDecoder(Generic[T]):
    """Decoder of JSON text of one form, which is a dataclass or msgspec struct."""

    __slots__ = ("_decode",)

    def __init__(self, kind: type[T] | Any) -> None:
        self._decode = msgspec.json.Decoder(kind).decode

    def __call__(self, content: bytes) -> T:
        """Return the value in ``content``; raise JsonError as ``parse_json`` does, and if the value has another form."""
        try:
            # A shorter text cannot go so deep.
            if len(content) > 2 * _MOST_LEVELS and _may_be_deep(content):
                parse_json(content)
            value: T = self._decode(content)
        except msgspec.ValidationError as error:
            raise JsonError(f"has another form: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._again(content, error)
        return value

    def _again(self, content: bytes, error: Exception) -> T:
        """Read what msgspec refused as Python reads it, which names the trouble or mends it."""
        document = parse_json(content)
        mended = msgspec.json.encode(document)
        if mended == content:
            raise JsonError(f"is not JSON: {error}") from error
        return self(mended)


def decoder_of(kind: type[T] | Any) -> Callable[[bytes], T]:
    """Return a decoder as fast as can be, which raises one of ``REFUSALS``; for text that is then read in another way."""
    return msgspec.json.Decoder(kind).decode


def _without_halves(encoded: bytes, *, mend: bool) -> bytes:
    if b"\\u" not in encoded:
        return encoded
    if mend:
        return _HALVES.sub(lambda found: rb"\ufffd" if found[1] else found[0], encoded)
    half = next((found[1] for found in _HALVES.finditer(encoded) if found[1]), None)
    if half is not None:
        raise JsonError(f"holds half a character ({half.decode()}, a lone surrogate)")
    return encoded


def _may_be_deep(content: bytes) -> bool:
    """Return False if the brackets, those in texts included, pair up within the depth that is read."""
    brackets = content.translate(None, _NO_BRACKETS)
    for _ in range(_MOST_LEVELS):
        if len(brackets) <= _MOST_LEVELS:
            return False
        before, brackets = len(brackets), brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(brackets) == before:
            break
    return True


def _check_levels(document: Any) -> None:
    level = [document]
    for _ in range(_MOST_LEVELS + 1):
        parts = [part for part in level if isinstance(part, dict | list)]
        if not parts:
            return
        level = [inner for part in parts for inner in (part.values() if isinstance(part, dict) else part)]
    raise JsonError("is nested too deeply")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise JsonError(f"names {shortened(twice)!r} twice in one object")
    return row


def _whole(text: str) -> int:
    if len(text) > sys.float_info.max_10_exp:  # no sum with a fraction would come out
        raise JsonError(f"holds a number of {len(text.lstrip('-')):,} digits, out of range")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise JsonError(f"holds {shortened(text)}, a number out of range")
    return number


def _no_number(text: str) -> Any:
    raise JsonError(f"holds {text}, which is no JSON number")


_READER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_fraction, parse_constant=_no_number
)


def _or_none(read: Callable[[str], T]) -> Callable[[str], T | None]:
    def mended(text: str) -> T | None:
        try:
            return read(text)
        except JsonError:
            return None

    return mended


_MENDING = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_or_none(_whole),
    parse_float=_or_none(_fraction),
    parse_constant=_or_none(_no_number),
)


def _merged(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in pairs:
        if name not in row or value not in (None, "", [], {}):
            row[name] = value
    return row


TOLERANT = json.JSONDecoder(
    object_pairs_hook=_merged,
    parse_int=lambda digits: int(digits) if len(digits) <= sys.float_info.max_10_exp else digits,
    strict=False,
)
"""Reader of odd events. Numbers too long for a float are texts; of a name given twice the last value counts that is not empty."""
