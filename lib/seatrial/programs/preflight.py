"""Whether what is installed, on this machine, is fit to be started: said before anything is downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.catalog.engine_facts import Program, engine_facts
from seatrial.errors import RefusedError
from seatrial.programs.probing import script_python
from seatrial.programs.vulnerabilities import is_too_old, known_vulnerabilities

if TYPE_CHECKING:  # an engine's own process imports this package too, and need not load the planner
    from seatrial.engines.requirements import Check
    from seatrial.hardware.types import Hardware

_INSISTS: ContextVar[bool] = ContextVar("insists", default=False)


@dataclass(frozen=True, slots=True)
class Installed:
    """A way to start an engine that is here.

    Attributes:
        path: The program, or the python that has the module; absolute.
        version: Of its package or program, None where it does not tell.
        row: What the kit knows of it, None for a program of somebody's own.

    """

    path: str
    version: str | None = None
    row: Program | None = None


def check_requirements_here(
    engine: str, hardware: Hardware, *, found: Installed | None = None, nodes: int = 1, installing: bool = False
) -> tuple[Check, ...]:
    """What ``engine`` requires, held against this machine: ``seatrial.engines.requirements.check_requirements``.

    Args:
        engine: Engine id.
        hardware: This machine, from ``detect_hardware``.
        found: The program that is installed, None where none is.
        nodes: Machines that are to work together.
        installing: Also look at what matters only while it is installed.

    """
    from seatrial.engines.requirements import CheckedMachine, check_requirements
    from seatrial.hardware.limits import read_limits

    if not engine_facts(engine).requires:
        return ()
    python = (script_python(found.path) or found.path) if found else None
    machine = CheckedMachine(hardware, read_limits(python), nodes, found.version if found else None)
    return check_requirements(engine, machine, installing=installing)


@contextmanager
def proceeding_anyway(*, wanted: bool = True) -> Iterator[None]:
    """While this holds, what this machine lacks is noted instead of refused: somebody insists (``--anyway``)."""
    token = _INSISTS.set(wanted)
    try:
        yield
    finally:
        _INSISTS.reset(token)


def judged(checks: Iterable[Check], hint: str = "") -> list[str]:
    """Notes on everything that is not right.

    Args:
        checks: What was looked at.
        hint: How a person insists, added to the remedy of what is refused; "" where nobody can: old versions have
            holes.

    Raises:
        RefusedError: Something cannot work, and nobody insists.

    """
    notes = []
    for check in checks:
        if check.status == "problem" and not (hint and _INSISTS.get()):
            raise RefusedError(f"{check.found}.", remedy=f"{check.remedy} {hint}".strip())
        if check.status != "ok":
            notes.append(f"{check.found}. {check.remedy}")
    return notes


def version_check(found: Installed) -> tuple[Check, ...]:
    """Whether an installed program is new enough: one check, none where nobody knows its version."""
    from seatrial.engines.requirements import Check

    row, version = found.row, found.version
    if row is None or version is None or row.minimum is None:
        return ()
    if not is_too_old(version, row.minimum):
        return (Check(row.package, "ok", f"{version}; {row.minimum} or newer is needed"),)
    holes = known_vulnerabilities(row.starts, version)
    named = "; ".join(f"{hole.what} ({', '.join(hole.ids)})" for hole in holes)
    why = f"it has known security holes: {named}" if holes else "older ones have known holes or do not run DeepSeek V4"
    text = f"{row.package} {version} is installed, but {row.minimum} or newer is needed: {why}"
    return (Check(row.package, "problem", text, row.remedy),)
