"""The flags each engine's current version accepts, and how older spellings are translated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from seatrial.catalog.engine_facts import is_older, program_of
from seatrial.engines.types import Command
from seatrial.plan.vendor.spellings import LEFT_OUT, join_flags, respell, respell_for

FLAGS = Path(__file__).with_name("flags")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one engine's argument parser takes.

    Attributes:
        version: Engine version the parser was read from.
        source: Where.
        checked: When.
        accepted: Every long flag.
        switches: Flags without a value, as far as the kit uses them.
        choices: Values allowed, for flags that name them.
        python_accepted: The same for a second program of this engine.

    """

    version: str
    source: str
    checked: str
    accepted: frozenset[str]
    switches: frozenset[str]
    choices: Mapping[str, Sequence[str]]
    python_accepted: frozenset[str] = frozenset()


def _has_snapshot(engine: str) -> bool:
    """Whether the flags of that engine were written down."""
    return (FLAGS / f"{engine}.json").is_file()


@cache
def read_snapshot(engine: str) -> Snapshot:
    """The snapshot of an engine that has one."""
    row = json.loads((FLAGS / f"{engine}.json").read_text(encoding="utf-8"))
    for name in {"accepted", "switches", "python_accepted"} & row.keys():
        row[name] = frozenset(row[name])
    return Snapshot(**row)


def translate(engine: str, argv: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Flags as the current version spells them.

    Args:
        engine: Whose flags these are.
        argv: Flags as a recipe wrote them, values apart or joined.

    Returns:
        ``--flag=value`` words, and one sentence for each change.

    """
    words, changes = respell(engine, argv)
    return words, tuple(f"{change.told()}." for change in changes)


def in_version(command: Command, version: str) -> Command:
    """The command as the installed version takes it; one newer than the snapshot is noted.

    Args:
        command: In the flags of the snapshot.
        version: As its program tells it: a wrapper's own number where the engine comes in one.

    """
    command = replace(command, argv=respell_for(command.engine, command.argv, version))
    if not _has_snapshot(command.engine):
        return command
    program = program_of(command.argv)
    known = (program.flags if program else None) or read_snapshot(command.engine).version
    if not is_older(known, version):
        return command
    name = program.package if program else command.engine
    note = f"Flags were checked against {name} {known}; {version} is installed."
    return replace(command, notes=(*command.notes, note))


def rejected(engine: str, argv: Iterable[str]) -> tuple[str, ...]:
    """What the engine's current parser would reject in ``argv``, one sentence each; empty when nothing.

    Args:
        engine: Whose parser.
        argv: Words after the program: flags with joined values, or flags and values apart.

    """
    snapshot = read_snapshot(engine)
    accepted = snapshot.accepted | snapshot.python_accepted
    problems = []
    for word in join_flags(argv):
        if not word.startswith("--"):
            continue
        name, equals, value = word.partition("=")
        base = name if name in accepted else name.partition(".")[0]
        if base not in accepted:
            problems.append(f"{name} is no flag of {engine} {snapshot.version}.")
        elif name in snapshot.switches and equals:
            problems.append(f"{name} takes no value.")
        elif name in snapshot.choices and value not in snapshot.choices[name]:
            problems.append(f"{name} takes one of {', '.join(snapshot.choices[name])}, not {value!r}.")
        elif name in LEFT_OUT:
            problems.append(f"{name} is refused by this kit.")
    return tuple(problems)
