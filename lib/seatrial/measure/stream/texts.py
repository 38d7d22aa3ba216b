"""Finds the text that a chunk adds, in whichever field and form a server puts it.

Engines and gateways differ: ``reasoning_content`` or ``reasoning`` or ``thinking``; a text, a list of parts, an object;
a call of a tool or of a function; a refusal, a transcript. All of it is tokens that the model made.
"""

from __future__ import annotations

import json
from typing import Any

from seatrial.printable import shortened

_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_text", "thought", "reasoning_details")
_ANSWERS = ("content", "text", "output_text", "refusal", "audio", "partial_json")
_CALLS = ("tool_calls", "function_call", "tool_call")
_CALLED = ("name", "arguments", "input")
# Fields of a part that hold its text; "data" is encrypted reasoning or sound, whose text nobody can read.
_PARTS = (*_ANSWERS, "summary", "thinking", "reasoning", "reasoning_content", "transcript", "value", "data")
_OF_THOUGHTS = ("reason", "think", "thought", "summary")  # in the name or type of a part
_MOST_LEVELS = 8


class Texts:
    """Texts that a chunk adds: reasoning, and the answer with its calls of tools."""

    __slots__ = ("answer", "odd", "thought")

    def __init__(self) -> None:
        self.thought: list[str] = []
        self.answer: list[str] = []
        self.odd: list[str] = []  # fields that may hold text which cannot be read

    def __bool__(self) -> bool:
        """Return True if the chunk carries tokens."""
        return bool(self.thought or self.answer)

    def read(self, row: dict[str, Any], place: str) -> None:
        """Take the texts of a delta, a message, or an event that is neither.

        Of several fields for the reasoning the first with a text counts, since the others repeat it; so with the answer.
        """
        for names, texts in ((_THOUGHTS, self.thought), (_ANSWERS, self.answer)):
            for name in names:
                if not texts and name in row:
                    self.add(row[name], f"{place}.{name}", thought=names is _THOUGHTS)
        for name in _CALLS:
            if row.get(name):
                self._add_calls(row[name])

    def add(self, value: Any, place: str, *, thought: bool = False, levels: int = _MOST_LEVELS) -> None:
        """Take a text, a list of parts, or an object that holds one; ``place`` names it if nothing can be read of it."""
        if not value and (value is False or value != 0):
            return
        texts = self.thought if thought else self.answer
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, bool) or not levels:
            self.odd.append(f"{place} is {described(value)}")
        elif isinstance(value, list):
            for part in value:
                self.add(part, place, thought=thought, levels=levels - 1)
        elif isinstance(value, dict):
            self._add_part(value, place, thought=thought, levels=levels - 1)
        else:
            texts.append(json.dumps(value))

    def _add_part(self, part: dict[str, Any], place: str, *, thought: bool, levels: int) -> None:
        known = [name for name in _PARTS if name in part]
        name = next((name for name in known if part[name]), None)
        if name is None:
            if not known:
                self.odd.append(f"{place} is an object without text")
            return
        thought = thought or any(word in f"{part.get('type')} {name}" for word in _OF_THOUGHTS)
        value = part[name]
        if name == "data" and isinstance(value, str):
            (self.thought if thought else self.answer).append("")
        else:
            self.add(value, f"{place}.{name}", thought=thought, levels=levels)

    def _add_calls(self, value: Any) -> None:
        rows = value if isinstance(value, list) else [value]
        if isinstance(value, dict) and value and all(isinstance(row, dict) for row in value.values()):
            rows = [value] if "function" in value else list(value.values())  # by their index
        for row in rows:
            if isinstance(row, dict):
                inner = next((row[name] for name in ("function", "custom") if isinstance(row.get(name), dict)), row)
                parts = [inner.get(name) for name in _CALLED]
            else:
                parts = [row]
            self.answer += [part if isinstance(part, str) else json.dumps(part) for part in parts if part]


def described(value: Any) -> str:
    """Return what a value is, in a few words."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return shortened(json.dumps(value), 40)
