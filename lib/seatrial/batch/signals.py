"""What Ctrl-C and SIGTERM do while notebooks run: stop the run, and let the cleaning up finish."""

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
    """SIGTERM stops a run as Ctrl-C does; the event says so where some library swallows the exception."""
    asked = threading.Event()

    def stop(*_: object) -> None:
        asked.set()
        raise KeyboardInterrupt

    with _handled_by(stop):
        yield asked


@contextmanager
def ignoring_signals() -> Iterator[None]:
    """Let the cleaning up finish (it is bounded) when Ctrl-C is pressed again."""
    with _handled_by(signal.SIG_IGN):
        yield


@contextmanager
def counting_signals() -> Iterator[threading.Event]:
    """Let the cleaning up go on when Ctrl-C is pressed again; the event says that it was."""
    again = threading.Event()
    with _handled_by(lambda *_: again.set()):
        yield again


def hears_interrupt(pid: int) -> bool | None:
    """Whether a process would act on SIGINT now, rather than ignore it; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")]
    return not int(masks[0], 16) >> (signal.SIGINT - 1) & 1 if masks else None


@contextmanager
def _handled_by(handler: Callable[..., Any] | signal.Handlers) -> Iterator[None]:
    """In the main thread; elsewhere Python allows no handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _STOPPING}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
