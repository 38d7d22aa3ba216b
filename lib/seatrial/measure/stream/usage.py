"""Reads the token counts that a server gives, under each name and in each place that servers use."""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.measure.stream.texts import described

_LONGEST_NUMBER = 300  # digits
_PROMPT = ("prompt_tokens", "input_tokens", "prompt_eval_count", "tokens_evaluated")
_OUTPUT = ("completion_tokens", "output_tokens", "eval_count", "tokens_predicted", "generated_tokens")
_COUNTS = frozenset((*_PROMPT, *_OUTPUT))
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_PLACES = ("x_groq", "message", "response", "delta")  # parts of an event that hold the usage


class Usage(msgspec.Struct):
    """Token counts of the server."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None  # of the prompt, in the prefix cache
    odd: str = ""  # the counts that are no whole numbers, as a person reads them

    def over(self, other: Usage | None) -> Usage:
        """Return these counts, and of those that are unknown the ``other``."""
        if other is None:
            return self
        return Usage(
            other.prompt_tokens if self.prompt_tokens is None else self.prompt_tokens,
            other.completion_tokens if self.completion_tokens is None else self.completion_tokens,
            other.cached_tokens if self.cached_tokens is None else self.cached_tokens,
            self.odd,
        )


def read_usage(document: dict[str, Any], choice: dict[str, Any]) -> Usage | None:
    """Return the counts in an event and its choice, None if it holds none."""
    value = document.get("usage") or choice.get("usage")
    if not value:
        parts = (part(place, name) for place in (document, choice) for name in _PLACES if name in place)
        value = next((inner["usage"] for inner in parts if inner.get("usage")), None)
    if isinstance(value, list):
        value = next((row for row in value if isinstance(row, dict)), value)
    if value is None and not _COUNTS.isdisjoint(document):
        value = document
    if value is None:
        return None
    return _counts(value) if isinstance(value, dict) else Usage(odd=f"usage is {described(value)}")


def read_timings(document: dict[str, Any]) -> Usage | None:
    """Return the counts in llama.cpp's timings, None if there are none."""
    timings = part(document, "timings")
    if not timings:
        return None
    cached, read, made = (whole(timings.get(name)) for name in ("cache_n", "prompt_n", "predicted_n"))
    return Usage(None if read is None else read + (cached or 0), made, cached)


def whole(value: Any) -> int | None:
    """Return ``value`` as a whole number, also if it is written as 8.0 or "8"; None if it is none."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= _LONGEST_NUMBER:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    known = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_LONGEST_NUMBER
    return value if known else None


def part(row: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object ``name`` of ``row``, an empty one if it is none."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _counts(row: dict[str, Any]) -> Usage:
    given = {names[0]: next(((name, row[name]) for name in names if row.get(name) is not None), None)
             for names in (_PROMPT, _OUTPUT)}  # fmt: skip
    prompt, output = (whole(found[1]) if found else None for found in given.values())
    odd = [f"{name} is {described(value)}" for name, value in filter(None, given.values()) if whole(value) is None]
    total = whole(row.get("total_tokens"))
    if total is not None and given["completion_tokens"] is None:
        if prompt is None:
            odd.append("usage has only total_tokens")
        else:
            output = total - prompt
    details = (row, *(part(row, name) for name in _DETAILS))
    cached = next(
        (found for place in details for name in _CACHED if (found := whole(place.get(name))) is not None), None
    )
    return Usage(prompt, output, cached, ", ".join(odd))
