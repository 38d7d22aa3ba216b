"""Values to try on this machine: the engine's table of settings, with this machine's cores and the load filled in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from operator import add, floordiv, mul, sub

from seatrial.engines import Command
from seatrial.engines.settings import VALUE, applies, settings_of, value_of
from seatrial.errors import UnknownNameError, UsageError

_FIGURE = re.compile(r"(cores|streams)(?:([-+*/])(\d{1,4}))?")
_OPERATORS = {"+": add, "-": sub, "*": mul, "/": floordiv}

Grid = dict[str, tuple[str, ...]]


def grid_of(
    command: Command,
    figures: Mapping[str, int | None],
    values: Mapping[str, tuple[str, ...]],
    fits: Callable[[int], bool] = lambda _: True,
) -> Grid:
    """Return the values to try by setting, without those the command has already.

    Args:
        command: The default, with the program that is installed.
        figures: ``cores`` and ``streams``, from which values of the table are made; None leaves those values out.
        values: What to try instead of the engine's table; empty for the table.
        fits: Returns True if so many contexts fit in memory.

    Raises:
        UsageError: If the engine or its program has no such setting.

    """
    rows = settings_of(command.engine)
    for name in values:
        if name not in rows:
            raise UnknownNameError(f"setting of {command.engine}", name, rows)
        if not applies(rows[name], command):
            raise UsageError(
                f"{command.program} has no setting {name}.", remedy="Leave it out, or take another runner."
            )
    chosen = values or {name: row.values for name, row in rows.items() if not row.answers and applies(row, command)}
    grid = {}
    for name, texts in chosen.items():
        row, now = rows[name], value_of(command, rows[name])
        known = dict.fromkeys(value for text in texts if (value := evaluate(text, figures)) is not None)
        wanted = [value for value in known if value != now and (not row.with_flag or fits(int(value)))]
        if wanted:
            grid[name] = tuple(wanted)
    return grid


def evaluate(text: str, figures: Mapping[str, int | None]) -> str | None:
    """Return a value of the table as the engine takes it, None if the figure is unknown or comes out below 1."""
    match = _FIGURE.fullmatch(text)
    if match is None:
        return text
    figure = figures[match[1]]
    if figure is None:
        return None
    number: int = _OPERATORS[match[2]](figure, int(match[3])) if match[2] else figure
    return str(number) if number > 0 else None


def parse_grid(texts: Iterable[str]) -> Grid:
    """Return ``threads=1,threads=2,ubatch-size=256`` as values by setting; raise UsageError for anything else."""
    values: Grid = {}
    for part in (part for text in texts for part in text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not VALUE.fullmatch(name) or not (VALUE.fullmatch(value) or _FIGURE.fullmatch(value)):
            raise UsageError(
                f"{part[:60]!r} is no setting and value.",
                remedy="For example: --server-options threads=1,threads=2,ubatch-size=256.",
            )
        values[name] = (*values.get(name, ()), value)
    return values
