"""Faults 1 to 10: an engine that does not come up, each with its cause, and nothing left of it."""

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
from tests.gguf_bytes import small
from tests.server.conftest import FAKE_ENGINE, fake_command, launched_processes, until
from tests.server.test_diagnosis_corpus import cases

from seatrial.catalog import find_checkpoint
from seatrial.catalog.fetch import local_path
from seatrial.engines.types import Command
from seatrial.errors import EngineError, EngineMissingError
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.server import diagnose, installed_command, launch, list_servers, supervisor
from seatrial.server.processes import free_port
from seatrial.server.state import Exit

STALL_S = 1.5
SLOW_S = 3.0


def failed(start):
    """Start something that fails: the error, and that nothing of it is left or called ready."""
    with pytest.raises(EngineError) as caught:
        start()
    assert [] == launched_processes()
    assert [] == list_servers()
    return caught.value


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


EATER = """
    import os, pathlib
    pathlib.Path({group!r}, "cgroup.procs").write_text(str(os.getpid()))
    from seatrial.errors import EngineError
    from seatrial.server import launch
    from tests.server.conftest import fake_command
    try:
        launch(fake_command("--eat", "--say=loading tensors"{changes}), name="fake")
    except EngineError as error:
        print(error.cause, error.remedy.replace("\\n", " "), error.evidence[-1], sep="\\n", flush=True)
"""
SHELL = 'argv=("sh", "-c", {script!r}, "python", {engine!r}, "--port={{port}}", "--key-file={{key_file}}", "--eat", "--say=loading tensors")'


@pytest.mark.fault(4)
def test_killed_for_want_of_memory(another_process, small_cgroup, seen):
    """The kernel kills the engine in a control group of 256 MiB."""
    told = another_process(EATER.format(group=str(small_cgroup), changes="")).stdout
    cause, remedy, line = (told.readline().strip() for _ in range(3))
    assert ("host out of memory", "loading tensors") == (cause, line)
    seen.told(cause, line, remedy)
    seen.ran(f"real kill in a control group, version {1 if (small_cgroup / 'memory.limit_in_bytes').exists() else 2}")


@pytest.mark.fault(4)
@pytest.mark.parametrize(
    ("membership", "path", "text"),
    [
        ("0::/box\n", "box/memory.events", "low 0\noom_kill {}\n"),
        ("5:cpu,memory:/box\n0::/\n", "memory/box/memory.oom_control", "under_oom 0\noom_kill {}\n"),
    ],
    ids=["v2", "v1"],
)
def test_both_kinds_of_counters(tmp_path, membership, path, text, seen):
    """SIGKILL with the counter moved is want of memory, without it a plain kill; a file tree stands in for the kernel."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(membership)
    counter = tmp_path / "cgroup" / path
    counter.parent.mkdir(parents=True)
    counts = []
    for kills in (2, 3):
        counter.write_text(text.format(kills))
        counts.append(supervisor.oom_kills(tmp_path / "cgroup", tmp_path / "proc")["cgroup"])
    for during, cause in ((counts[1] - counts[0], "host out of memory"), (0, "killed")):
        ended = Exit("exited", None, 9, "", {"cgroup": during}, "")
        assert cause == diagnose(ended, ["loading tensors"], "fake").cause
    seen.ran("counters from a file tree")


@pytest.mark.fault(5)
def test_killed_for_want_of_memory_behind_a_shell(another_process, small_cgroup, seen):
    """A shell in between turns the kill into exit code 137."""
    shell = SHELL.format(script='"$0" "$@"; exit $?', engine=str(FAKE_ENGINE)).replace(
        '"python"', repr(sys.executable), 1
    )
    told = another_process(EATER.format(group=str(small_cgroup), changes=", " + shell)).stdout
    cause, remedy, line = (told.readline().strip() for _ in range(3))
    assert ("host out of memory", "Killed") == (cause, line)  # as the shell says it
    seen.told(cause, line, remedy)
    seen.ran("real kill in a control group, sh in between")


ENDS = {case.id: case.values[0] for case in cases()}
"""How real engines ended, by the names in tests/server/failures."""
SCRIPT = """#!/bin/sh
if [ "$1" = --version ]; then echo "version: 9999 (abc)"; exit 0; fi
cat '{log}' >&2
exit 1
"""


@pytest.fixture
def engine_that_says(tmp_path, monkeypatch):
    """A llama-server that writes what a real one wrote, and exits."""

    def install(log):
        (tmp_path / "said").write_text(log)
        program = tmp_path / "llama-server"
        program.write_text(SCRIPT.format(log=tmp_path / "said"))
        program.chmod(0o755)
        monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", str(program))

    return install


def ended_as(name, clock):
    """Start an engine that ends as this real one did: the error, its cause and phase."""
    case = ENDS[name]
    said = [f"--say={line}" for line in case["log"].strip().splitlines()]
    command = fake_command("--exit=1", *said, clock.flag, engine=case["engine"])
    error = failed(lambda: launch(command, name="fake"))
    assert (case["cause"], case["phase"]) == (error.cause, error.phase)
    assert all(any(words in line for line in error.evidence) for words in case["evidence"])
    return error


def next_plan(seen, plan, path):
    """Launch a plan that runs out of memory: the error, which says the next smaller plan and its command."""
    error = failed(lambda: launch(plan, model_path=path, runner="llama-server"))
    seen.cause(error)
    assert "Next plan that fits: " in error.remedy
    assert error.next_command in error.remedy
    return error


@pytest.fixture
def on_gpus(tmp_path):
    """A plan for measured GPUs, and a file to load."""
    path = tmp_path / "model.gguf"
    path.write_bytes(small())

    def plan(model, machine):
        hardware = replace(detect_hardware(machine), origin="measured")
        return make_plan(model, hardware=hardware, engine="llamacpp", context_tokens=8192, concurrency=4), path

    return plan


@pytest.mark.fault(6)
@pytest.mark.parametrize("name", ["sglang-oom-weights", "llamacpp-oom-weights"])
def test_the_gpu_runs_out_of_memory(clock, seen, name):
    """While the weights are loaded, as real engines wrote it."""
    seen.cause(ended_as(name, clock))
    seen.took("diagnosis", clock.ago_s())
    seen.ran(name)


@pytest.mark.fault(6)
def test_the_gpu_runs_out_of_memory_under_a_plan(engine_that_says, on_gpus, seen):
    """The plan said that it fits: the error says the next one that does."""
    engine_that_says(ENDS["llamacpp-oom-weights"]["log"])
    assert "gpu out of memory" == next_plan(seen, *on_gpus("flash", "h200x2")).cause


@pytest.mark.fault(7)
@pytest.mark.parametrize("name", ["sglang-kv-not-enough", "llamacpp-oom-kv"])
def test_the_cache_does_not_fit(clock, seen, name):
    """After loading: the phase tells it from the weights."""
    error = ended_as(name, clock)
    seen.took("diagnosis", clock.ago_s())
    seen.cause(error)
    assert "KV cache" in error.what
    seen.ran(name)


@pytest.mark.fault(7)
def test_the_cache_does_not_fit_under_a_plan(engine_that_says, on_gpus, seen):
    """The next plan asks for less of just that."""
    engine_that_says(ENDS["llamacpp-oom-kv"]["log"])
    error = next_plan(seen, *on_gpus("smollm2", "rtx4090x1"))
    assert ("gpu out of memory", "allocating caches") == (error.cause, error.phase)


@pytest.fixture
def cold_file(require):
    """A hundred MiB on the disk that no cache holds."""
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
        """The same."""
        self.do_GET()

    def log_message(self, *_):
        """Say nothing."""


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
