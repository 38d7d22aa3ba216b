"""What every step of a GPU proof uses: the run it belongs to, its outcomes, and the kit's command line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu.pack import Manifest

Figures = dict[str, Any]

LIMIT_S = 60.0
"""Seconds that a command of a step may take."""


class Failed(Exception):  # noqa: N818 -- an outcome of a step
    """A step that did not show what it should; ``figures`` is what it saw."""

    def __init__(self, why: str, figures: Figures | None = None) -> None:
        super().__init__(why)
        self.figures = figures or {}


class Skipped(Exception):  # noqa: N818 -- an outcome of a step
    """A step that cannot be done on this machine, and why."""


@dataclass(frozen=True, slots=True)
class Site:
    """The run a step belongs to."""

    pack: Path
    manifest: Manifest
    work: Path  # scratch folder of the run, with the result of each earlier step
    rehearsal: bool

    def figures(self, step: str) -> Figures:
        """Return the figures of an earlier step, empty if it has none."""
        try:
            document: Figures = json.loads((self.work / f"{step}.json").read_text(encoding="utf-8"))["figures"]
        except (OSError, ValueError, KeyError):
            return {}
        return document


def kit(*words: str, limit_s: float = LIMIT_S, accepted: tuple[int, ...] = (0,)) -> Any:
    """Run a command of the kit and return its document.

    Raises:
        Failed: If it ends with an exit code that is not ``accepted``.

    """
    return json.loads(output([sys.executable, "-m", "seatrial", *words, "--json"], limit_s, accepted))


def output(command: list[str], limit_s: float = LIMIT_S, accepted: tuple[int, ...] = (0,)) -> str:
    """Run a program and return what it prints.

    Raises:
        Failed: If it cannot be started, takes longer than ``limit_s``, or its exit code is not ``accepted``.

    """
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(command[1:6])} took longer than {limit_s:.0f} s.") from error
    except OSError as error:
        raise Failed(f"{command[0]} could not be started: {error.strerror}.") from error
    if ended.returncode not in accepted:
        raise Failed(f"{' '.join(command[1:6])} ended with exit code {ended.returncode}: {tail(ended.stderr)}")
    return ended.stdout


def tail(text: str) -> str:
    """Return the last lines of what a program printed, as one line."""
    return " / ".join(line.strip() for line in text.splitlines()[-6:] if line.strip())[:800]
