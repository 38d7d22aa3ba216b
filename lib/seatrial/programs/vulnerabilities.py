"""Tells which versions of an engine are too old, and which known vulnerabilities they have, by the catalog's data."""

from __future__ import annotations

from seatrial.catalog.engine_facts import Vulnerability, engine_facts, engine_ids, is_older

UNNUMBERED = {"0", "1"}
"""Versions of a build that does not know its own number."""


def is_too_old(version: str, minimum: str) -> bool:
    """Return True if a version must not be started; a build that does not know its own number may be."""
    return version not in UNNUMBERED and is_older(version, minimum)


def known_vulnerabilities(starts: str, version: str) -> tuple[Vulnerability, ...]:
    """Return the vulnerabilities of this version that a newer one closed.

    Args:
        starts: Program or module that starts the engine, see ``Program``.
        version: The program's own version.

    """
    for facts in map(engine_facts, engine_ids()):
        for row in facts.programs:
            if row.starts == starts:
                closed = [each for each in facts.versions.vulnerabilities if each.below]
                # Packages numbered otherwise than their engine have one bound for all of its vulnerabilities.
                return tuple(each for each in closed if is_too_old(version, row.minimum or each.below or ""))
    return ()
