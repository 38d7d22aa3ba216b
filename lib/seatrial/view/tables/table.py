"""Tables for the terminal, a notebook and the report.

Cells are plain text everywhere: model output, logs and file names lose escape codes and
direction marks, are escaped for HTML, and are never read as markup.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.view.untrusted import plain_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group
    from rich.table import Table as RichTable

Row = tuple[str, ...]

_UNBROKEN = 18  # a column of cells this short is never folded in the terminal
_NARROW = 30  # the first column is at least this wide, or hub ids fall apart; else each row becomes a few lines
_PROSE = 80  # first cells longer than this are sentences: folded to at least half of it, and at most to _LONGEST
_LONGEST = 100  # longer lines of prose are hard to read, however wide the terminal is


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a title that says the finding.

    Attributes:
        title: One line.
        columns: Headings; one that ends in ``>`` is right-aligned, and shown without the ``>``.
        rows: Cells, as many in each row as there are columns.
        note: Line below: sources, units, assumptions.
        details: Line under each row's first cell (a source, a remark), one for each row; or empty.
        unfolded: Headings of columns that people copy from (names, addresses): a grid never folds them.

    """

    title: str
    columns: Row
    rows: tuple[Row, ...]
    note: str = ""
    details: Row = ()
    unfolded: Row = ()

    def __post_init__(self) -> None:
        """Remove invisible characters from every text."""
        object.__setattr__(self, "title", plain_text(self.title))
        object.__setattr__(self, "columns", tuple(map(plain_text, self.columns)))
        object.__setattr__(self, "rows", tuple(tuple(map(plain_text, row)) for row in self.rows))
        object.__setattr__(self, "note", plain_text(self.note))
        object.__setattr__(self, "details", tuple(map(plain_text, self.details)))

    def to_rich(self) -> Group:
        """Return the table for the terminal; title and note take the terminal's width, not the table's."""
        from rich.console import Group
        from rich.text import Text

        note = [Text(self.note, style="dim")] if self.note else []
        return Group(Text(self.title, style="bold"), _Body(self), *note)

    def to_html(self) -> str:
        """Return the table for a notebook, with every cell escaped."""
        aligned = ["right" if heading.endswith(">") else "left" for heading in self.columns]

        def line(tag: str, cells: Row) -> str:
            inner = "".join(
                f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
                for side, cell in zip(aligned, cells, strict=True)
            )
            return f"<tr>{inner}</tr>"

        head = line("th", tuple(heading.rstrip(">") for heading in self.columns))
        body = "".join(
            line("td", row).replace("</td>", f"<br><small>{html.escape(detail)}</small></td>", 1 if detail else 0)
            for row, detail in self.detailed_rows()
        )
        lines = html.escape(self.note).replace("\n", "<br>")
        note = f"<p><small>{lines}</small></p>" if self.note else ""
        return (
            f'<div class="seatrial-table"><p><strong>{html.escape(self.title)}</strong></p>'
            f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{note}</div>"
        )

    def to_text(self) -> str:
        """Return aligned plain text, which a notebook keeps and nbval compares."""
        heads = tuple(heading.rstrip(">") for heading in self.columns)
        widths = [max(map(len, column)) for column in zip(heads, *self.rows, strict=True)]

        def line(cells: Row) -> str:
            padded = (
                cell.rjust(width) if heading.endswith(">") else cell.ljust(width)
                for cell, width, heading in zip(cells, widths, self.columns, strict=True)
            )
            return "  ".join(padded).rstrip()

        rule = "  ".join("-" * width for width in widths)
        body = [
            text for row, detail in self.detailed_rows() for text in (line(row), f"    {detail}")[: 2 if detail else 1]
        ]
        lines = [self.title, line(heads), rule, *body]
        return "\n".join([*lines, self.note] if self.note else lines)

    def detailed_rows(self) -> Iterator[tuple[Row, str]]:
        """Return each row with its detail; empty if it has none."""
        return zip(self.rows, self.details or ("",) * len(self.rows), strict=True)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.to_html(), "text/plain": self.to_text()}


@dataclass(frozen=True, slots=True)
class _Body:
    """Rows as a grid, or below one another in a terminal too narrow for a grid."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RichTable | Group]:
        """Yield a grid, or lines if the width does not do for a grid."""
        widths = [max(map(len, column)) for column in zip(self.table.columns, *self.table.rows, strict=True)]
        first_whole, *others_whole = (heading in self.table.unfolded for heading in self.table.columns)
        kept = zip(widths[1:], others_whole, strict=True)
        others = sum((width if whole else min(width, _UNBROKEN)) + 1 for width, whole in kept)
        least = _PROSE // 2 if widths[0] > _PROSE else widths[0] if first_whole else min(_NARROW, widths[0])
        enough = least + others + 2 <= options.max_width
        yield self._grid() if enough else self._lines()

    def _grid(self) -> RichTable:
        from rich import box
        from rich.console import Group
        from rich.padding import Padding
        from rich.table import Table as RichTable
        from rich.text import Text

        grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        below = self.table.details  # under the first cells, so that the first column must give way to them too
        for heading, *cells in zip(self.table.columns, *self.table.rows, strict=True):
            grid.add_column(
                Text(heading.rstrip(">")),
                justify="right" if heading.endswith(">") else "left",
                overflow="fold",
                max_width=_LONGEST if not grid.columns and max(map(len, cells), default=0) > _PROSE else None,
                no_wrap=heading in self.table.unfolded or max(map(len, [*cells, *below]), default=0) <= _UNBROKEN,
            )
            below = ()
        for (first, *others), detail in self.table.detailed_rows():
            below_first = [Padding(Text(detail, style="dim"), (0, 0, 0, 2))] if detail else []
            grid.add_row(Group(Text(first), *below_first), *map(Text, others))
        return grid

    def _lines(self) -> Group:
        from rich.console import Group
        from rich.padding import Padding
        from rich.text import Text

        heads = [heading.rstrip(">") for heading in self.table.columns[1:]]
        lines: list[Text | Padding] = []
        for (first, *others), detail in self.table.detailed_rows():
            named = (f"{head} {cell}".strip() for head, cell in zip(heads, others, strict=True) if cell)
            lines += [Text(first, overflow="fold"), Padding(Text(", ".join(named), overflow="fold"), (0, 0, 0, 2))]
            lines += [Padding(Text(detail, style="dim", overflow="fold"), (0, 0, 0, 2))] if detail else []
        return Group(*lines)
