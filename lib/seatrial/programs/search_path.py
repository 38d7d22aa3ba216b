"""Finds a program on PATH, but only in places that no other user can write to.

A relative entry of PATH is another folder in each working directory (a downloaded model's, for instance), and anybody
can put a ``llama-server`` into a folder that everybody may write to.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def find_on_path(name: str) -> str | None:
    """Return the absolute path of a program, None if there is no trustworthy one."""
    return next((path for path, why in _candidates(name) if not why), None)


def passed_over(name: str) -> str:
    """Return why a program of this name on PATH was not taken, as a sentence to append; empty if there is none."""
    found = [f"{path} was passed over: {why}." for path, why in _candidates(name) if why]
    return f" {found[0]}" if found else ""


def _candidates(name: str) -> list[tuple[str, str]]:
    """Return every program of this name with the reason against it, empty if there is none."""
    found = []
    for entry in os.get_exec_path():
        path = Path(entry or ".") / name
        if path.is_file() and os.access(path, os.X_OK):
            relative = not Path(entry).is_absolute()
            found.append((str(path), "its PATH entry is relative" if relative else _open_to_others(path)))
    return found


def _open_to_others(path: Path) -> str:
    for one in (path, path.parent, path.resolve().parent):
        try:
            if one.stat().st_mode & stat.S_IWOTH:
                return f"everybody may write to {one}"
        except OSError:
            return f"{one} cannot be looked at"
    return ""
