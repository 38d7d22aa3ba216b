"""What is known of each engine: versions and holes, the programs that start it, how its failures read.

One data file an engine in ``engines/``; the module of the same name in ``seatrial.engines`` writes its commands.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from seatrial.catalog.engine_rows import (
    DraftFlags,
    Install,
    Planning,
    Program,
    Requirement,
    Setting,
    Versions,
    Vulnerability,
)
from seatrial.errors import UsageError
from seatrial.records import from_dict

_FACTS = Path(__file__).with_name("engines")
REMEDY = "docs/adding-an-engine.md says what belongs in it."

__all__ = [
    "DraftFlags",
    "EngineFacts",
    "Failure",
    "Install",
    "Metrics",
    "Phase",
    "Planning",
    "Program",
    "Requirement",
    "Setting",
    "Versions",
    "Vulnerability",
    "engine_facts",
    "engine_ids",
    "is_newer",
    "is_older",
    "loaders",
    "planned_as",
    "program_of",
]


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
        kind: ``general`` gives way to any ``cause``, a ``consequence`` of another failure to both, and what is
            ``vague`` to all.
        phase: Phase of the start in which it happens, where the line alone says so.

    """

    cause: str
    what: str
    remedy: str
    source: str
    checked: str
    pattern: str = ""
    signal: str = ""
    kind: Literal["cause", "general", "consequence", "vague"] = "cause"
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Which Prometheus series of the engine's ``/metrics`` say what; series of one name are added up.

    Attributes:
        source: Where the names stand.
        checked: When they were looked up.
        running: Requests being served.
        waiting: Requests that queue.
        kv_cache_usage: Share of the KV cache that is taken, 0 to 1.
        generated_tokens: Tokens generated since the start.
        prompt_tokens: Prompt tokens read since the start.
        none: Why there are none, for an engine without metrics.

    """

    source: str
    checked: str
    running: str | None = None
    waiting: str | None = None
    kv_cache_usage: str | None = None
    generated_tokens: str | None = None
    prompt_tokens: str | None = None
    none: str | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of an engine's start, and how its log shows it.

    Rows stand in the order in which they come; one name may stand in several rows.

    Attributes:
        name: What the engine does then, as a person would say it.
        pattern: Regular expression, searched line by line. Groups, all optional: ``done`` and ``total`` count
            parts (shards, graphs), ``step`` names the pass that they count in.
        source: Where it is known from.
        checked: When.
        helps: What usually helps where an engine stalls here.

    """

    name: str
    pattern: str
    source: str
    checked: str
    helps: str = ""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """One engine.

    Attributes:
        title: Its name as people write it.
        summary: What it is, in a line.
        versions: See ``Versions``.
        planning: See ``Planning``.
        metrics: See ``Metrics``.
        programs: Ways to start it; the one that is taken first stands first.
        requires: What a machine must have for it.
        unrestricted: Why a machine need have nothing in particular, where ``requires`` is empty.
        failures: Its own failures; the first that is found decides.
        phases: Phases of its start, in order; empty where its log does not tell.
        tune: Settings ``seatrial tune`` may change, those that usually matter most first.
        install: How it is put into an environment of its own, None where the kit does not do that.

    """

    title: str
    summary: str
    versions: Versions
    planning: Planning
    metrics: Metrics
    programs: tuple[Program, ...] = ()
    requires: tuple[Requirement, ...] = ()
    unrestricted: str = ""
    failures: tuple[Failure, ...] = ()
    phases: tuple[Phase, ...] = ()
    tune: tuple[Setting, ...] = ()
    install: Install | None = None


@cache
def engine_facts(engine: str) -> EngineFacts:
    """The facts of one engine of ``engine_ids``.

    Raises:
        UsageError: Its data file is no TOML, or lacks what every engine has; the message names both.

    """
    path = _FACTS / f"{engine}.toml"
    try:
        return from_dict(EngineFacts, tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValueError, UsageError) as error:
        why = str(error).partition("\n")[0]
        raise UsageError(f"The data file of {engine} cannot be used, {path}: {why}", remedy=REMEDY) from error


@cache
def engine_ids() -> tuple[str, ...]:
    """Every engine that has a data file, in the order lists name them."""
    names = sorted(path.stem for path in _FACTS.glob("*.toml"))
    return tuple(sorted(names, key=lambda name: engine_facts(name).planning.order))


def planned_as(engine: str) -> str:
    """The engine whose formulas, rules and checkpoints hold for ``engine``: mostly itself."""
    return engine_facts(engine).planning.like or engine


@cache
def loaders(checkpoint_format: str) -> tuple[str, ...]:
    """Engines with formulas of their own that load a format ("gguf", "safetensors", "mlx"), the preferred first."""
    rows = ((name, engine_facts(name).planning) for name in engine_ids())
    return tuple(name for name, row in rows if row.like is None and checkpoint_format in row.formats)


def program_of(argv: Sequence[str]) -> Program | None:
    """The way to start an engine that a command takes, None where it is none of these."""
    starts = argv[2] if tuple(argv[1:2]) == ("-m",) else Path(argv[0]).name
    rows = (row for name in engine_ids() for row in engine_facts(name).programs)
    return next((row for row in rows if row.starts == starts), None)


def is_older(version: str, minimum: str) -> bool:
    """Whether ``version`` comes before ``minimum``; numbers are compared, anything else is ignored."""
    return _numbers(version) < _numbers(minimum)


def is_newer(version: str, most: str) -> bool:
    """Whether ``version`` comes after ``most``, as far as that is written: 3.13.5 is no newer than 3.13."""
    wanted = _numbers(most)
    return _numbers(version)[: len(wanted)] > wanted


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
