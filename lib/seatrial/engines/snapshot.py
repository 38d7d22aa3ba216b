"""The flags each engine's current version accepts, and how older spellings are translated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seatrial.plan.spellings import LEFT_OUT, join_flags, respell

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


@cache
def read_snapshot(engine: str) -> Snapshot:
    """The snapshot of ``sglang``, ``vllm`` or ``llamacpp``."""
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
