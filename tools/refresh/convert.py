"""Turns facts in the form their finder wrote them into a data file, its unchanged rows to the letter."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refresh.kinds import DataFile
from refresh.schema import below_zero, problems, shown
from seatrial.errors import UsageError

Document = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """The new document of a data file."""

    file: DataFile
    document: Document
    text: str
    notes: tuple[str, ...] = ()  # what a person should know of the conversion


@dataclass(frozen=True)
class Form:
    """One form in which facts come."""

    name: str
    has: frozenset[str]  # names by which a document of this form is known
    rows: str  # list, or table, of its rows
    kind: Any  # type of a row
    convert: Callable[[Sequence[Document], Sequence[DataFile], str | None], Iterator[Made]]
    label: tuple[str, ...]  # fields that name a row
    row_has: str = ""  # field of its first row by which it is known too

    def fits(self, document: Mapping[str, Any]) -> bool:
        """Return True if a document has this form."""
        rows = document.get(self.rows)
        first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
        return self.has <= document.keys() and (not self.row_has or rows == [] or self.row_has in first)

    def problems(self, document: Mapping[str, Any]) -> Iterator[str]:
        """Yield a sentence for everything in a document that this form does not have."""
        rows: Any = document
        for name in self.rows.split("."):
            rows = rows.get(name) if isinstance(rows, dict) else None
        if not rows or not isinstance(rows, (list, dict)):
            yield f"{self.rows} {'is missing' if rows is None else 'has no rows'}; it takes rows"
            return
        whole = list[self.kind] if isinstance(rows, list) else dict[str, self.kind]  # type: ignore[name-defined]
        yield from problems(rows, whole, self.rows, self._name)
        for number, row in enumerate(rows) if isinstance(rows, list) else rows.items():
            yield from below_zero(row, f"{self.rows}[{number}] ({self._name(row)})")

    def _name(self, row: Any) -> str:
        return " ".join(str(row[name]) for name in self.label if name in row) if isinstance(row, dict) else ""


def file_of(files: Sequence[DataFile], name: str) -> DataFile:
    """Return the data file with this name."""
    return next(file for file in files if file.name == name)


def day_of(document: Mapping[str, Any], checked: str | None) -> str:
    """Return the day facts were checked, as they or the person say.

    Raises:
        UsageError: Nobody says it, or it is no day.

    """
    day = document.get("checked") or document.get("_meta", {}).get("date") or checked
    try:
        return dt.date.fromisoformat(day or "").isoformat()
    except (TypeError, ValueError):
        what = "checked is missing" if day is None else f"checked takes a day, such as 2026-11-30, not {shown(day)}"
        raise UsageError(
            f"These facts do not say when they were checked: {what}.",
            remedy="Write `checked` into the file, or give --checked.",
        ) from None


def with_rows(file: DataFile, name: str, rows: list[Document], notes: tuple[str, ...] = ()) -> Made:
    """Return a data file with these rows; those that stay keep their place and every sign of their text."""
    text = (file.root / file.path).read_text(encoding="utf-8")
    start = at = _value_at(text, name) + 1
    kept, decoder = {}, json.JSONDecoder()
    pad = re.match(r"\s*", text[at:])[0]  # type: ignore[index]
    while text[at:].lstrip()[0] != "]":
        at = text.index("{", at)
        row, end = decoder.raw_decode(text, at)
        kept[json.dumps(row)], at = text[at:end], end
    stop = text.index("]", at)
    wide = "\n" in next(iter(kept.values()), "")
    each = (kept.get(json.dumps(row)) or _row_text(row, pad, wide=wide) for row in rows)
    new = text[:start] + ",".join(pad + row for row in each) + pad.replace("  ", "", 1) + text[stop:]
    return Made(file, json.loads(new), new, notes)


def _value_at(text: str, name: str) -> int:
    """Return the place in a document's text of the value that a name of its own has."""
    decoder, at = json.JSONDecoder(), text.index("{")
    while True:
        key, at = decoder.raw_decode(text, text.index('"', at))
        at = len(text) - len(text[at:].lstrip(": \t\r\n"))
        if key == name:
            return at
        _, at = decoder.raw_decode(text, at)


def _row_text(row: Document, pad: str, *, wide: bool) -> str:
    if not wide:
        return json.dumps(row, ensure_ascii=False)
    return json.dumps(row, ensure_ascii=False, indent=2).replace("\n", f"\n{pad.lstrip(chr(10))}")
