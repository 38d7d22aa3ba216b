"""Files in which the kernel says something: in /proc, /sys and control groups. One that cannot be read says nothing."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str:
    """The content of a file without blank ends, "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def read_number(path: Path) -> int | None:
    """The whole number a file holds, None where it holds none ("max") or cannot be read."""
    text = read_text(path)
    return int(text) if text.isdecimal() else None
