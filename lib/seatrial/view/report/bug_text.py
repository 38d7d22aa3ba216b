"""A text to paste into a bug report: what ran on what and what came of it, without secrets and without names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from seatrial.errors import UsageError
from seatrial.measure.summary import find_problems
from seatrial.server.failures.log_file import read_log_text
from seatrial.view.report.anonymous import anonymous
from seatrial.view.report.comparison import Level, levels_table
from seatrial.view.report.content import command_line, failure_of, versions_table
from seatrial.view.report.differences import load_table
from seatrial.view.report.find import head_of
from seatrial.view.report.run_record import RunRecord
from seatrial.view.tables.hardware import tables_hardware
from seatrial.view.tables.table import Table
from seatrial.view.untrusted import plain_text

_LOG_LINES, _LEVELS = 25, 20
_LONGEST, _LONGEST_PART = 20_000, 6_000


def bug_text(run: RunRecord) -> str:
    """Return versions, machine, command, load, figures, notes and the end of the log, ready to paste."""
    lines = [f"seatrial bug report: {run.kind or 'DeepSeek V4'}"]
    for title, part in _parts(run):
        text = part.to_text() if isinstance(part, Table) else part
        shown = plain_text(text, _LONGEST_PART)
        lines += ["", f"## {title}", shown] if shown.strip() else []
    text = anonymous("\n".join(lines))[:_LONGEST]
    longest = max((len(ticks) for ticks in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)  # nothing in a log ends the block
    return f"{fence}text\n{text}\n{fence}\n"


def _parts(run: RunRecord) -> Iterator[tuple[str, Table | str]]:
    yield "Versions", versions_table(run)
    if run.hardware is not None:
        yield "Machine", "\n\n".join(table.to_text() for table in tables_hardware(run.hardware))
    yield "Command", command_line(run.command)
    result = run.measurement
    if result is not None:
        yield "Load", load_table(run)
        yield "Figures", levels_table([Level(run.id, head_of(run), point) for point in result.points], _LEVELS)
        yield (
            "Notes",
            "\n".join(
                [*result.notes, *find_problems(result), *(f"{name}: {why}" for name, why in result.missing.items())]
            ),
        )
    yield "Failures", "\n".join(f"{row.get('notebook')}: {failure_of(row)}" for row in run.failed)
    yield "Damaged", "\n".join(run.problems)
    for name in run.all_logs:
        yield f"Last lines of {name}", "\n".join(_end_of_log(run, name))


def _end_of_log(run: RunRecord, name: str) -> list[str]:
    """Return the last lines of a log of the run; nothing of a file elsewhere that a record names."""
    folder = run.folder.resolve()
    with suppress(UsageError, OSError, ValueError):
        path = (folder / name).resolve()
        if path.suffix == ".log" and path.is_relative_to(folder):
            return list(read_log_text(str(path)).lines[-_LOG_LINES:])
    return []
