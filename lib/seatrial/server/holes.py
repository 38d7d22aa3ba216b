"""Refuses an engine with known security holes, whatever else is asked for; the holes are data of the catalog."""

from __future__ import annotations

from seatrial.catalog.engine_facts import Hole, Program, engine_facts, engine_ids, is_older
from seatrial.errors import RefusedError

NUMBERLESS = ("0", "1")
"""What builds of llama.cpp say that do not know their own number."""


def refuse_holes(program: Program | None, version: str | None) -> None:
    """Raise where this version of a program is known to have a hole that a newer one has not.

    Args:
        program: What is to be started, None for a program of somebody's own.
        version: Its version, None where it does not tell.

    Raises:
        RefusedError: It has; the holes and their CVE ids are named.

    """
    found = known_holes(program.starts, version) if program and version and version not in NUMBERLESS else ()
    if program and found:
        named = "; ".join(f"{hole.what} ({', '.join(hole.ids)})" for hole in found)
        raise RefusedError(
            f"{program.package} {version} is installed, which has known security holes: {named}.", remedy=program.remedy
        )


def known_holes(starts: str, version: str) -> tuple[Hole, ...]:
    """The holes of this version that newer ones have not.

    Args:
        starts: What starts the engine, see ``Program``.
        version: The program's own version.

    """
    for facts in map(engine_facts, engine_ids()):
        for row in facts.programs:
            if row.starts == starts:
                closed = [hole for hole in facts.versions.holes if hole.below]
                # Packages numbered otherwise than their engine have one bound for all of its holes.
                return tuple(hole for hole in closed if is_older(version, row.minimum or hole.below or ""))
    return ()
