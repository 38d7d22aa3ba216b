"""Checks an installed engine and this machine before anything is downloaded or started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from seatrial.catalog.engine_facts import Program, engine_facts
from seatrial.engines.requirements import Check, CheckedMachine, check_requirements
from seatrial.errors import RefusedError
from seatrial.hardware.limits import read_limits
from seatrial.hardware.types import Hardware
from seatrial.programs.probing import script_python
from seatrial.programs.vulnerabilities import is_too_old, known_vulnerabilities

# A context rather than an argument: one --anyway holds for choosing, checking and launching a plan.
_ANYWAY: ContextVar[bool] = ContextVar("anyway", default=False)


@dataclass(frozen=True, slots=True)
class Installed:
    """A program on this machine that starts an engine."""

    path: str  # absolute path of the program, or of the python that has the module
    version: str | None = None  # version of its package or program, None if unknown
    row: Program | None = None  # its row in the catalog, None for a person's own program


def check_requirements_here(
    engine: str, hardware: Hardware, *, found: Installed | None = None, nodes: int = 1, installing: bool = False
) -> tuple[Check, ...]:
    """Compare what ``engine`` requires with this machine, see ``check_requirements``.

    Args:
        engine: Engine id.
        hardware: This machine, from ``detect_hardware``.
        found: The installed program, None if there is none.
        nodes: Machines that are to work together.
        installing: Also check what matters only for the installation.

    """
    if not engine_facts(engine).requires:
        return ()
    python = (script_python(found.path) or found.path) if found else None
    machine = CheckedMachine(hardware, read_limits(python), nodes, found.version if found else None)
    return check_requirements(engine, machine, installing=installing)


@contextmanager
def proceeding_anyway(*, wanted: bool = True) -> Iterator[None]:
    """Make ``proceeds_anyway`` true in this context: a person gave ``--anyway``."""
    token = _ANYWAY.set(wanted)
    try:
        yield
    finally:
        _ANYWAY.reset(token)


def proceeds_anyway() -> bool:
    """Return True if a person wants to go on although this machine lacks something."""
    return _ANYWAY.get()


def notes_on(checks: Iterable[Check], *, anyway: bool, hint: str) -> list[str]:
    """Return a note on every check that is not ok.

    Args:
        checks: Results of the checks.
        anyway: Note problems too instead of refusing them.
        hint: Sentence for the remedy that names the option to go on.

    Raises:
        RefusedError: If a check is a problem, unless ``anyway``.

    """
    notes = []
    for check in checks:
        if check.status == "problem" and not anyway:
            raise RefusedError(f"{check.found}.", remedy=f"{check.remedy} {hint}".strip())
        if check.status != "ok":
            notes.append(f"{check.found}. {check.remedy}")
    return notes


def check_version(found: Installed) -> None:
    """Refuse a program that is too old; ``--anyway`` does not help, since old versions have vulnerabilities.

    Raises:
        RefusedError: If it is older than the oldest version that is started.

    """
    if why := why_too_old(found):
        raise RefusedError(f"{why}.", remedy=found.row.remedy if found.row else "")


def why_too_old(found: Installed) -> str:
    """Return why an installed program must not be started, empty if it is new enough or its version unknown."""
    row, version = found.row, found.version
    if row is None or version is None or row.minimum is None or not is_too_old(version, row.minimum):
        return ""
    vulnerabilities = known_vulnerabilities(row.starts, version)
    named = "; ".join(f"{each.what} ({', '.join(each.ids)})" for each in vulnerabilities)
    why = (
        f"it has known vulnerabilities: {named}"
        if vulnerabilities
        else "older ones have known holes or do not run DeepSeek V4"
    )
    return f"{row.package} {version} is installed, but {row.minimum} or newer is needed: {why}"
