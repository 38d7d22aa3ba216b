"""What a fault test uses: engines to break, and a notebook for what was seen while they broke.

``seen`` notes the cause, the evidence and the times; pytest carries them as properties of the test, and
``make faults`` reads them there. A test of fault 9 is marked ``pytest.mark.fault(9)``.
"""

import contextlib
import os
import select
import socket
import subprocess
import threading
import time

import pytest
from tests.conftest import memory_cgroup
from tests.hardware.conftest import detect_nvidia, nvml_library
from tests.launching.test_llamacpp import stand_in
from tests.measure.conftest import measured, simulate
from tests.server.conftest import another_process, fake, launched_processes, until

from seatrial.errors import EngineError
from seatrial.server import list_servers, stop_all

__all__ = [
    "another_process",
    "detect_nvidia",
    "fake",
    "measured",
    "nvml_library",
    "simulate",
    "stand_in",
]


class Seen:
    """What one test saw of its fault."""

    def __init__(self, note):
        self._note = note

    def cause(self, error):
        """Note an error or diagnosis of ours: it names a cause and a remedy; log lines are its evidence."""
        evidence = getattr(error, "evidence", ()) or (error.what.splitlines()[0],)
        return self.told(getattr(error, "cause", None) or type(error).__name__, evidence[-1], error.remedy)

    def told(self, cause, line, remedy):
        """Note a cause and a remedy in words, from another process or a measurement."""
        assert cause
        assert line
        assert remedy
        for name, value in (("cause", cause), ("evidence", line), ("remedy", remedy)):
            self._note(name, value)
        return cause

    def took(self, what, seconds):
        """Note a time that has a limit in faults.toml."""
        assert seconds >= 0
        self._note(what, seconds)

    def ran(self, variant):
        """Note which of several ways injected the fault."""
        self._note("variant", variant)


def failed(start):
    """Start something that fails, check that nothing of it is left or called ready, and return the error."""
    with pytest.raises(EngineError) as caught:
        start()
    assert [] == launched_processes()
    assert [] == list_servers()
    return caught.value


@pytest.fixture
def seen(request):
    """Return the notes of this test's observations."""
    return Seen(lambda name, value: request.node.user_properties.append((name, value)))


@pytest.fixture(autouse=True)
def no_orphan(request):
    """Check after each test that every server can be stopped by its record, and that no process of a launch is left."""
    yield
    stop_all()
    with contextlib.suppress(pytest.fail.Exception):
        until(lambda: not launched_processes(), "the end of every engine process")
    left = [" ".join(process.cmdline()) for process in launched_processes()]
    request.node.user_properties.append(("orphans", len(left)))
    assert [] == left
    assert [] == [server.name for server in list_servers() if server.state != "stale"]


@pytest.fixture
def process():
    """Start processes that end with the test, however it ends."""
    started = []

    def start(*words, **settings):
        started.append(subprocess.Popen(words, **settings))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


@pytest.fixture
def clock(tmp_path):
    """Give the engine a file to note its end in; return a function for the seconds since then."""

    class Clock:
        path = tmp_path / "clock"
        flag = f"--clock={path}"

        def ago_s(self):
            return time.monotonic() - float(self.path.read_text())

    return Clock()


@pytest.fixture
def ends():
    """Watch a process that is no child; ``ends(pid)()`` returns the seconds since its end."""
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


@pytest.fixture
def small_cgroup(require):
    """Create a control group whose processes may use 256 MiB together."""
    require("memory cgroup")
    group = memory_cgroup() / f"seatrial-test-{os.getpid()}"
    group.mkdir()
    limits = {"memory.limit_in_bytes": 256 << 20, "memory.max": 256 << 20, "memory.swap.max": 0}
    for name, limit in limits.items():
        if (group / name).exists():
            (group / name).write_text(str(limit))
    yield group
    until(lambda: not (group / "cgroup.procs").read_text(), "the end of every process of the group")
    group.rmdir()


class Thief:
    """Listens on the port of the first server that starts, before its engine does."""

    def __init__(self):
        self.phases = []
        self.socket = None

    def __call__(self, event):
        """Note one event of the launch."""
        if event.begins:
            self.phases.append(event.phase)
        if self.socket is None:
            self.socket = socket.create_server(("127.0.0.1", list_servers()[0].port))


@pytest.fixture
def thief():
    """Take a port as a stranger would, and free it in the end."""
    thief = Thief()
    yield thief
    thief.socket.close()
