"""What is tried on this machine: the engine's table of settings, figures of machine and load filled in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from operator import add, floordiv, mul, sub

from seatrial.engines import Command
from seatrial.engines.settings import VALUE, applies, settings_of, value_of
from seatrial.errors import UnknownNameError, UsageError

_FIGURE = re.compile(r"(cores|streams)(?:([-+*/])(\d{1,4}))?")
_REMEDY = "For example: --server-options threads=1,threads=2,ubatch-size=256."
_OPERATORS = {"+": add, "-": sub, "*": mul, "/": floordiv}

Grid = dict[str, tuple[str, ...]]


def grid_of(
    command: Command,
    figures: Mapping[str, int | None],
    asked: Mapping[str, tuple[str, ...]],
    fits: Callable[[int], bool] = lambda _: True,
) -> Grid:
    """Values to try by setting, without those the command has already.

    Args:
        command: The default, with the program that is installed here.
        figures: What the values of the table are made from: ``cores`` (None leaves those out) and ``streams``.
        asked: What to try instead of the engine's table; empty for the table.
        fits: Whether so many contexts fit in memory.

    Raises:
        UnknownNameError: The engine has no such setting.
        UsageError: Its program has no such setting.

    """
    rows = settings_of(command.engine)
    for name in asked:
        if name not in rows:
            raise UnknownNameError(f"setting of {command.engine}", name, rows)
        if not applies(rows[name], command):
            raise UsageError(
                f"{command.program} has no setting {name}.", remedy="Leave it out, or take another runner."
            )
    chosen = asked or {name: row.values for name, row in rows.items() if not row.answers and applies(row, command)}
    grid = {}
    for name, texts in chosen.items():
        row, now = rows[name], value_of(command, rows[name])
        values = dict.fromkeys(value for text in texts if (value := evaluate(text, figures)) is not None)
        wanted = [value for value in values if value != now and (not row.with_flag or fits(int(value)))]
        if wanted:
            grid[name] = tuple(wanted)
    return grid


def evaluate(text: str, figures: Mapping[str, int | None]) -> str | None:
    """A value of the table as the engine takes it; None where the machine has no such figure, or none above 0."""
    match = _FIGURE.fullmatch(text)
    if match is None:
        return text
    figure = figures[match[1]]
    if figure is None:
        return None
    number: int = _OPERATORS[match[2]](figure, int(match[3])) if match[2] else figure
    return str(number) if number > 0 else None


def parse_grid(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """``threads=1,threads=2,ubatch-size=256`` as values by setting.

    Raises:
        UsageError: That is not what one of them looks like.

    """
    asked: dict[str, tuple[str, ...]] = {}
    for part in (part for text in texts for part in text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not VALUE.fullmatch(name) or not (VALUE.fullmatch(value) or _FIGURE.fullmatch(value)):
            raise UsageError(f"{part[:60]!r} is no setting and value.", remedy=_REMEDY)
        asked[name] = (*asked.get(name, ()), value)
    return asked
