"""Every wait has a limit, and bytes that drip in are no progress: at the start, in ps, and in every new place."""

import ast
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from tests.server.conftest import launched_processes, until

import seatrial
from seatrial.cli.main import main
from seatrial.errors import EngineError
from seatrial.server import find_server, loopback
from seatrial.server.folder import launching
from seatrial.server.waiting import wait_ready

PACKAGE = Path(seatrial.__file__).parent

ASKS = {
    "server/loopback.py": "the one question to a server of ours",
    "measure/single_request.py": "questions to a server that a person names",
    "measure/client/pool.py": "the measured requests, each with limits for its first and its next byte",
    "fetch/web.py": "questions to the hub and its storage, at a pace that has a floor",
}
"""Files that speak HTTP, each with a limit of its own."""

WITHOUT_LIMIT = {
    "batch/runs.py future.result": "of futures that are done",
    "fetch/cache.py fcntl.flock": "another download, which has a floor of its own, and says so",
    "fetch/parallel.py done.result": "of futures that are done",
    "fetch/wheel.py process.wait": "after the process was ended",
    "cli/measure.py load.result": "of a load that has ended",
    "hardware/bandwidth/gpu_probe.py done.result": "a process of its own with a deadline runs it",
    "hardware/bandwidth/host_probe.py done.result": "a process of its own with a deadline runs it",
    "launching/launcher.py startup.wait": "a start, which has the stall limit",
    "measure/client/event_writer.py self._thread.join": "a thread that writes what it was given",
    "measure/client/endless.py task.result": "of streams that ended",
    "measure/client/levels.py sending.result": "of a level that is over",
    "measure/client/lag.py self._thread.join": "a thread that ends at its next beat",
    "measure/client_process.py self._process.wait": "after the process was ended or closed its output",
    "measure/knee.py search.result": "figures that are there",
    "measure/load.py load.result": "the load, whose requests have limits",
    "measure/load.py self._process.wait": "after the process was ended or closed its output",
    "measure/load.py self._thread.join": "the load, whose requests have limits",
    "programs/groups.py process.wait": "after the process was ended",
    "server/startup/readiness.py check.result": "tables of the kernel",
    "server/waiting.py startup.wait": "a start, which has the stall limit",
    "simulator/app.py self.slots.acquire": "a request in the queue, for as long as its client waits",
    "simulator/__main__.py stopped.wait": "the simulator serves until it is stopped",
    "tune/bench.py load.result": "the load, whose requests have limits",
    "view/notebook/panel_runs.py self.load.result": "of a load that has ended",
}
"""Waits without a limit of their own, with the reason why each ends."""

_WAITS = {"join", "wait", "result", "communicate", "acquire"}
_COMMANDS = {"subprocess.run", "subprocess.check_output", "subprocess.check_call", "subprocess.call", "os.system"}
_QUESTIONS = {"HTTPConnection", "HTTPSConnection", "urlopen", "create_connection", "open_connection", "ClientSession"}


def unlimited(tree):
    """Yield each call that may wait for ever."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, words = ast.unparse(node.func), {word.arg for word in node.keywords}
        last = name.rpartition(".")[2]
        limited = "timeout" in words or node.args
        if (
            (last in _WAITS and not limited)
            or (name in _COMMANDS and "timeout" not in words)
            or (last == "flock" and not any(mode in ast.unparse(node) for mode in ("LOCK_NB", "LOCK_UN")))
            or (last == "settimeout" and ast.unparse(node.args[0]) == "None")
        ):
            yield name


def questions(tree):
    """Yield each call that opens a connection to a server."""
    names = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    yield from (name for name in names if name.rpartition(".")[2] in _QUESTIONS)


def sources():
    """Yield name and syntax tree of each file of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text())


@pytest.mark.parametrize(
    "line",
    [
        "thread.join()",
        "process.wait()",
        "future.result()",
        "process.communicate()",
        "subprocess.run(argv, check=False)",
        "fcntl.flock(lock, fcntl.LOCK_EX)",
        "sock.settimeout(None)",
        "process.wait(timeout=None) if False else process.wait()",
    ],
)
def test_a_new_wait_without_a_limit_is_found(line):
    """What the next test looks for."""
    assert 1 == len(list(unlimited(ast.parse(line))))


@pytest.mark.parametrize(
    "line", ["','.join(words)", "thread.join(1.0)", "process.wait(timeout=3)", "subprocess.run(argv, timeout=3)"]
)
def test_a_wait_with_a_limit_is_none(line):
    """Nor is what only has the name of one."""
    assert [] == list(unlimited(ast.parse(line)))


def test_every_wait_has_a_limit_or_a_reason():
    """A new one needs either; a reason whose wait is gone goes too."""
    assert set(WITHOUT_LIMIT) == {f"{name} {wait}" for name, tree in sources() for wait in unlimited(tree)}


def test_every_question_is_asked_in_one_of_the_places_that_bound_it():
    """A new place that speaks HTTP would need a limit of its own for the whole answer."""
    assert set() == {name for name, tree in sources() if any(questions(tree))} - set(ASKS)


@pytest.fixture
def dripping():
    """Listen, answer with ``first``, then with a byte each 20 ms for ever; gives the port."""
    stop = threading.Event()
    threads, listeners = [], []

    def answer(listener, first):
        with listener.accept()[0] as connection:
            connection.recv(1 << 16)
            connection.sendall(first)
            while not stop.wait(0.02):
                connection.sendall(first[-1:])

    def hidden(listener, first):
        try:
            answer(listener, first)
        except OSError:
            return

    def listen(first):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threads.append(threading.Thread(target=hidden, args=(listener, first)))
        threads[-1].start()
        return listener.getsockname()[1]

    yield listen
    stop.set()
    for thread in threads:
        thread.join(10)
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    "first",
    [
        b"H",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\nX: ",
        b"HTTP/1.1 200 OK\r\n\r\n ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n ",
        b"HTTP/1.1 500 Wrong\r\nContent-Length: 100000\r\n\r\n ",
    ],
    ids=["status", "headers", "continue", "body", "length", "chunk", "error"],
)
def test_an_answer_that_drips_is_no_answer(dripping, first):
    """The limit holds for the whole answer, not for each byte."""
    with pytest.raises(TimeoutError, match=r"no whole answer within 0\.3 s"):
        loopback.ask(dripping(first), "/health", timeout_s=0.3)


def test_who_waits_is_asked_while_bytes_drip(dripping):
    """A start looks whether the engine lives and moves, also in the middle of an answer."""
    looks = []

    def look():
        looks.append(time.monotonic())
        if looks[-1] - looks[0] > 0.3:
            raise EngineError("it stalled")

    with pytest.raises(EngineError, match="it stalled"):
        loopback.ask(dripping(b"HTTP/1.1 200 OK\r\n\r\n "), "/health", while_waiting=look)


@pytest.mark.parametrize("path", ["/health", "headers", "/v1/models", "/v1/completions"])
def test_bytes_that_drip_at_the_start_are_no_progress(fake, path):
    """The stall limit holds, and nothing of the engine is left."""
    with pytest.raises(EngineError) as caught:
        fake(f"--drip={path}", stall_limit_s=1.5)
    assert "stalled" == caught.value.cause
    assert [] == launched_processes()


def test_one_server_that_drips_delays_no_other_in_ps(fake, capsys):
    """Each is asked with a limit of its own, all at once; that it hangs is said, with the time that passed."""
    for number in range(3):
        fake("--drip=/health", "--drip-late", name=f"drips-{number}")
    fake(name="well")
    assert 0 == main(["ps", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert ["hangs"] * 3 + ["ready"] == [rows[name]["state"] for name in sorted(rows)]
    assert all(rows[f"drips-{number}"]["cause"].startswith("runs but does not answer within 2") for number in range(3))


def test_figures_that_drip_leave_the_rest_of_ps(fake):
    """There are none then, and the server is ready."""
    server = fake("--drip=/health", "--drip-late")
    assert server.metrics() is None
    assert not server.responds(timeout_s=0.3)


def test_who_waits_for_a_launch_that_is_suspended_gives_up(another_process):
    """Ctrl-Z in the terminal that launches: nobody asks for the first token, and the engine goes on."""
    launcher = another_process(
        """
        from tests.server.conftest import fake_command
        from seatrial.launching import launch
        launch(fake_command("--healthy-after-s=5"), name="fake", on_event=lambda event: print(event.phase, flush=True))
        """
    )
    until(lambda: "starting" in launcher.stdout.readline(), "the start")
    found = until(lambda: find_server("fake"), "the record")
    os.kill(launcher.pid, signal.SIGSTOP)
    with pytest.raises(EngineError) as caught:
        wait_ready(found, stall_limit_s=2.0)
    assert "stalled" == caught.value.cause
    assert found.running
    os.kill(launcher.pid, signal.SIGCONT)


def test_who_waits_for_a_launch_that_starts_nothing_gives_up(fake):
    """The name is locked, and no record is written."""
    server = fake()
    server.stop()
    with launching("fake"), pytest.raises(EngineError, match="has started nothing for"):
        wait_ready(server, stall_limit_s=0.5)
