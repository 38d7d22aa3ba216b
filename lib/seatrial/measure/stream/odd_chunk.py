"""Reads an event that a strict decoder refuses: what is plain to read counts, and what is not is named.

Gateways write null for an empty list, 8.0 or "8" for 8, and half an emoji in each of two events. None of that makes an
answer unreadable. A field whose text cannot be read does, and the message then says which field.
"""

from __future__ import annotations

import json
import re
from typing import Any

from seatrial.json_text import JsonError, parse_json
from seatrial.measure.stream.chunks import Choice, Chunk, Delta, PromptDetails, Timings, Usage
from seatrial.printable import shortened

_LONGEST_NUMBER = 300  # digits; more than a float holds
# A text in quotes, or (the group) a number that JSON or a float does not have.
_NO_NUMBERS = re.compile(
    rb'"(?:[^"\\]|\\.)*"|(-?(?:NaN|Infinity|nan|inf)\b|-?\d[\d.]*[eE]\+?\d{3,}|-?\d{%d,}[\d.]*)' % _LONGEST_NUMBER,
    re.DOTALL,
)


class OddChunkError(ValueError):
    """An event that is no chunk. The message says what it is instead, or which field is odd."""


def read_odd_chunk(event: bytes) -> Chunk:
    """Return the chunk in ``event``, whose odd fields are left out if the answer can be read without them.

    Raises:
        OddChunkError: If the event is not JSON, no object, or a field that carries the answer is no text.

    """
    try:
        quoted = _NO_NUMBERS.sub(lambda found: b'"%b"' % found[1] if found[1] else found[0], event)
        document = parse_json(quoted, mend_halves=True)
    except JsonError as error:
        raise OddChunkError(f"it {error}") from error
    if not document:
        return Chunk()  # null, "" or []: a sign of life
    if not isinstance(document, dict):
        raise OddChunkError(f"it is {_describe(document)}")
    return Chunk(
        choices=_choices(document.get("choices")),
        usage=_usage(document.get("usage")),
        timings=Timings(whole(_part(document, "timings").get("cache_n"))),
        error=document.get("error"),
        object=_text_or_none(document.get("object")),
        message=_text_or_none(document.get("message")),
    )


def whole(value: Any) -> int | None:
    """Return ``value`` as a whole number, also if it is written as 8.0 or "8"; None if it is none."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= _LONGEST_NUMBER:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _choices(value: Any) -> list[Choice]:
    rows = [value] if isinstance(value, dict) else value or []
    if not isinstance(rows, list):
        raise _odd("choices", value)
    found = []
    for row in rows[:1]:  # the kit asks for one answer
        if not isinstance(row, dict | None):
            raise _odd("choices[0]", row)
        found += [_choice(row)] if row else []
    return found


def _choice(row: dict[str, Any]) -> Choice:
    delta = row.get("delta")
    if delta and not isinstance(delta, dict):
        raise _odd("choices[0].delta", delta)
    reason = row.get("finish_reason")
    return Choice(
        delta=_delta(delta) if delta else None,
        text=_read_text("choices[0].text", row.get("text")),
        finish_reason=reason if isinstance(reason, str) else json.dumps(reason) if reason else None,
    )


def _delta(row: dict[str, Any]) -> Delta:
    calls = row.get("tool_calls")
    texts = {
        name: _read_text(f"choices[0].delta.{name}", row.get(name))
        for name in ("content", "reasoning_content", "reasoning")
    }
    return Delta(**texts, tool_calls=calls if isinstance(calls, list) else [calls] if calls else None)


def _read_text(name: str, value: Any) -> str | None:
    """Return a text, or that of a list of parts; None if it is empty in any form."""
    if not value and value != 0:
        return None
    parts = value if isinstance(value, list) else [value]
    texts = [part.get("text") if isinstance(part, dict) and isinstance(value, list) else part for part in parts]
    known = [text for text in texts if isinstance(text, str)]
    if len(known) < len(parts):
        raise _odd(name, value)
    return "".join(known)


def _usage(value: Any) -> Usage | None:
    if not value:
        return None
    if not isinstance(value, dict):
        return Usage(odd=f"usage is {_describe(value)}")
    counts = {name: whole(value.get(name)) for name in ("prompt_tokens", "completion_tokens")}
    odd = [
        f"{name} is {_describe(value[name])}" for name in counts if counts[name] is None and value.get(name) is not None
    ]
    cached = whole(_part(value, "prompt_tokens_details").get("cached_tokens"))
    return Usage(**counts, prompt_tokens_details=PromptDetails(cached), odd=", ".join(odd))


def _part(row: dict[str, Any], name: str) -> dict[str, Any]:
    part = row.get(name)
    return part if isinstance(part, dict) else {}


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _odd(name: str, value: Any) -> OddChunkError:
    return OddChunkError(f"{name} is {_describe(value)}")


def _describe(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return shortened(json.dumps(value), 40)
