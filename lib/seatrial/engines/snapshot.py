"""The flags each engine's current version accepts, read from its own parser (``flags/<engine>.json``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from seatrial.catalog.engine_facts import is_older, program_of
from seatrial.engines.types import Command
from seatrial.flags import Flags
from seatrial.json_text import JsonError, parse_json

FLAGS = Path(__file__).with_name("flags")
NEVER_STARTED = frozenset({"--trust-remote-code", "--enable-custom-logit-processor", "--api-key"})
"""Flags no command may have: they run code from a model or request, or show the key to every process."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one engine's argument parser takes."""

    version: str  # engine version the parser was read from
    source: str
    checked: str  # when
    accepted: frozenset[str]  # every long flag
    switches: frozenset[str]  # flags without a value, as far as the kit uses them
    choices: Mapping[str, Sequence[str]]  # values allowed, for flags that name them
    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of flags that take JSON, or .field=value
    python_accepted: frozenset[str] = frozenset()  # every long flag of a second program of this engine


def has_snapshot(engine: str) -> bool:
    """Return True if the kit has a list of that engine's flags."""
    return (FLAGS / f"{engine}.json").is_file()


@cache
def read_snapshot(engine: str) -> Snapshot:
    """Load the snapshot of an engine that has one."""
    row = parse_json((FLAGS / f"{engine}.json").read_bytes())
    for name in {"accepted", "switches", "python_accepted"} & row.keys():
        row[name] = frozenset(row[name])
    return Snapshot(**row)


def with_version_note(command: Command, version: str) -> Command:
    """Return the command with a note if the installed version is newer than the one its flags were checked against.

    Args:
        command: In the flags of the snapshot.
        version: Installed version in the program's own numbering, which for a wrapper is not the engine's.

    """
    if not has_snapshot(command.engine):
        return command
    program = program_of(command.argv)
    known = (program.flags if program else None) or read_snapshot(command.engine).version
    if not is_older(known, version):
        return command
    name = program.package if program else command.engine
    note = f"Flags were checked against {name} {known}; {version} is installed."
    return replace(command, notes=(*command.notes, note))


def rejected(engine: str, flags: Flags) -> tuple[str, ...]:
    """Return what the engine's current parser would reject, one sentence each; empty if it takes all of them."""
    snapshot = read_snapshot(engine)
    accepted = snapshot.accepted | snapshot.python_accepted
    problems = []
    for name, value in flags.items():
        base, _, given = (name, "", "") if name in accepted else name.partition(".")
        unknown = _keys(given, value) - {*snapshot.fields.get(base, _keys(given, value))}
        if base not in accepted:
            problems.append(f"{name} is no flag of {engine} {snapshot.version}.")
        elif name in snapshot.switches and value is not None:
            problems.append(f"{name} takes no value.")
        elif name in snapshot.choices and value not in snapshot.choices[name]:
            problems.append(f"{name} takes one of {', '.join(snapshot.choices[name])}, not {value or ''!r}.")
        elif unknown:
            problems.append(f"{name} knows no {' and no '.join(sorted(unknown))} in {engine} {snapshot.version}.")
        elif name in NEVER_STARTED:
            problems.append(f"{name} is refused by this kit.")
    return tuple(problems)


def _keys(given: str, value: str | None) -> set[str]:
    """Return the fields that a flag sets: the one after its dot, else those of its JSON."""
    if given:
        return {given.partition(".")[0]}
    try:
        found = parse_json(value or "")
    except JsonError:
        return set()
    return set(found) if isinstance(found, dict) else set()
