"""Loads what is known of failures: failures.toml for every engine, and the rows of each engine's data file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seatrial.catalog.engine_facts import Failure, engine_facts, engine_ids
from seatrial.records import from_dict

WEIGHTS = {"root": 0, "cause": 0, "general": 1, "consequence": 2, "vague": 3}


@dataclass(frozen=True, slots=True)
class FailurePlace:
    """One phase, with the look of a failure in it; ``failures.toml`` explains the fields of these four types."""

    phase: str
    during: str
    frames: str = ""


@dataclass(frozen=True, slots=True)
class Moments:
    """Patterns of lines that are no failures."""

    words: tuple[str, ...]
    quiet: str
    quoted: str
    led_to: tuple[str, ...]
    ready: str
    again: str
    work: str
    asked: str
    request: str


@dataclass(frozen=True, slots=True)
class ShortagePattern:
    """Pattern of a line with the figures of a memory failure."""

    pattern: str


@dataclass(frozen=True, slots=True)
class FailureTable:
    """Content of ``failures.toml``."""

    places: tuple[FailurePlace, ...]
    moments: Moments
    shortages: tuple[ShortagePattern, ...]
    failures: tuple[Failure, ...]


@cache
def failure_table() -> FailureTable:
    """Load failures.toml: the rows for every engine."""
    return from_dict(FailureTable, tomllib.loads(Path(__file__).with_name("failures.toml").read_text(encoding="utf-8")))


@cache
def known_failures(engine: str) -> tuple[Failure, ...]:
    """Return the rows of this engine, then those of every engine; of rows that match a line the first decides."""
    own = engine_facts(engine).failures if engine in engine_ids() else ()
    return (*own, *failure_table().failures)


def during(phase: str) -> str:
    """Return a phase as a clause: ``while it loaded the weights``; empty if it has none."""
    return next((place.during for place in failure_table().places if place.phase == phase), "")
