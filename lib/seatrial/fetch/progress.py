"""Reports each step of a fetch, with bytes counted over the whole checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FetchEvent:
    """One step of a fetch, for a progress bar."""

    stage: Literal["size", "wait", "download", "retry", "check", "done"]  # ``size`` comes before anything is written
    text: str  # one line
    done_bytes: int = 0  # bytes of the whole checkpoint on this disk
    total_bytes: int = 0


OnProgress = Callable[[FetchEvent], None]


class FetchProgress:
    """Counts the bytes of a whole checkpoint and reports each step."""

    def __init__(self, on_progress: OnProgress, total_bytes: int) -> None:
        self.on_progress = on_progress
        self.total_bytes = total_bytes
        self.finished_bytes = 0

    def report(self, stage: Literal["wait", "download", "retry", "check"], text: str, file_bytes: int = 0) -> None:
        """Report a step; ``file_bytes`` of the current file are on this disk."""
        self.on_progress(FetchEvent(stage, text, self.finished_bytes + file_bytes, self.total_bytes))
