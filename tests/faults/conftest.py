"""What a fault test uses: engines to break, and a notebook for what was seen while they broke.

``seen`` notes the cause, the evidence and the times; pytest carries them as properties of the test, and
``make faults`` reads them there. A test of fault 9 is marked ``pytest.mark.fault(9)``.
"""

import contextlib
import os
import select
import threading
import time

import psutil
import pytest
from tests.hardware.conftest import detect_nvidia, nvml_library
from tests.measure.conftest import measured, simulate
from tests.server.conftest import another_process, fake, launched_processes, until
from tests.server.test_launch import small_cgroup, thief
from tests.server.test_llamacpp import stand_in

from seatrial.server import list_servers, stop_all

__all__ = [
    "another_process",
    "detect_nvidia",
    "fake",
    "measured",
    "nvml_library",
    "simulate",
    "small_cgroup",
    "stand_in",
    "thief",
]


class Seen:
    """What one test saw of its fault."""

    def __init__(self, note):
        self._note = note

    def cause(self, error):
        """An error or diagnosis of ours: it names a cause and a remedy; log lines are its evidence."""
        named = getattr(error, "cause", None) or type(error).__name__
        assert error.remedy
        self._note("cause", named)
        self._note("remedy", error.remedy)
        for line in getattr(error, "evidence", ())[-1:] or (error.what.splitlines()[0],):
            self._note("evidence", line)
        return named

    def took(self, what, seconds):
        """A time that has a bar in faults.toml."""
        assert seconds >= 0
        self._note(what, seconds)

    def ran(self, variant):
        """Which way the fault was really injected here, where there are several."""
        self._note("variant", variant)


@pytest.fixture
def seen(request):
    """Notes what this test saw."""
    return Seen(lambda name, value: request.node.user_properties.append((name, value)))


@pytest.fixture(autouse=True)
def no_orphan(request):
    """After its test every server can be stopped by its record, and then not one process of any launch is left."""
    yield
    stop_all()
    with contextlib.suppress(pytest.fail.Exception):
        until(lambda: not launched_processes(), "the end of every engine process")
    left = [" ".join(process.cmdline()) for process in launched_processes()]
    request.node.user_properties.append(("orphans", len(left)))
    assert [] == left
    assert [] == [server.name for server in list_servers() if server.state != "stale"]


@pytest.fixture
def clock(tmp_path):
    """File in which the scripted engine notes when it ended; gives how many seconds ago that was."""

    class Clock:
        path = tmp_path / "clock"
        flag = f"--clock={path}"

        def ago_s(self):
            return time.monotonic() - float(self.path.read_text())

    return Clock()


@pytest.fixture
def ends():
    """Watch a process that is not ours to wait for; ``ends(pid)()`` gives how many seconds ago it ended."""
    with contextlib.ExitStack() as stack:

        def watch(pid):
            handle = os.pidfd_open(pid)
            stack.callback(os.close, handle)
            at = []

            def wait():
                select.select([handle], [], [])
                at.append(time.monotonic())

            thread = threading.Thread(target=wait, daemon=True)
            thread.start()

            def ago_s():
                thread.join(30)
                return time.monotonic() - at[0]

            return ago_s

        yield watch


def all_gone(pids):
    """Whether none of these processes runs any more."""
    return not any(
        psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        for pid in pids
        if psutil.pid_exists(pid)
    )
