"""What a fetch tells while it works: one event a step, counted over the whole checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FetchEvent:
    """One step of a fetch, for a progress bar.

    Attributes:
        stage: ``size`` (said before anything is written), ``wait``, ``download``, ``retry``, ``check`` or ``done``.
        text: What happens, in one line.
        done_bytes: Bytes that are here, of the whole checkpoint.
        total_bytes: Bytes of the whole checkpoint.

    """

    stage: Literal["size", "wait", "download", "retry", "check", "done"]
    text: str
    done_bytes: int = 0
    total_bytes: int = 0


Tell = Callable[[FetchEvent], None]


class FetchProgress:
    """Counts the bytes of a whole checkpoint and tells them on."""

    def __init__(self, tell: Tell, total_bytes: int) -> None:
        self.tell = tell
        self.total_bytes = total_bytes
        self.finished_bytes = 0

    def say(self, stage: Literal["wait", "download", "retry", "check"], text: str, file_bytes: int = 0) -> None:
        """Tell of a step; ``file_bytes`` of the file at hand are here."""
        self.tell(FetchEvent(stage, text, self.finished_bytes + file_bytes, self.total_bytes))
