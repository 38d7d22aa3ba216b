"""Handles Ctrl-C and SIGTERM while notebooks run: they stop the run, and the clean-up finishes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Let SIGTERM stop a run as Ctrl-C does; the event is set even if some library swallows the exception."""
    asked = threading.Event()

    def stop(*_: object) -> None:
        asked.set()
        raise KeyboardInterrupt

    with _handled_by(stop):
        yield asked


@contextmanager
def shielded_from_signals() -> Iterator[threading.Event]:
    """Let the clean-up, which is bounded, go on when Ctrl-C is pressed again, and set the event."""
    again = threading.Event()
    with _handled_by(lambda *_: again.set()):
        yield again


def hears_interrupt(pid: int) -> bool | None:
    """Return True if a process would act on SIGINT now, rather than ignore it; None if the system has no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")]
    return not int(masks[0], 16) >> (signal.SIGINT - 1) & 1 if masks else None


@contextmanager
def _handled_by(handler: Callable[..., Any]) -> Iterator[None]:
    """Install a handler; not outside the main thread, where Python allows none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _STOPPING}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
