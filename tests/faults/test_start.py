"""Faults 1 to 3 and 8 to 10: an engine that does not come up, each with its cause, and nothing left of it."""

import os
import signal
import sys
import tempfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from tests.faults.conftest import failed
from tests.server.conftest import until

from seatrial.catalog import find_checkpoint
from seatrial.catalog.engine_facts import engine_facts
from seatrial.engines.types import Command
from seatrial.errors import EngineMissingError
from seatrial.fetch.checkpoint import local_path
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.plan import make_plan
from seatrial.programs.find import installed_command
from seatrial.server import list_servers
from seatrial.server.processes import free_port

STALL_S = 1.5
SLOW_S = 3.0


@pytest.mark.fault(1)
def test_a_missing_program(seen):
    """The program does not exist: nothing is launched."""
    error = failed(lambda: launch(Command(engine="fake", argv=("no-such-engine",), model="m")))
    assert isinstance(error, EngineMissingError)
    seen.cause(error)
    assert [] == list_servers(ended=True)


@pytest.mark.fault(1)
def test_a_missing_module(seen, monkeypatch, tmp_path):
    """A Python without the engine's package: the package and how to get it are named before anything is launched."""
    monkeypatch.setenv("SEATRIAL_SGLANG_PYTHON", sys.executable)
    plan = make_plan("flash", hardware=replace(detect_hardware("h200x4"), origin="measured"), engine="sglang")
    error = failed(lambda: launch(plan, model_path=tmp_path))
    assert "sglang is not installed" in error.what
    assert f"{engine_facts('sglang').versions.safe} or newer is needed" in error.what
    seen.cause(error)


@pytest.mark.fault(2)
def test_an_exit_before_ready(fake, clock, seen):
    """The engine writes two lines and exits with code 7: they are the evidence."""
    error = failed(lambda: fake("--exit=7", "--say=first", "--say=Traceback: nothing anybody knows", clock.flag))
    seen.took("diagnosis", clock.ago_s())
    assert "exit code 7" in error.what
    assert "Traceback: nothing anybody knows" in error.evidence
    assert "unknown" == seen.cause(error)


@pytest.mark.fault(2)
@pytest.mark.engine
def test_the_real_engine_exits_before_ready(stand_in, seen):
    """Real llama.cpp is given a flag it does not know: it exits, and says so itself."""
    path = local_path(find_checkpoint(stand_in.checkpoint))
    command = installed_command(stand_in, model_path=str(path))
    error = failed(lambda: launch(replace(command, argv=(*command.argv, "--no-such-flag"))))
    assert "unknown flag" == seen.cause(error)


@pytest.mark.fault(3)
@pytest.mark.parametrize(
    ("number", "cause"),
    [("SIGSEGV", "segmentation fault"), ("SIGABRT", "aborted"), ("SIGILL", "illegal instruction")],
)
def test_a_crash(fake, clock, seen, number, cause):
    """The engine dies by a signal while it starts."""
    error = failed(lambda: fake(f"--signal={number}", "--say=loading tensors", clock.flag))
    seen.took("diagnosis", clock.ago_s())
    assert cause == seen.cause(error)
    assert number in error.what
    assert "loading tensors" in error.evidence


@pytest.mark.fault(3)
def test_a_crash_while_it_serves(fake, ends, seen):
    """It was ready, and dies later: the same cause, within the same time."""
    server = fake("--say=loaded", "--children=1")
    ago_s = ends(server.pid)
    os.kill(server.pid, signal.SIGSEGV)
    diagnosis = until(server.why_ended, "the crash")
    seen.took("diagnosis", ago_s())
    assert "segmentation fault" == seen.cause(diagnosis)
    assert not server.alive()


@pytest.fixture
def cold_file(require):
    """Write a hundred MiB that are on the disk and in no cache."""
    require("disk")
    with tempfile.NamedTemporaryFile(dir=Path.cwd(), prefix=".fault-") as file:
        file.write(b"x" * (100 << 20))
        drop_from_cache(file)
        yield file.name


def drop_from_cache(file):
    """Make the next read of a file come from its disk."""
    file.flush()
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.fault(8)
@pytest.mark.parametrize("flag", ["--healthy-after-s=4", "--grow-s=4", "--read-file={cold_file}"])
def test_a_slow_start_that_moves(fake, request, flag, seen):
    """Longer than the stall limit, and only the log, only memory, or only the disk moves."""
    flag = flag.format(cold_file=request.getfixturevalue("cold_file") if "{" in flag else "")
    server = fake(flag, stall_limit_s=SLOW_S)
    assert ("ready", True) == (server.state, server.ready_after_s > SLOW_S)
    seen.ran(flag.partition("=")[0].lstrip("-"))


@pytest.mark.fault(9)
@pytest.mark.parametrize("flag", ["--never-listen", "--deaf", "--no-tokens"])
def test_a_start_that_stalls(fake, flag, seen):
    """Before it listens, before it answers, before its first token: given up with two children and one that left."""
    error = failed(lambda: fake(flag, "--say=one line", "--children=2", "--escaping-child", stall_limit_s=STALL_S))
    assert "stalled" == seen.cause(error)
    assert "stalled while" in error.what


@pytest.mark.fault(10)
def test_another_model_answers(fake, seen):
    """Healthy, ours, but it lists another model."""
    error = failed(lambda: fake("--model=other-model"))
    assert "wrong model" == seen.cause(error)
    assert "other-model" in error.what


class Foreign(BaseHTTPRequestHandler):
    """Somebody else's server: healthy, lists the very model, and remembers who came."""

    def do_GET(self):
        """Answer everything."""
        self.server.visitors.append(self.headers.get("Authorization"))
        body = b'{"data": [{"id": "fake-model"}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        """Answer everything."""
        self.do_GET()

    def log_message(self, *_):
        """Log nothing."""


@pytest.mark.fault(10)
def test_a_foreign_server_answers(fake, seen):
    """It sits on the port before our engine listens: not ready, its pid named, and it never gets the key."""
    foreign = []

    def move_in(event):
        if event.phase == "starting" and not foreign:
            server = ThreadingHTTPServer(("127.0.0.1", list_servers()[0].port), Foreign)
            server.visitors = []
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            foreign.append(server)

    try:
        error = failed(lambda: fake("--listen-after-s=60", port=free_port(), on_event=move_in))
    finally:
        foreign[0].shutdown()
        foreign[0].server_close()
    assert "port in use" == seen.cause(error)
    assert str(psutil.Process().pid) in error.what
    assert [] == foreign[0].visitors
