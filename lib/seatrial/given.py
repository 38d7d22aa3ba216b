"""Reads a choice as people and notebooks give it, or raises an error that names the choice and what it takes.

papermill's own ``-p`` turns digits into numbers, and ``True`` and ``None`` into Python's. So a number is taken for text,
and text with a number in it for a number.
"""

from __future__ import annotations

import math
import re
from typing import Any

from seatrial.errors import UsageError
from seatrial.printable import shortened

KINDS = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false"}
"""What a choice of each type takes, in words."""

_MOST = 1 << 63
_TRUE, _FALSE = {"true", "yes", "1", "on"}, {"false", "no", "0", "off"}
_WHOLE, _NUMBER = re.compile(r"[+-]?[0-9][0-9_]{0,18}"), re.compile(r"[0-9eE+.-]{1,32}")


def text(name: str, value: object) -> str:
    """Return a choice that takes text; a number, True or None is the word that was typed.

    Raises:
        UsageError: If it is neither.

    """
    if value is None or isinstance(value, str | float) or (isinstance(value, int) and abs(value) <= _MOST):
        return str(value)
    raise refused(name, "str", value)


def whole(name: str, value: object) -> int:
    """Return a choice that takes a whole number, which text or a fraction of zero may stand for.

    Raises:
        UsageError: If it is none.

    """
    read = read_text("int", value) if isinstance(value, str) else value
    if isinstance(read, float) and read.is_integer():
        read = int(read)
    if isinstance(read, bool) or not isinstance(read, int) or abs(read) > _MOST:
        raise refused(name, "int", value)
    return read


def number(name: str, value: object) -> float:
    """Return a choice that takes a finite number, which text may stand for.

    Raises:
        UsageError: If it is none.

    """
    read = read_text("float", value) if isinstance(value, str) else value
    if isinstance(read, bool) or not isinstance(read, int | float) or not -math.inf < read < math.inf:
        raise refused(name, "float", value)
    try:
        return float(read)
    except OverflowError:
        raise refused(name, "float", value) from None


def truth(name: str, value: object) -> bool:
    """Return a choice that takes true or false, which a word or the numbers 1 and 0 may stand for.

    Raises:
        UsageError: If it is neither.

    """
    read = read_text("bool", value) if isinstance(value, str) else value
    if type(read) is int and read in {0, 1}:
        read = bool(read)
    if not isinstance(read, bool):
        raise refused(name, "bool", value)
    return read


def read_text(kind: str, word: str) -> Any:
    """Return ``word`` as a value of that kind, or unchanged if it is none."""
    plain = word.strip().lower()
    if kind == "bool":
        return True if plain in _TRUE else False if plain in _FALSE else word
    if not (_WHOLE if kind == "int" else _NUMBER).fullmatch(plain):
        return word
    try:
        return int(plain) if kind == "int" else float(plain)
    except ValueError:
        return word


def refused(name: str, kind: str, value: object, remedy: str = "") -> UsageError:
    """Return the error for a value that a choice of this kind does not take."""
    endless = isinstance(value, int) and abs(value) > _MOST  # Python refuses to write out thousands of digits
    shown = "a number of many digits" if endless else shortened(repr(value), 60)
    what = f"The parameter {name} takes {KINDS[kind]}, not {shown}."
    return UsageError(what, remedy=remedy or f"Give {name} {KINDS[kind]}.")
