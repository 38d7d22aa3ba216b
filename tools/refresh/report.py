"""Says what a new edition of a data file changes: its rows, and what users are told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from refresh.kinds import DataFile
from refresh.schema import shown
from seatrial.printable import shortened

MOVED = 0.1
"""Relative change of a predicted figure from which it is told."""
FIRST, WIDE = 15, 240
"""Lines of each part, and characters of a line, that are printed without --all."""


@dataclass
class Rows:
    """Rows of one list in a data file: what a new edition has more, less and otherwise."""

    file: str
    name: str
    before: int
    after: int
    gained: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    changed: dict[str, list[str]] = field(default_factory=dict)  # parts that differ, by row


@dataclass
class Report:
    """What changes in the data, and for users."""

    rows: list[Rows]
    notes: list[str]  # what a person should know of the file
    users: dict[str, list[str]] = field(default_factory=dict)  # lines by kind of change
    questions: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return asdict(self)

    def to_text(self, *, every: bool) -> str:
        """Return the report for people, all lines or the first of each part."""
        lines = []
        for rows in self.rows:
            counts = f"{len(rows.gained)} gained, {len(rows.lost)} lost, {len(rows.changed)} changed"
            lines.append(f"{rows.file}, {rows.name}: {rows.before} -> {rows.after} ({counts})")
            changed = [f"~ {name}: {'; '.join(parts)}" for name, parts in rows.changed.items()]
            lines += _cut(
                [*(f"+ {name}" for name in rows.gained), *(f"- {name}" for name in rows.lost), *changed], every
            )
        lines += ["", *(f"Note: {note}" for note in self.notes)] if self.notes else []
        lines += ["", f"What changes for users, of {self.questions:,} questions asked:"]
        for name, found in self.users.items():
            lines += [f"{name}: {len(found)}", *_cut(found, every)]
        return "\n".join(lines if any(self.users.values()) else [*lines, "  nothing"])


def _cut(lines: Sequence[str], every: bool) -> list[str]:
    kept = lines if every else [shortened(line, WIDE) for line in lines[:FIRST]]
    more = [f"  ... and {len(lines) - len(kept)} more (--all shows them)"] if len(lines) > len(kept) else []
    return [*(f"  {line}" for line in kept), *more]


def row_changes(file: DataFile, document: Mapping[str, Any]) -> list[Rows]:
    """Return how the lists of a document differ from the installed ones; everything beside lists counts as one."""
    installed, found = file.read(), []
    for name in file.lists:
        rows = Rows(file.name, name, len(installed[name]), len(document.get(name, [])))
        _compare(_by_name(file, installed[name]), _by_name(file, document.get(name, [])), rows)
        found.append(rows)
    rest = [{name: row for name, row in each.items() if name not in file.lists} for each in (installed, document)]
    rows = Rows(file.name, "beside rows", len(rest[0]), len(rest[1]))
    _compare(rest[0], rest[1], rows)
    return [*found, rows] if rows.gained or rows.lost or rows.changed or not found else found


def _by_name(file: DataFile, rows: Sequence[Any]) -> dict[str, Any]:
    return {file.label(row) or shown(row): row for row in rows}


def _compare(old: Mapping[str, Any], new: Mapping[str, Any], rows: Rows) -> None:
    rows.gained = [name for name in new if name not in old]
    rows.lost = [name for name in old if name not in new]
    for name in old:
        if name in new and (parts := list(_parts(old[name], new[name], ""))):
            rows.changed[name] = parts


def _parts(old: Any, new: Any, place: str) -> Iterator[str]:
    """Yield what differs between two values, by name."""
    if old == new:
        return
    if isinstance(old, list) and isinstance(new, list):
        marks = [
            *(f"+{shown(each)}" for each in new if each not in old),
            *(f"-{shown(each)}" for each in old if each not in new),
        ]
        yield f"{place} {' '.join(marks) or 'in another order'}".strip()
        return
    if not (isinstance(old, dict) and isinstance(new, dict)):
        yield f"{place} {shown(old)} -> {shown(new)}".strip()
        return
    for name in [*old, *(name for name in new if name not in old)]:
        where = f"{place} {name}".strip()
        if name not in new:
            yield f"{where} gone (was {shown(old[name])})"
        elif name not in old:
            yield f"{where} new: {shown(new[name])}"
        else:
            yield from _parts(old[name], new[name], where)


def effects(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what users are told otherwise, lines by kind of change, the weightiest first."""
    old, new = before["plans"], after["plans"]
    grouped: dict[str, dict[tuple[str, str], list[str]]] = {name: {} for name in _KINDS}
    told = set()
    for name in [*old, *(name for name in new if name not in old)]:
        subject, _, objective = name.rpartition(", ")
        machine = subject.rpartition(" on ")[2].partition(" with ")[0]
        for kind, text in _changes(old.get(name), new.get(name)):
            place = subject if kind in _KINDS[5:] else machine
            if kind in _KINDS[5:] and " with " in subject:
                continue
            if (place, objective, kind, text) not in told:  # with the engine named it is often the same
                grouped[kind].setdefault((subject, text), []).append(objective)
            told.add((place, objective, kind, text))
    found = {
        kind: [f"{who} ({', '.join(objectives)}): {text}" for (who, text), objectives in rows.items()]
        for kind, rows in grouped.items()
    }
    found["Flags that the engine's parser refuses now"] = _new_lines(before["refused"], after["refused"])
    wrong = [{name: _wrong(row) for name, row in each["evidence"].items()} for each in (before, after)]
    found["Real outcomes that the plan contradicts now"] = _new_lines(*wrong)
    return {kind: lines for kind, lines in found.items() if lines}


_KINDS = ("Verdicts that flip", "Engine, checkpoint or GPUs that change", "Commands that change", "Recipes that change",
          "Speeds that move by more than 10 %", "Machines gained", "Machines lost")  # fmt: skip


def _new_lines(old: Mapping[str, Sequence[str]], new: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{name}: {text}" for name, texts in new.items() for text in texts if text not in old.get(name, ())]


def _wrong(row: Mapping[str, str]) -> list[str]:
    same = row["verdict"] == row["outcome"]
    return [] if same else [f"it was {row['outcome']}, and the plan says {row['verdict']}"]


def _changes(old: Any, new: Any) -> Iterator[tuple[str, str]]:
    """Yield how an answer changes, as kind and sentence."""
    if old is None or new is None:
        yield (_KINDS[5], new["verdict"]) if new else (_KINDS[6], f"was {old['verdict']}")
        return
    choice = [_names(each) for each in (old, new)]
    if old["verdict"] != new["verdict"]:
        why = next((text for text in new.get("reasons", ()) if text not in old.get("reasons", ())), new["why"])
        yield _KINDS[0], f"{old['verdict']} -> {new['verdict']} ({why})"
    elif choice[0] != choice[1]:
        yield _KINDS[1], f"{choice[0]} -> {choice[1]}"
    elif new["verdict"] == "no plan":
        return
    elif parts := [*_parts(old["flags"], new["flags"], ""), *_parts(old["environment"], new["environment"], "")]:
        yield _KINDS[2], "; ".join(parts)
    elif old["recipe"] != new["recipe"]:
        yield _KINDS[3], f"{old['recipe'] or 'none'} -> {new['recipe'] or 'none'}"
    if choice[0] == choice[1] and (moved := list(_moved(old["speed"], new["speed"]))):
        yield _KINDS[4], "; ".join(moved)


def _names(row: Mapping[str, Any]) -> str:
    if row["verdict"] == "no plan":
        return ""
    return f"{row['checkpoint']} with {row['engine']} on {row['GPUs']} GPU{'' if row['GPUs'] == 1 else 's'}"


def _moved(old: Mapping[str, float], new: Mapping[str, float]) -> Iterator[str]:
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield f"{name} gone (was {old[name]:.3g})"
        elif name not in old:
            yield f"{name} new: {new[name]:.3g}"
        elif abs(new[name] - old[name]) > MOVED * max(abs(old[name]), 1e-12):
            yield f"{name} {old[name]:.3g} -> {new[name]:.3g}"


def to_json(report: Report) -> str:
    """Return the report as one JSON document."""
    return json.dumps(report.to_dict(), indent=2, ensure_ascii=False)
