"""Reads load levels as a notebook's parameter writes them: ``1,2,4,8``."""

from __future__ import annotations

from seatrial.errors import UsageError
from seatrial.measure.workload import MAX_STREAMS

MAX_LEVELS = 32


def read_concurrency(text: str) -> tuple[int, ...]:
    """Streams at once, one point each, from text such as ``1,2,4,8``.

    Raises:
        UsageError: Not whole numbers from 1, or too many of them.

    """
    words = [word.strip() for word in text.split(",")]
    known = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) <= len(str(MAX_STREAMS))]
    if len(known) != len(words) or len(words) > MAX_LEVELS or not all(1 <= level <= MAX_STREAMS for level in known):
        raise UsageError(
            f"concurrency {text[:60]!r} is not a list of up to {MAX_LEVELS} whole numbers from 1 to {MAX_STREAMS:,}.",
            remedy="Write the streams at once with commas: 1,2,4,8.",
        )
    return tuple(known)
