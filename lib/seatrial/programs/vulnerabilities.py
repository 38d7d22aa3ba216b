"""Which versions of an engine are too old, and the known security holes they have; both are data of the catalog."""

from __future__ import annotations

from seatrial.catalog.engine_facts import Vulnerability, engine_facts, engine_ids, is_older

UNNUMBERED = {"0", "1"}
"""Versions that a build tells which does not know its own number."""


def is_too_old(version: str, minimum: str) -> bool:
    """Whether a version must not be started; a build that does not know its own number is taken as it is."""
    return version not in UNNUMBERED and is_older(version, minimum)


def known_vulnerabilities(starts: str, version: str) -> tuple[Vulnerability, ...]:
    """The holes of this version that newer ones have not.

    Args:
        starts: What starts the engine, see ``Program``.
        version: The program's own version.

    """
    for facts in map(engine_facts, engine_ids()):
        for row in facts.programs:
            if row.starts == starts:
                closed = [hole for hole in facts.versions.vulnerabilities if hole.below]
                # Packages numbered otherwise than their engine have one bound for all of its holes.
                return tuple(hole for hole in closed if is_too_old(version, row.minimum or hole.below or ""))
    return ()
