"""Measure how soon servers are ready, diagnosed, stopped and found again, and how much their supervisor costs.

On the scripted engine of the tests, which notes on the machine's own clock when it could answer, and on the stand-in
model with the real llama.cpp.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from seatrial.engines.types import Command
from seatrial.errors import EngineError
from seatrial.hardware import detect_hardware
from seatrial.hardware.bandwidth.measure import measure_bandwidth
from seatrial.launching import launch
from seatrial.measure import Workload, measure_server
from seatrial.plan import make_plan
from seatrial.server import Server

ENGINE = Path(__file__).resolve().parents[1] / "tests" / "server" / "fake_engine.py"
REPEATS = 5
WATCHED_S = 10.0
POLL_S = 0.001
FLOOD = 100_000_000
ATTACH = """
import time
begin = time.perf_counter()
from seatrial.server import find_server
server = find_server("bench")
assert server.responds() and server.api_key()
print(time.perf_counter() - begin)
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the benchmark; ``bar`` is the most it may be, None if nothing is promised."""

    name: str
    value: float
    unit: str
    bar: float | None = None


def servers() -> Iterator[Figure]:
    """Measure everything about servers, in a state folder of its own."""
    with tempfile.TemporaryDirectory() as state:
        os.environ["SEATRIAL_STATE"] = state
        clock = Path(state, "clock")
        lags = [ready_lag_s(clock) for _ in range(REPEATS)]
        yield Figure("serve: ready reported after the engine can answer, longest of 5", max(lags), "s", 0.3)
        starting = [crash_while_starting_s(clock) for _ in range(REPEATS)]
        yield Figure("serve: crash while starting diagnosed, longest of 5", max(starting), "s", 2.0)
        serving = [crash_while_serving_s() for _ in range(REPEATS)]
        yield Figure("serve: crash while serving diagnosed, longest of 5", max(serving), "s", 2.0)
        yield from first_line(Path(state))
        yield from stops()
        yield from supervisor()
        yield from prediction()


def engine(*flags: str) -> Command:
    """Return the command of the tests' scripted engine."""
    argv = ("python", str(ENGINE), "--port={port}", "--key-file={key_file}", *flags)
    return Command(engine="fake", argv=argv, model="fake-model", key_env=None)


def ready_lag_s(clock: Path) -> float:
    """Return the seconds from the moment a slow engine could answer to the return of ``launch``."""
    with launch(engine("--healthy-after-s=0.5", f"--clock={clock}"), name="bench"):
        return time.monotonic() - float(clock.read_text())


def crash_while_starting_s(clock: Path) -> float:
    """Return the seconds from a crash to the error with its cause."""
    cause = ""
    try:
        launch(engine("--signal=SIGSEGV", f"--clock={clock}"), name="bench")
    except EngineError as error:
        cause = error.cause
    took = time.monotonic() - float(clock.read_text())
    if cause != "segmentation fault":  # the figure would mean nothing
        raise RuntimeError(f"The cause named is {cause!r}.")
    return took


def crash_while_serving_s() -> float:
    """Return the seconds from a kill to the cause."""
    with launch(engine(), name="bench") as server:
        if server.pid is None:
            raise RuntimeError("The engine does not run.")
        os.kill(server.pid, signal.SIGSEGV)
        begin = time.monotonic()
        while server.why_ended() is None:
            time.sleep(POLL_S)
        return time.monotonic() - begin


def first_line(folder: Path) -> Iterator[Figure]:
    """Measure the default engine's own process until it loads llama.cpp, for which a module that waits stands in."""
    (folder / "xllamacpp.py").write_text("import time\ntime.sleep(60)\n")
    argv = [sys.executable, "-m", "seatrial.xllamacpp_server", "--model=m.gguf", "--alias=m", "--port=1"]
    took, memory = [], []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        with subprocess.Popen(argv, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(folder)}) as process:
            assert process.stderr is not None  # noqa: S101 -- it is a pipe
            process.stderr.readline()
            took.append(time.perf_counter() - begin)
            memory.append(psutil.Process(process.pid).memory_info().rss / 1e6)
            process.kill()
    yield Figure("llama.cpp's own process: first log line after, median of 5", statistics.median(took), "s", 0.25)
    yield Figure("llama.cpp's own process: memory before llama.cpp is loaded", max(memory), "MB", 16.0)


def stops() -> Iterator[Figure]:
    """Measure how long usual engines, and one that ignores TERM, take until nothing is left and the port is free."""
    usual = [stop_s(launch(engine("--children=2", "--escaping-child"), name="bench")) for _ in range(REPEATS)]
    yield Figure("stop: engine with three children, median of 5", statistics.median(usual), "s", 1.0)
    stubborn = stop_s(launch(engine("--children=2", "--ignore-term"), name="bench"))
    yield Figure("stop: engine that ignores TERM", stubborn, "s", 10.0)
    small = make_plan("smollm2", hardware=detect_hardware())
    real = stop_s(launch(small, name="bench"))
    yield Figure("stop: llama.cpp with the stand-in model", real, "s", 1.0)


def stop_s(server: Server) -> float:
    """Return the seconds it takes to stop a server and prove it."""
    return server.stop().took_s


def supervisor() -> Iterator[Figure]:
    """Measure the supervisor beside its engine, and how soon another process has the server."""
    begin = time.perf_counter()
    with launch(make_plan("smollm2", hardware=detect_hardware(), engine="simulated"), name="bench") as server:
        yield Figure("serve, simulated engine: ready after", time.perf_counter() - begin, "s")
        yield Figure(
            "re-attach from a new process, imports included, longest of 5", max(map(attach_s, range(REPEATS))), "s", 1.0
        )
        yield from cost(server, "supervisor", 0.5)
    with launch(engine(f"--flood-per-minute={FLOOD}"), name="bench") as server:
        yield from cost(server, "supervisor, engine logs 100 MB a minute", None)


def prediction() -> Iterator[Figure]:
    """Measure the memory bandwidth, then how near the predicted speed of the stand-in comes; of an idle machine only."""
    begin = time.perf_counter()
    measure_bandwidth()
    yield Figure("detect --measure", time.perf_counter() - begin, "s", 5.0)
    plan = make_plan("smollm2", hardware=detect_hardware(), engine="llamacpp", prompt_tokens=128, answer_tokens=64)
    with launch(plan, name="bench") as server:
        load = Workload(concurrency=(1,), requests=24, prompt_tokens=128, answer_tokens=64)
        tpot = measure_server(server, load).points[0].tpot_s
    if plan.prediction is None or plan.prediction.tpot_s is None or tpot is None:
        raise RuntimeError("The stand-in was not predicted or did not answer.")
    ratio = tpot.p50 / plan.prediction.tpot_s.expected
    yield Figure("stand-in, one stream: measured over predicted time per token", ratio, "x")
    yield Figure("stand-in, one stream: larger over smaller of the two", max(ratio, 1 / ratio), "x", 1.25)


def attach_s(_: int) -> float:
    """Return the seconds a new process needs to find the server, see it answer and have its key."""
    done = subprocess.run([sys.executable, "-c", ATTACH], capture_output=True, text=True, check=True)
    return float(done.stdout)


def cost(server: Server, what: str, share: float | None) -> Iterator[Figure]:
    """Measure memory and processor time of a server's supervisor over a while."""
    watching = psutil.Process(server.pid).parent()
    if watching is None:
        raise RuntimeError("The engine has no supervisor.")
    before = watching.cpu_times()
    time.sleep(WATCHED_S)
    after = watching.cpu_times()
    yield Figure(f"{what}: memory", watching.memory_info().rss / 1e6, "MB", 25.0)
    used = after.user + after.system - before.user - before.system
    yield Figure(f"{what}: share of a core", used / WATCHED_S * 100, "%", share)
