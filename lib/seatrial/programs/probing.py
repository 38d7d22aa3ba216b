"""Asks a program or a python which version of an engine it holds, and which flags it takes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from seatrial.catalog.engine_facts import Program

PROBE_S = 60.0
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
# Says which of the modules named after the package are missing, then the package's version.
_ASK_PYTHON = (
    "import importlib.metadata as m, importlib.util as u, sys;"
    "print(','.join(n for n in sys.argv[2:] if not u.find_spec(n)));"
    "print(next((d.version for d in m.distributions(name=sys.argv[1])), ''))"
)
# A script that pip installed names its python in the first line, or in the second where the path is long.
SCRIPT_PYTHON = re.compile(r"\A#!\s*(\S*python\S*)|\A#!/bin/sh\n'''exec' \"?(/[^\"\n]*?python[\d.]*)\"? ")


def installed_here(row: Program, wanted: tuple[str, ...]) -> tuple[list[str], str | None]:
    """Which of the modules ``wanted`` are missing here, and the version of the row's package."""
    absent = [name for name in wanted if find_spec(name) is None]
    try:
        return absent, metadata.version(row.package)
    except metadata.PackageNotFoundError:
        return absent, None


def installed_there(
    row: Program, wanted: tuple[str, ...], python: str, limit_s: float = PROBE_S
) -> tuple[list[str], str | None]:
    """The same for another python, within ``limit_s`` seconds; one that does not answer has nothing."""
    argv = (python, "-c", _ASK_PYTHON, row.package, *wanted)
    told = _run(argv, limit_s).splitlines()
    if len(told) != 2:  # noqa: PLR2004 -- missing modules, version
        return list(wanted), None
    return [name for name in told[0].split(",") if name], told[1] or None


def program_version(row: Program, path: str, limit_s: float = PROBE_S) -> str | None:
    """What its python has installed, for a script of pip's (that takes no import); else what it says itself."""
    python = script_python(path)
    version = installed_there(row, (), python, limit_s)[1] if python else None
    if version is None and row.version:
        match = re.search(row.version_pattern, _told(path, row.version, limit_s))
        version = match[1] if match else None
    return version


def script_python(path: str) -> str | None:
    """The python a script of pip's runs in, None for any other program."""
    try:
        with Path(path).open("rb") as stream:
            match = SCRIPT_PYTHON.match(stream.read(1024).decode(errors="replace"))
    except OSError:
        return None
    python = (match[1] or match[2]) if match else None
    return python if python and os.access(python, os.X_OK) else None


def _told(path: str, arguments: tuple[str, ...], limit_s: float = PROBE_S) -> str:
    """What a program prints, remembered until its file changes."""
    status = Path(path).stat()
    return _told_once(path, arguments, limit_s, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=64)
def _told_once(path: str, arguments: tuple[str, ...], limit_s: float, _stamp: tuple[int, int]) -> str:
    return _run((path, *arguments), limit_s)


def _run(argv: tuple[str, ...], limit_s: float) -> str:
    """What a program prints; nothing of it is left where it takes too long."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired), _asked(argv) as process:
        told, errors = process.communicate(timeout=limit_s)
        return told + errors
    return ""


@contextlib.contextmanager
def _asked(argv: tuple[str, ...]) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, which ends with this context whatever it started."""
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    process = subprocess.Popen(
        argv, stdin=null, stdout=pipe, stderr=pipe, text=True, errors="replace", start_new_session=True, cwd="/"
    )  # in a folder of nobody's: `python -c` imports from the one it stands in
    try:
        yield process
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
        process.wait()


def flags_taken(row: Program, path: str) -> frozenset[str]:
    """Every long flag a program's own help names."""
    return frozenset(FLAG.findall(_told(path, row.help)))


def slow_flags_taken(row: Program, path: str) -> tuple[frozenset[str], str]:
    """The same of an engine that takes seconds to say so, and the last line it said."""
    module = ("-m", row.starts) if row.imports else ()
    told = _run((path, *module, *row.slow_help), PROBE_S)
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return frozenset(FLAG.findall(told)), lines[-1] if lines else "nothing within a minute"
