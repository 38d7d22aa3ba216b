"""Runs pip or uv: logs their output, counts the download, and names the cause of a failure."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from seatrial.catalog.engine_facts import Failure
from seatrial.errors import EngineError, UsageError
from seatrial.printable import printable
from seatrial.programs.groups import await_end, ending_with_its_group
from seatrial.programs.probing import output_of
from seatrial.programs.search_path import find_on_path, passed_over
from seatrial.records import from_dict
from seatrial.units import counted, format_bytes
from seatrial.writing import open_own

Tool = Literal["uv", "pip"]
# Settings of pip about the source or choice of packages: uv reads none of them.
_PIP_ONLY = re.compile(
    r"(?m)^(?:\S+\.)(index-url|extra-index-url|find-links|no-index|constraint|cert|proxy|trusted-host)="
)
# Would send packages elsewhere than into the environment.
_MISLEADING = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON")
_TAIL_LINES = 8
_KILLED = Failure(
    cause="killed",
    what="something killed it (SIGKILL), as the system does when memory runs out",
    remedy="Give this machine or container more memory, or look who killed it.",
    source="signal(7)",
    checked="2026-11-23",
)
_READ_BACK_BYTES = 256_000
_PACKAGE_LINE = re.compile(
    r"^\s*(?P<what>Collecting|Processing|Downloading|Using cached|Building wheels for collected packages:|"
    r"Building wheel for|Building|Installing collected packages:) "
    r"(?P<name>[^\s(]+)(?: \((?P<size>[\d.]+) ?(?P<unit>[kKMGT]?i?)B\))?"
)
_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
"""pip counts in thousands, uv in binary units."""


@dataclass(frozen=True, slots=True)
class InstallEvent:
    """One step of an installation, for a progress bar."""

    stage: Literal["check", "environment", "download", "build", "install", "prove", "done"]
    text: str  # the step in one line
    done_bytes: int = 0  # packages that are downloaded or on their way
    total_bytes: int = 0  # the whole download


OnEvent = Callable[[InstallEvent], None]


@dataclass(slots=True)
class Steps:
    """Processes of one installation."""

    name: str  # the engine, for messages
    log: Path  # file for their output
    temporary: Path  # folder for what they unpack, on the disk that was checked
    lock: int  # descriptor of the lock, which they hold too, so that nobody begins anew while one of them is left
    report: OnEvent  # called at every step
    total_bytes: int  # the whole download
    done_bytes: int = 0  # the packages so far
    collected: set[str] = field(default_factory=set)  # names of the packages so far

    def run(self, argv: list[str]) -> None:
        """Run one step to its end.

        Raises:
            EngineError: If the step failed, with the cause if its output shows one.

        """
        with self._started(argv) as process, open_own(self.log, append=True) as log:
            log.write(f"$ {' '.join(argv)}\n".encode())
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                self._count(line.decode(errors="replace"))
            await_end(process)
        if process.returncode:
            raise self._failed(process.returncode)

    def _started(self, argv: list[str]) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        """Start a process in a group of its own, which ends with this context whatever it started."""
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(self.temporary),
            start_new_session=True,
            pass_fds=(self.lock,),
        )
        return ending_with_its_group(process)

    def _count(self, line: str) -> None:
        match = _PACKAGE_LINE.match(line)
        if match is None:
            return
        what, name = match["what"], match["name"].rpartition("/")[2].rstrip(",")
        if what in {"Collecting", "Processing"}:
            self.collected.add(name)
        if match["size"] and not name.endswith(".metadata"):
            self.done_bytes += round(float(match["size"]) * _UNITS[match["unit"].upper()])
        if what.startswith("Building"):
            self.report(InstallEvent("build", f"compiling {name}", self.done_bytes, self.total_bytes))
        elif what.startswith("Install"):
            self.report(InstallEvent("install", "unpacking packages", self.done_bytes, self.total_bytes))
        else:
            known = f"{counted(len(self.collected), 'package')} found, " if self.collected else ""
            text = f"{known}{format_bytes(self.done_bytes)} of about {format_bytes(self.total_bytes)}: {name}"
            self.report(InstallEvent("download", text, self.done_bytes, self.total_bytes))

    def _failed(self, code: int) -> EngineError:
        lines = _last_lines(self.log)
        row, evidence = diagnose_installation(lines)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        row = row or (_KILLED if code == -signal.SIGKILL else None)
        what = row.what if row else f"the cause is not known ({how})"
        shown = "\n".join(f"  | {line}" for line in evidence)
        remedy = row.remedy if row else "Read the log."
        return EngineError(
            f"{self.name} could not be installed: {what}.\n{shown}",
            remedy=f"{remedy} The whole log: {self.log}",
            cause=row.cause if row else "unknown",
            evidence=evidence,
        )


def environment(temporary: Path) -> dict[str, str]:
    """Return the variables for pip and uv: the person's own, less those that lead elsewhere."""
    kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    return kept | {
        "TMPDIR": str(temporary),
        "PIP_USER": "0",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_PROGRESS_BAR": "off",
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
    }


def find_uv() -> str:
    """Return the path of uv.

    Raises:
        UsageError: If it is not on PATH.

    """
    found = find_on_path("uv")
    if found is None:
        raise UsageError(f"There is no uv on PATH.{passed_over('uv')}", remedy="Install uv, or use --tool pip.")
    return found


def choose_tool() -> Tool:
    """Return ``uv`` if it is on PATH and pip's own settings name no source of packages, else ``pip``."""
    if not find_on_path("uv"):
        return "pip"
    settings = output_of((sys.executable, "-m", "pip", "config", "list"))
    return "pip" if _PIP_ONLY.search(settings) else "uv"


def diagnose_installation(lines: list[str]) -> tuple[Failure | None, tuple[str, ...]]:
    """Return the row that names the cause, None if no row fits, and the lines that show it."""
    telling = [line for line in lines if line.strip() and not line.lstrip().startswith("WARNING: Location")]
    for row in _causes():
        found = [line for line in telling if re.search(row.pattern, line)]
        if found:
            return row, tuple(printable(line.strip()[:300]) for line in found[-3:])
    return None, tuple(printable(line.rstrip()[:300]) for line in telling[-_TAIL_LINES:])


@cache
def _causes() -> tuple[Failure, ...]:
    text = Path(__file__).with_name("failures.toml").read_text(encoding="utf-8")
    return from_dict(tuple[Failure, ...], tomllib.loads(text)["failures"])


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _READ_BACK_BYTES))
        return stream.read().decode(errors="replace").splitlines()
