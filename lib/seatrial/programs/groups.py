"""Ends a program with everything left in its process group, and no other process."""

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
    """End the whole group of a process that leads one, when this context ends.

    Until then nothing may reap the process (``poll``, ``wait``): its number, which is the group's, could by then be
    another's.
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
    """Return True if the process has ended, without reaping it, so that its number stays its own."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # whoever started this process reaps its children for it
        return process.poll() is not None


def await_end(process: subprocess.Popen[bytes], limit_s: float = math.inf) -> bool:
    """Wait at most ``limit_s`` seconds for the end of a process; return True if it has ended. It is not reaped."""
    deadline = time.monotonic() + limit_s
    while not has_ended(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
