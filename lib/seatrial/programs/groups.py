"""Ends a program with everything it left in its process group, and nothing that is anybody else's."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterator

_POLL_S = 0.005


@contextlib.contextmanager
def ending_with_its_group(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a group of its own: all of the group ends with this context.

    Until then it must not be reaped (``poll``, ``wait``): its number, which is the group's, could be another's by now.
    """
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in the group
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
        process.wait()


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended; it is not reaped, so that nobody else is given its number yet."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # whoever started this process reaps its children for it
        return process.poll() is not None


def await_end(process: subprocess.Popen[bytes], limit_s: float = math.inf) -> bool:
    """Wait until it has ended, at most ``limit_s`` seconds; gives whether it has. It is not reaped."""
    deadline = time.monotonic() + limit_s
    while not has_ended(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
