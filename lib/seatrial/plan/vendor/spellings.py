"""Flags of recipes written for older engines, in the spelling the current one takes, and what changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seatrial.catalog.engine_facts import is_older

LEFT_OUT = frozenset({"--trust-remote-code", "--enable-custom-logit-processor", "--api-key"})
"""Never written: they run code from a model or request, or show the key to every process."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """One flag that is written differently now.

    Attributes:
        engine: Whose flag it is.
        old: As older recipes write it.
        new: As it is written now, None where it is left out.
        why: What became of it.
        source: Where that stands.
        since: Version the old spelling is wrong or deprecated from, None where it never was a flag of its own.
        value: The row is about this value alone.
        beside: The row holds only where one of these flags is there too; empty where it always holds.

    """

    engine: str
    old: str
    new: str | None
    why: str
    source: str
    since: str | None = None
    value: str | None = None
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Respelling:
    """A word of a recipe that was rewritten, and the row that says so; ``after`` is empty where it was left out."""

    before: str
    after: str
    spelling: Spelling

    def told(self) -> str:
        """The change as part of a sentence."""
        row = self.spelling
        since = f"since {row.engine} {row.since}: " if row.since else ""
        before = self.before.replace("=", " ", 1)
        return f"{before} -> {self.after or 'left out'} ({since}{row.why})"


def join_flags(argv: Iterable[str]) -> tuple[str, ...]:
    """``--flag value`` pairs as ``--flag=value``; a flag without a value stays alone."""
    joined: list[str] = []
    for word in argv:
        if word.startswith("--") or not joined or "=" in joined[-1]:
            joined.append(word)
        else:
            joined[-1] += f"={word}"
    return tuple(joined)


def flag_values(argv: Iterable[str]) -> dict[str, str]:
    """Flags of ``argv`` with their values, empty text for switches."""
    return {name: value for name, _, value in (word.partition("=") for word in join_flags(argv))}


def respell(engine: str, argv: Iterable[str]) -> tuple[tuple[str, ...], tuple[Respelling, ...]]:
    """Flags as the current version of the engine takes them.

    Args:
        engine: Whose flags these are.
        argv: Flags as a recipe wrote them, values apart or joined.

    Returns:
        ``--flag=value`` words, and every change of spelling.

    """
    words: list[str] = []
    changes: list[Respelling] = []
    given = join_flags(argv)
    there = set(flag_values(given))
    rows = [row for row in spellings() if row.engine == engine]
    for word in given:
        name, equals, value = word.partition("=")
        if name in LEFT_OUT:
            continue
        row = _row_for(rows, name, value, there)
        if row is None:
            words.append(word)
            continue
        after = "" if row.new is None else row.new if row.value is not None else row.new + equals + value
        changes.append(Respelling(word, after, row))
        words += [after] if after else []
    return tuple(words), tuple(changes)


def respell_for(engine: str, words: Iterable[str], version: str) -> tuple[str, ...]:
    """Flags in the current spelling as an older version of the engine takes them, as far as the rows know it.

    Args:
        engine: Whose flags these are.
        words: A command, flags with joined values or apart.
        version: The version that is to take them.

    """
    rows = [row for row in spellings() if row.engine == engine and row.since and is_older(version, row.since)]
    found: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        before = [row for row in rows if row.new == (word if row.value is not None else name)]
        if not before:
            found.append(word)
            continue
        row = max(before, key=lambda row: len(row.old))  # of several names the long one is no prefix
        found.append(row.old + equals + (value if row.value is None else row.value))
        found += [gone.old for gone in rows if gone.new is None and row.old in gone.beside and gone.old not in found]
    return tuple(found)


def _row_for(rows: Sequence[Spelling], name: str, value: str, there: set[str]) -> Spelling | None:
    for row in rows:
        if row.old == name and row.value in {None, value} and (not row.beside or there.intersection(row.beside)):
            return row
    return None


@cache
def spellings() -> tuple[Spelling, ...]:
    """Every known change, in the order they are tried."""
    document = json.loads(Path(__file__).with_name("spellings.json").read_text(encoding="utf-8"))
    return tuple(Spelling(**{**row, "beside": tuple(row.get("beside", ()))}) for row in document["spellings"])
