"""Keeps the outputs of a notebook within bounds, and says what was left out.

A cell may print without end, or show data that no reader of the executed notebook could take.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from seatrial.records import MOST_RECORD_LEVELS, RECORD_MIME, finite

_MOST_CHARACTERS = 16 << 20
"""Text of all cells together: streams and errors."""
_MOST_BYTES = 64 << 20
"""Data of all cells together, as JSON: figures, tables, results."""
_LONGEST_ERROR = 20_000
_STANDS_FOR = "text/plain"


@dataclass(slots=True)
class Outputs:
    """What is still admitted of one notebook's outputs, and sentences about what was not."""

    left_out: list[str] = field(default_factory=list)
    _characters: int = _MOST_CHARACTERS
    _bytes: int = _MOST_BYTES

    def bounded(self, message: dict[str, Any], cell: str) -> dict[str, Any]:
        """Return a kernel's message with as much of its content as is admitted."""
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            content = {**content, "text": self._text(content["text"], cell)}
        elif kind == "error":
            lines = [line[:_LONGEST_ERROR] for line in content["traceback"]]
            content = {**content, "evalue": content["evalue"][:_LONGEST_ERROR], "traceback": lines}
        elif kind in {"display_data", "execute_result", "update_display_data"}:
            data = content["data"] if isinstance(content["data"], dict) else {}
            content = {**content, "data": self._data(data, cell), "metadata": _metadata(content["metadata"])}
        return {**message, "content": content}

    def _text(self, text: str, cell: str) -> str:
        part = text[: self._characters]
        self._characters -= len(part)
        if len(part) < len(text):
            self._leave_out(f"cell {cell}: output beyond {_MOST_CHARACTERS:,} characters")
        return part

    def _data(self, data: dict[str, Any], cell: str) -> dict[str, Any]:
        kept = {}
        for kind, value in data.items():
            try:
                kept[kind] = self._admitted(kind, value)
            except ValueError as error:
                self._leave_out(f"cell {cell}: {kind}, which {error}")
            else:
                if kind == RECORD_MIME and kept[kind] != value:  # NaN is not equal to itself
                    self._leave_out(
                        f"cell {cell}: in the result {value['name']!r}, numbers that are none (NaN, infinity)"
                    )
        if len(kept) < len(data):
            left = ", ".join(sorted(set(data) - set(kept)))
            kept[_STANDS_FOR] = f"{kept.get(_STANDS_FOR, '')}\n[left out by seatrial run: {left}]".strip()
        return kept

    def _admitted(self, kind: str, value: Any) -> Any:
        """Return a value as JSON that every reader takes; raise ValueError with the reason if there is none."""
        if not isinstance(value, str) and not kind.endswith("json"):
            raise ValueError("is no text")
        if kind == RECORD_MIME and not is_record(value):
            raise ValueError("is no record: it needs a name, and a value")
        plain = finite(value, MOST_RECORD_LEVELS)
        size = len(json.dumps(plain))
        if size > self._bytes:
            raise ValueError(f"has {size:,} bytes, more than is left of {_MOST_BYTES:,} for one notebook")
        self._bytes -= size
        return plain

    def _leave_out(self, what: str) -> None:
        if what not in self.left_out:
            self.left_out.append(what)


def is_record(value: Any) -> bool:
    """Return True if ``value`` is what ``seatrial.record`` shows: a name and a value."""
    return isinstance(value, dict) and isinstance(value.get("name"), str) and "value" in value


def _metadata(value: Any) -> dict[str, Any]:
    try:
        plain = finite(value)
    except ValueError:
        return {}
    return plain if isinstance(plain, dict) else {}
