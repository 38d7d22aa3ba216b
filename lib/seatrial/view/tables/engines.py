"""Engines as a table: which this machine has, how new they are, and how to install the others."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.programs.inventory import EngineProgram
from seatrial.units import counted
from seatrial.view.tables.table import Row, Table

V4 = {True: "yes", False: "no", None: "unknown"}


def table_engines(rows: Sequence[EngineProgram]) -> Table:
    """Return a row for each program: its state and version, and how to mend or install it."""
    ready = sum(row.state == "ready" for row in rows)
    return Table(
        title=f"{counted(ready, 'engine program')} ready on this machine, of {len(rows)} this kit can start",
        columns=("Program", "State", "Version", "Oldest", "V4", "Path, or how to install it"),
        rows=tuple(_row(row) for row in rows),
        note="Oldest: first version without known vulnerabilities that runs what this kit serves. V4: runs DeepSeek V4. "
        "seatrial doctor shows what this machine lacks for each.",
    )


def _row(row: EngineProgram) -> Row:
    return (
        row.title if row.title.casefold() in {row.program, row.engine} else f"{row.title}: {row.program}",
        row.state,
        row.version or ("unknown" if row.path else ""),
        row.minimum or "any",
        _v4(row),
        _told(row),
    )


def _v4(row: EngineProgram) -> str:
    if row.minimum_v4 is None:
        return "no"
    return V4[row.runs_v4] if row.path else f"from {row.minimum_v4}"


def _told(row: EngineProgram) -> str:
    holes = "; ".join(f"{hole.what} ({', '.join(hole.ids)})" for hole in row.holes)
    wrong = f"{row.why.rstrip('.')}." if row.state in {"broken", "too old"} else ""
    return "\n".join(
        filter(None, [row.path or "", wrong, row.remedy, f"Known vulnerabilities: {holes}." if holes else ""])
    )
