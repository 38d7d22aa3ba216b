"""Reads small files of the kernel (/proc, /sys, control groups); a file that cannot be read counts as empty."""

from __future__ import annotations

from pathlib import Path


def read_text(path: Path) -> str:
    """Return the stripped content of a file, "" if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def read_number(path: Path) -> int | None:
    """Return the whole number in a file, None if it holds something else ("max") or cannot be read."""
    text = read_text(path)
    return int(text) if text.isdecimal() else None


def read_start(path: Path, size: int) -> bytes:
    """Return the first ``size`` bytes of a file, b"" if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""
