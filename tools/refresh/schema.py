"""Compares a document with the types that its loader decodes, and lists every problem at once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
    list: "a list",
    tuple: "a list",
    dict: "a table",
    frozenset: "a list",
}
_FREE = {"config", "env", "flags", "argv"}
"""Fields of a row whose figures are the words of others, so that a number below zero may be right."""
_SHOWN = 60
_MANY = 40
"""Problems that one message lists; the others are counted."""
Label = Callable[[Any], str]


def shown(value: Any) -> str:
    """Return a value as JSON, cut to a length that a message can have."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def once(found: Iterable[str]) -> list[str]:
    """Return the first problem of each place."""
    first: dict[str, str] = {}
    for line in found:
        first.setdefault(line.partition(" takes ")[0], line)
    return list(first.values())


def joined(found: Sequence[str]) -> str:
    """Return problems one a line, as far as one message goes."""
    more = [f"... and {len(found) - _MANY} more"] if len(found) > _MANY else []
    return "\n  ".join([*found[:_MANY], *more])


def problems(value: Any, kind: Any, place: str, label: Label = lambda _: "") -> Iterator[str]:
    """Yield a sentence for everything in a value that its type does not take.

    Args:
        value: Plain JSON values.
        kind: The type its loader decodes it into.
        place: Where the value stands, as messages name it.
        label: Name of a row, shown beside its number.

    """
    kind, low, least = _bare(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if fields_of(kind) and isinstance(value, dict):
        yield from _field_problems(value, kind, place, label)
    elif origin in {list, tuple, frozenset, Sequence} and isinstance(value, list):
        for number, row in enumerate(value):
            name = label(row)
            yield from problems(row, _item(inner, number), f"{place}[{number}]{f' ({name})' if name else ''}")
    elif origin in {dict, Mapping} and isinstance(value, dict):
        for name, row in value.items():
            yield from problems(row, inner[1], f"{place}.{name}")
    elif origin in {Union, types.UnionType} and value is not None and (some := _the_one(inner)):
        yield from problems(value, some, place)
    elif not _takes(value, kind):
        yield f"{place} takes {describe(kind)}, not {shown(value)}"
    elif low and (value < low[0] or (value == low[0] and low[1])):
        yield f"{place} takes {describe(kind)} {'above' if low[1] else 'from'} {low[0]}, not {value}"
    elif isinstance(least, int) and len(value) < least:
        yield f"{place} is empty; it takes {describe(kind)}"


def fields_of(kind: Any) -> dict[str, bool]:
    """Return the fields of a dataclass or struct, and if each is required."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.name: field.required for field in msgspec.structs.fields(kind)}
    rows = dataclasses.fields(kind) if isinstance(kind, type) and dataclasses.is_dataclass(kind) else ()
    missing = dataclasses.MISSING
    return {row.name: row.default is missing and row.default_factory is missing for row in rows if row.init}


def _field_problems(value: dict[str, Any], kind: type, place: str, label: Label) -> Iterator[str]:
    hints, front = get_type_hints(kind, include_extras=True), f"{place}: " if place else ""
    fields = fields_of(kind)
    for name, required in fields.items():
        if name in value:
            yield from problems(value[name], hints[name], f"{place}.{name}".lstrip("."), label)
        elif required:
            yield f"{front}{name} is missing; it takes {describe(hints[name])}"
    if issubclass(kind, msgspec.Struct) and kind.__struct_config__.forbid_unknown_fields:
        unknown = [name for name in value if name not in fields]
        yield from (f"{front}no field is called {name}; there are {', '.join(fields)}" for name in unknown)


def _bare(kind: Any) -> tuple[Any, tuple[float, bool] | None, int | None]:
    """Return a type without its annotations, the bound of its numbers with True if it is exclusive, and the least length."""
    if get_origin(kind) is not Annotated:
        return kind, None, None
    kind, *notes = get_args(kind)
    least = [(note.ge, False) for note in notes if note.ge is not None]
    least += [(note.gt, True) for note in notes if note.gt is not None]
    lengths = (note.min_length for note in notes if note.min_length is not None)
    return kind, next(iter(least), None), next(lengths, None)


def _item(inner: tuple[Any, ...], number: int) -> Any:
    if not inner or inner[-1] is Ellipsis or len(inner) == 1:
        return inner[0] if inner else Any
    return inner[number] if number < len(inner) else Any


def _the_one(inner: tuple[Any, ...]) -> Any:
    """Return the only type of an optional one, None if a value may be of several."""
    others = [each for each in inner if each is not type(None)]
    return others[0] if len(others) == 1 else None


def _takes(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def describe(kind: Any) -> str:
    """Return what a type takes, as part of a sentence."""
    kind, *_ = _bare(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in {Union, types.UnionType}:
        return " or ".join(describe(each) for each in inner)
    if origin in {list, tuple, frozenset, Sequence}:
        return f"a list (each {describe(inner[0])})" if inner and inner[0] is not Any else "a list"
    if names := fields_of(kind):
        return f"a table ({', '.join(names)})"
    return _WORDS.get(kind, _WORDS.get(origin, "any value"))


def unread(rows: Sequence[Any], kind: type, known: Sequence[Any]) -> list[str]:
    """Return the fields of rows that neither the loader's type nor an installed row has."""
    read = set(fields_of(kind)) | {name for row in known for name in row}
    return sorted({name for row in rows if isinstance(row, dict) for name in row} - read)


def same_shape(value: Any, known: Any, place: str, label: Label = lambda _: "") -> Iterator[str]:
    """Yield a sentence for everything that a document lacks or spells otherwise than the installed one.

    Its loader reads a document without a type of its own by name. Lists and tables may grow.
    """
    if isinstance(known, dict) and isinstance(value, dict):
        yield from _names_kept(value, known, place, label)
    elif isinstance(known, list) and isinstance(value, list):
        if known and not value:
            yield f"{place} is empty; the installed file has {len(known)}"
        for number, row in enumerate(value):
            name = label(row)
            where = f"{place}[{number}]{f' ({name})' if name else ''}"
            yield from same_shape(row, _typical(known), where) if known else ()
    elif value is None and isinstance(known, (dict, list)):
        yield f"{place} takes {_like(known)}, not null"
    elif None not in (known, value) and type(value) is not type(known) and not _both_numbers(value, known):
        yield f"{place} takes {_like(known)}, not {shown(value)}"
    elif _both_numbers(value, known) and value < 0 <= known:
        yield f"{place} takes a number from 0, not {value}"


def _names_kept(value: dict[str, Any], known: dict[str, Any], place: str, label: Label) -> Iterator[str]:
    for name, inner in known.items():
        if name in value:
            yield from same_shape(value[name], inner, f"{place}.{name}".lstrip("."), label)
        else:
            yield f"{place + ': ' if place else ''}{name} is missing; it takes {_like(inner)}"


def _typical(rows: list[Any]) -> Any:
    """Return what every row of a list has; None, which any value is like, if they have nothing in common."""
    if all(isinstance(row, dict) for row in rows):
        names = [name for name in rows[0] if all(name in row for row in rows)]
        return {name: _typical([row[name] for row in rows]) for name in names}
    known = [row for row in rows if row is not None]
    same = known and all(type(row) is type(known[0]) or _both_numbers(row, known[0]) for row in known)
    return known[0] if same and not isinstance(known[0], list) else [] if same else None


def _like(known: Any) -> str:
    return _WORDS.get(type(known), "any value")


def _both_numbers(value: Any, known: Any) -> bool:
    return all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (value, known))


def below_zero(row: Any, place: str) -> Iterator[str]:
    """Yield a sentence for each figure of a row that is below zero."""
    if isinstance(row, (int, float)) and row < 0:
        yield f"{place} takes a number from 0, not {row}"
    each = row.items() if isinstance(row, dict) else enumerate(row) if isinstance(row, list) else ()
    for name, inner in each:
        if name not in _FREE:
            yield from below_zero(inner, f"{place}[{name}]" if isinstance(row, list) else f"{place}.{name}")


def provenance(row: Mapping[str, Any], above: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yield a sentence if neither a row nor the document above it names a source and the day it was checked."""
    for name, what in (("source", "where its figures come from"), ("checked", "a day, such as 2026-11-30")):
        value = row.get(name) or above.get(name)
        if not value:
            yield f"{place}: {name} is missing; it takes {what}"
        elif name == "checked" and value is not True and not _is_day(value):
            yield f"{place}: checked takes a day, such as 2026-11-30, not {shown(value)}"


def _is_day(value: Any) -> bool:
    try:
        return bool(dt.date.fromisoformat(value))
    except (TypeError, ValueError):
        return False
