"""Checks whether an engine is worth downloading for this machine, and chooses its Python."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import replace

from seatrial import paths
from seatrial.catalog.engine_facts import Install, engine_facts
from seatrial.engines.requirements import Check, CheckedMachine, check_requirements
from seatrial.environment import variable
from seatrial.errors import DoesNotFitError, RefusedError
from seatrial.hardware import detect_hardware
from seatrial.hardware.host import disk_free
from seatrial.hardware.limits import read_limits
from seatrial.programs.preflight import notes_on
from seatrial.programs.probing import output_of
from seatrial.programs.search_path import find_on_path
from seatrial.units import format_bytes

_HINT = "With --anyway it is installed all the same."


def check_machine(engine: str, row: Install, python: str, *, anyway: bool) -> list[str]:
    """Compare the machine with what the engine needs, before anything is downloaded.

    Returns:
        Notes on what is not quite right; with ``anyway`` also on what would be refused.

    Raises:
        RefusedError: If the engine cannot run or be built on this machine.
        DoesNotFitError: If the disk is too small.

    """
    notes = notes_on(_checks(engine, row, python), anyway=anyway, hint=_HINT)
    short = _disk_shortage(row)
    if not short:
        return notes
    elsewhere = "Free some space, or set SEATRIAL_ENGINES to a folder on another disk."
    if not anyway:
        raise DoesNotFitError(short, remedy=f"{elsewhere} {_HINT}")
    return [*notes, f"{short} {elsewhere}"]


def _checks(engine: str, row: Install, python: str) -> Iterator[Check]:
    limits = replace(read_limits(), python=python_version(python))
    machine = CheckedMachine(detect_hardware(), limits)
    always = check_requirements(engine, machine)
    for check in check_requirements(engine, machine, installing=True):
        # A requirement of the installation only would make the whole download useless: it refuses, not warns.
        yield check if check in always or check.status == "ok" else replace(check, status="problem")
    if row.compilers and not any(find_on_path(name) for name in (variable("CXX"), *row.compilers) if name):
        found = f"{row.name} is compiled on this machine, and none of {', '.join(row.compilers)} was found"
        remedy = "Install a C++ compiler. On Debian and Ubuntu: apt install build-essential."
        yield Check(f"{engine_facts(engine).title}: compiler", "problem", found, remedy)


def needed_bytes(row: Install) -> int:
    """Return the free disk an installation needs: the installed size and twice the download (cache and copy)."""
    return row.installed_bytes + 2 * row.download_bytes


def sizes(row: Install) -> str:
    """Return the disk an installation needs, for people."""
    about = "about " if row.origin == "assumed" else ""
    installed, download = format_bytes(row.installed_bytes), format_bytes(row.download_bytes)
    return (
        f"{about}{format_bytes(needed_bytes(row))} of disk ({about}{installed} installed, "
        f"and twice the {download} that are downloaded)"
    )


def _disk_shortage(row: Install) -> str:
    folder = paths.engines_dir()
    free = disk_free(folder)
    if free is None or free >= needed_bytes(row):
        return ""
    return f"{row.name} {row.version} needs {sizes(row)} in {folder}, and {format_bytes(free)} are free."


def find_python(row: Install) -> str:
    """Return a Python the engine may live in, if possible the one that runs the kit.

    Raises:
        RefusedError: If there is none.

    """
    if python_version(sys.executable) in row.pythons:
        return sys.executable
    for version in row.pythons:
        python = find_on_path(f"python{version}")
        if python and python_version(python) == version:
            return python
    raise RefusedError(
        f"{row.name} {row.version} lives in Python {', '.join(row.pythons)}, and this is {platform.python_version()}.",
        remedy=f"Install Python {row.pythons[0]}, so that python{row.pythons[0]} is on PATH.",
    )


def python_version(python: str) -> str:
    """Return the version of a Python as ``3.12``, empty if it does not start."""
    argv = (python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    return output_of(argv).strip()
