"""Faults 4 to 7: the host or a GPU has too little memory: told apart from other ends, with the next smaller request."""

import sys
from dataclasses import replace

import pytest
from tests.faults.conftest import failed
from tests.gguf_bytes import small
from tests.server.conftest import FAKE_ENGINE, fake_command
from tests.server.failures.test_corpus import cases

from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.plan import make_plan
from seatrial.server import diagnose, supervisor
from seatrial.server.state import Exit

EATER = """
    import os, pathlib
    pathlib.Path({group!r}, "cgroup.procs").write_text(str(os.getpid()))
    from seatrial.errors import EngineError
    from seatrial.launching import launch
    from tests.server.conftest import fake_command
    try:
        launch(fake_command("--eat", "--say=loading tensors"{changes}), name="fake")
    except EngineError as error:
        print(error.cause, error.remedy.replace("\\n", " "), error.evidence[-1], sep="\\n", flush=True)
"""
WORDS = ("--port={port}", "--key-file={key_file}", "--eat", "--say=loading tensors")
SHELL = ("sh", "-c", '"$0" "$@"; exit $?', sys.executable, str(FAKE_ENGINE), *WORDS)


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
    told = another_process(EATER.format(group=str(small_cgroup), changes=f", argv={SHELL!r}")).stdout
    cause, remedy, line = (told.readline().strip() for _ in range(3))
    assert ("host out of memory", "Killed") == (cause, line)  # as the shell says it
    seen.told(cause, line, remedy)
    seen.ran("real kill in a control group, sh in between")


ENDS = {case.id: case.values[0] for case in cases()}
"""How real engines ended, by the names in tests/server/failures/cases."""
SCRIPT = """#!/bin/sh
if [ "$1" = --version ]; then echo "version: 9999 (abc)"; exit 0; fi
cat '{log}' >&2
exit 1
"""


@pytest.fixture
def engine_that_says(tmp_path, monkeypatch):
    """Write a llama-server that repeats a real one's log, and exits."""

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
    """Return a plan for measured GPUs, and a file to load."""
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
    """The plan fitted on paper: the error has the next one that fits."""
    engine_that_says(ENDS["llamacpp-oom-weights"]["log"])
    assert "gpu out of memory" == next_plan(seen, *on_gpus("flash", "h200x2")).cause


@pytest.mark.fault(7)
@pytest.mark.parametrize("name", ["sglang-kv-not-enough", "llamacpp-oom-kv"])
def test_the_cache_does_not_fit(clock, seen, name):
    """After loading: the phase distinguishes it from the weights."""
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


def test_a_kill_of_long_ago_is_no_cause(tmp_path):
    """Memory ran out on day 2 and the engine lived on; what ended it on day 10 was something else."""
    events = tmp_path / "vmstat"
    events.write_text("oom_kill 0\n")
    counts = supervisor.OomCounts(0.0, lambda: supervisor.oom_kills(tmp_path, tmp_path))
    counts.look(30.0)
    events.write_text("oom_kill 1\n")
    assert {"machine": 1} == counts.latest()
    counts.look(60.0)
    assert {"machine": 1} == counts.latest()  # a moment ago: the engine may need one to end
    counts.look(119.0)
    counts.look(120.0)
    assert {"machine": 0} == counts.latest()
    events.write_text("oom_kill 2\n")
    assert {"machine": 1} == counts.latest()
    events.unlink()
    assert {} == counts.latest()
