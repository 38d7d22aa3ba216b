"""Writes the one line that shows how a fetch goes: bytes, rate, time left and files, as many of them as the terminal takes."""

from __future__ import annotations

import time
from collections import deque

from seatrial.fetch.progress import FetchEvent
from seatrial.units import format_bytes

_RATE_OVER_S = 10.0
_LINE_EVERY_S = 30.0
_DAY_S = 86400


class ProgressLine:
    """The state of a fetch in one line."""

    def __init__(self) -> None:
        self._event = FetchEvent("download", "")
        self._seen: deque[tuple[float, int]] = deque()  # time and bytes of the last seconds
        self._told = time.monotonic()

    def update(self, event: FetchEvent, now: float | None = None) -> None:
        """Take a step; ``now`` is its time by a clock that never goes back."""
        now = time.monotonic() if now is None else now
        self._event = event
        self._seen.append((now, event.received_bytes))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RATE_OVER_S:  # noqa: PLR2004 -- two make a rate
            self._seen.popleft()

    def is_due(self) -> bool:
        """Return True now and then, for output that is no terminal."""
        if time.monotonic() - self._told < _LINE_EVERY_S:
            return False
        self._told = time.monotonic()
        return True

    def text(self, width: int) -> str:
        """Return the line: the parts that matter least are left out until the rest fits into ``width`` characters."""
        parts = self._parts()
        while len(parts) > 1 and len("  ".join(parts)) > width:
            parts.pop()
        return "  ".join(parts)[: max(width, 1)]

    def _parts(self) -> list[str]:
        """Return the parts of the line, the one that matters most first."""
        event, rate = self._event, self._bytes_per_s()
        total = f" of {format_bytes(event.total_bytes)}" if event.total_bytes else ""
        parts = [f"{format_bytes(event.done_bytes)}{total}"]
        if event.stage == "download" and rate:
            parts.append(f"{format_bytes(rate)}/s")
            if event.total_bytes > event.done_bytes:
                parts.append(f"{_duration((event.total_bytes - event.done_bytes) / rate)} left")
        if event.total_files > 1:
            parts.append(f"{event.done_files} of {event.total_files} files")
        return [*parts, event.text]

    def _bytes_per_s(self) -> float | None:
        """Return the rate over the last seconds, None if nothing came or the time is too short."""
        if len(self._seen) < 2:  # noqa: PLR2004 -- two make a rate
            return None
        (first_s, first_bytes), (last_s, last_bytes) = self._seen[0], self._seen[-1]
        if last_s <= first_s or last_bytes <= first_bytes:
            return None
        return (last_bytes - first_bytes) / (last_s - first_s)


def _duration(seconds: float) -> str:
    """Return ``1:02:03`` or ``2:03``; days if it takes longer than one."""
    whole = round(seconds)
    if whole >= _DAY_S:
        return f"{whole / _DAY_S:,.1f} days"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
