"""Rows of a series as columns of a record: each name once, times in whole microseconds, a value that never changes once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from itertools import accumulate, zip_longest
from typing import Annotated, Any, Generic, TypeVar, get_args, get_type_hints

import msgspec

from seatrial.errors import UsageError

_DIGITS = 5
"""Significant digits of a rate or share: more than a reading has."""
_MOST_ROWS, _MOST_CELLS = 1_000_000, 50_000_000
"""A short file may ask for endless cells: a column of one value is as long as the times say."""
_US, _GAPS = 1_000_000, 10_000
"""Times are counted in microseconds, gaps between chunks in tenths of a millisecond."""

_Time = Annotated[int, msgspec.Meta(ge=-(1 << 53), le=1 << 53)]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Layout(Generic[T]):
    """How the rows of one type become columns."""

    kind: type[T]
    first: str  # time (a field ``..._s``) that every row has; counted from the row before
    times: Mapping[str, str] = field(default_factory=dict)  # other times, each with the one that it is counted from
    wide: frozenset[str] = frozenset()  # one value for each GPU: a column for each of them
    gaps: str = ""  # many durations a row: a list for each row
    left_out: Mapping[str, Any] = field(default_factory=dict)  # what no record keeps, with what stands for it

    @property
    def fields(self) -> tuple[Field[Any], ...]:
        """Fields that become columns."""
        return tuple(one for one in fields(self.kind) if one.name not in self.left_out)  # type: ignore[arg-type]

    def named(self, name: str) -> str:
        """Return the column of a field: its name, with the unit in which it is counted."""
        if name == self.first or name in self.times:
            return f"{name.removesuffix('_s')}_us"
        return f"{name.removesuffix('_s')}_100us" if name == self.gaps else name


def to_columns(rows: Sequence[T], layout: Layout[T], *, gaps: bool = True) -> dict[str, Any]:
    """Return the columns of ``rows``: a list, or one value if it is the same in all rows."""
    columns: dict[str, Any] = {}
    moments = {name: [_whole(getattr(row, name), _US) for row in rows] for name in (layout.first, *layout.times)}
    for one in layout.fields:
        values = [getattr(row, one.name) for row in rows]
        column: Any
        if one.name == layout.first:
            before = [0, *(at or 0 for at in moments[one.name])]
            column = [(at or 0) - start for at, start in zip(moments[one.name], before, strict=False)]
        elif one.name in layout.times:
            starts = moments[layout.times[one.name]]
            pairs = zip(moments[one.name], starts, strict=True)
            column = _once([None if at is None else at - (start or 0) for at, start in pairs])
        elif one.name == layout.gaps:
            column = [[_whole(gap, _GAPS) or 0 for gap in row] for row in values] if gaps and any(values) else None
        elif one.name in layout.wide:
            gpus = [_once([_rounded(value) for value in gpu]) for gpu in zip_longest(*values)]
            column = gpus if any(gpu is not None for gpu in gpus) else None
        else:
            column = _once([_rounded(value) for value in values])
        needed = one.name == layout.first or (one.default is MISSING and column is not None)
        if rows and (needed or (column is not None and column != one.default)):
            columns[layout.named(one.name)] = column
    return columns


def from_columns(columns: Any, layout: Layout[T]) -> tuple[T, ...]:
    """Return the rows behind the result of ``to_columns``; what was left out has its default.

    Raises:
        UsageError: If a column has the wrong type or length, or there are too many rows.

    """
    if columns == {}:
        return ()
    what = f"The columns of {layout.kind.__name__}"
    try:
        read = msgspec.to_builtins(msgspec.convert(columns, columns_type(layout)))
    except (msgspec.ValidationError, RecursionError) as error:
        raise UsageError(f"{what} cannot be read: {error}.", remedy=_REMEDY) from error
    count = len(read[layout.named(layout.first)])
    gpus = sum(len(read[name]) for name in layout.wide)
    if count > _MOST_ROWS or count * (gpus + len(read)) > _MOST_CELLS:
        raise UsageError(f"{what} have {count:,} rows of {gpus + len(read):,}, too many.", remedy=_REMEDY)
    try:
        whole = _rows_of(read, count, layout)
    except ValueError as error:
        raise UsageError(f"{what} differ in length: {error}.", remedy=_REMEDY) from error
    return tuple(layout.kind(**dict(zip(whole, row, strict=True))) for row in zip(*whole.values(), strict=True))


_REMEDY = "Write the record again with the command that made it."


def _rows_of(read: dict[str, Any], count: int, layout: Layout[T]) -> dict[str, Sequence[Any]]:
    """Return the values of each field, ``count`` of them."""
    whole: dict[str, Sequence[Any]] = {name: [value] * count for name, value in layout.left_out.items()}
    moments = {layout.first: list(accumulate(read[layout.named(layout.first)]))}
    for name, origin in layout.times.items():
        steps = _all(read[layout.named(name)], count)
        pairs = zip(steps, moments[origin], strict=True)
        moments[name] = [None if step is None else step + (start or 0) for step, start in pairs]
    for one in layout.fields:
        column = read[layout.named(one.name)]
        if one.name in moments:
            whole[one.name] = [None if at is None else at / _US for at in moments[one.name]]
        elif one.name == layout.gaps:
            rows = column or [[]] * count
            whole[one.name] = _all([tuple(gap / _GAPS for gap in row) for row in rows], count)
        elif one.name in layout.wide:
            gpus = list(zip(*(_all(gpu, count) for gpu in column), strict=True)) or [()] * count
            whole[one.name] = [row if any(value is not None for value in row) else () for row in gpus]
        else:
            whole[one.name] = _all(column, count)
    return whole


@cache
def columns_type(layout: Layout[Any]) -> type[Any]:
    """Return the type of the columns: they are read by it, and the schema describes it."""
    hints = get_type_hints(layout.kind)
    described: list[tuple[str, Any, Any]] = []
    for one in layout.fields:
        hint: Any = hints[one.name]
        if one.name == layout.first:
            described.append((layout.named(one.name), list[_Time], msgspec.NODEFAULT))
        elif one.name in layout.times:
            described.append((layout.named(one.name), list[_Time | None] | _Time | None, None))
        elif one.name == layout.gaps:
            described.append((layout.named(one.name), list[list[_Time]], msgspec.field(default_factory=list)))
        elif one.name in layout.wide:
            value: Any = get_args(hint)[0]
            described.append((one.name, list[list[value] | value], msgspec.field(default_factory=list)))
        else:
            default = (
                one.default
                if one.default is not MISSING
                else None
                if type(None) in get_args(hint)
                else msgspec.NODEFAULT
            )
            described.append((one.name, list[hint] | hint, default))
    return msgspec.defstruct(f"{layout.kind.__name__}Columns", described, kw_only=True, frozen=True)


def _whole(seconds: float | None, parts: int) -> int | None:
    """Return a time in parts of a second; None for what is no time."""
    return round(seconds * parts) if seconds is not None and math.isfinite(seconds) else None


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) and math.isfinite(value) else value


def _once(values: list[Any]) -> Any:
    """Return the one value if all are the same, else the list; one row is a value, too."""
    return values[0] if values and all(value == values[0] for value in values) else values or None


def _all(column: Any, count: int) -> Sequence[Any]:
    """Return a column's ``count`` values; raise ValueError if it has another number."""
    if not isinstance(column, list):
        return [column] * count
    if len(column) != count:
        raise ValueError(f"{len(column):,} values for {count:,} rows")
    return column
