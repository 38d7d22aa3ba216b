"""What is known of each engine: versions and holes, the programs that start it, how its failures read.

One data file an engine in ``engines/``; the module of the same name in ``seatrial.engines`` writes its commands.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from seatrial.records import from_dict

FACTS = Path(__file__).with_name("engines")


@dataclass(frozen=True, slots=True)
class Hole:
    """A known security hole.

    Attributes:
        what: What it is.
        ids: Its CVE ids.
        below: First version without it, None where every version has it.

    """

    what: str
    ids: tuple[str, ...]
    below: str | None = None


@dataclass(frozen=True, slots=True)
class DraftFlags:
    """How a kind of draft that no recipe uses is turned on: a sentence and its source."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Versions:
    """Version facts of one engine.

    Attributes:
        why: What makes ``safe`` the oldest.
        install: What to install.
        source: Where this stands.
        checked: When it was looked up.
        safe: Oldest version without known holes that runs what this kit serves; None where any does.
        v4: Oldest version that runs DeepSeek V4, None where none does.
        dspark: Oldest version that uses a DSpark draft, None where not known.
        cuda: CUDA its release is built for, None where it is not bound to one.
        worker_flag: What machines after the first add to the command, None where nothing.
        draft_flags: By kind of draft.
        holes: Known holes.
        gaps: What the engine leaves open by design.

    """

    why: str
    install: str
    source: str
    checked: str
    safe: str | None = None
    v4: str | None = None
    dspark: str | None = None
    cuda: str | None = None
    worker_flag: str | None = None
    draft_flags: Mapping[str, DraftFlags] = field(default_factory=dict)
    holes: tuple[Hole, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """One way to start an engine.

    Attributes:
        starts: Program, or module after ``python -m``, at the front of a command's argv.
        remedy: How to get it.
        package: Name under which it is installed.
        source: Where this is known from.
        checked: When.
        imports: Module that must be importable, None for programs on PATH.
        also: Modules an optional part of the package needs.
        runner: Way to run llama.cpp, None for other engines.
        minimum: Oldest release accepted where the package is numbered otherwise than the engine, else None.
        setting: Environment variable with the path of a python (modules) or program installed elsewhere.
        version: Arguments that make a program print its version.
        version_pattern: Where in that output it stands.

    """

    starts: str
    remedy: str
    package: str
    source: str
    checked: str
    imports: str | None = None
    also: tuple[str, ...] = ()
    runner: str | None = None
    minimum: str | None = None
    setting: str | None = None
    version: tuple[str, ...] = ()
    version_pattern: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """How one failure shows, in a log line or by the signal that ended the process.

    Attributes:
        cause: Its short name.
        what: The cause as a clause of a sentence.
        remedy: What to do next.
        source: Where it is known from.
        checked: When.
        pattern: Regular expression, searched line by line.
        signal: For rows that go by how the process ended: the signal's name.

    """

    cause: str
    what: str
    remedy: str
    source: str
    checked: str
    pattern: str = ""
    signal: str = ""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """One engine.

    Attributes:
        title: Its name as people write it.
        summary: What it is, in a line.
        versions: See ``Versions``.
        programs: Ways to start it; the one that is taken first stands first.
        failures: Its own failures; the first that is found decides.

    """

    title: str
    summary: str
    versions: Versions
    programs: tuple[Program, ...] = ()
    failures: tuple[Failure, ...] = ()


@cache
def engine_facts(engine: str) -> EngineFacts:
    """The facts of one engine of ``engine_ids``."""
    return from_dict(EngineFacts, tomllib.loads((FACTS / f"{engine}.toml").read_text(encoding="utf-8")))


@cache
def engine_ids() -> tuple[str, ...]:
    """Every engine that has a data file."""
    return tuple(sorted(path.stem for path in FACTS.glob("*.toml")))


def is_older(version: str, minimum: str) -> bool:
    """Whether ``version`` comes before ``minimum``; numbers are compared, anything else is ignored."""
    return _numbers(version) < _numbers(minimum)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
