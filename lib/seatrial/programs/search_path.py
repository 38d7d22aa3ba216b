"""Finds a program on PATH where nobody else can have put it.

An entry of PATH that is not absolute means another folder wherever one stands (a downloaded model's, for
instance), and into a folder everybody may write to anybody can put a ``llama-server``.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def find_on_path(name: str) -> str | None:
    """The absolute path of a program, None where there is none to be trusted."""
    return next((path for path, why in _candidates(name) if not why), None)


def passed_over(name: str) -> str:
    """Why programs of this name on PATH were left alone, as a sentence to append; empty where none was."""
    found = [f"{path} was passed over: {why}." for path, why in _candidates(name) if why]
    return f" {found[0]}" if found else ""


def _candidates(name: str) -> list[tuple[str, str]]:
    """Every program of this name, with what speaks against it."""
    found = []
    for entry in os.get_exec_path():
        path = Path(entry or ".") / name
        if path.is_file() and os.access(path, os.X_OK):
            found.append((str(path), "" if os.path.isabs(entry) else "its PATH entry is relative"))  # noqa: PTH117 -- "" is none
    return [(path, why or _open_to_others(Path(path))) for path, why in found]


def _open_to_others(path: Path) -> str:
    for one in (path, path.parent, path.resolve().parent):
        try:
            if one.stat().st_mode & stat.S_IWOTH:
                return f"everybody may write to {one}"
        except OSError:
            return f"{one} cannot be looked at"
    return ""
