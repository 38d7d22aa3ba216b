"""What is read beside a measurement: each source in a thread of its own, each gap with its reason."""

import json
import os
import subprocess
import sys
import threading

import pytest
from tests.measure.metrics_server import metrics_server
from tests.server.conftest import until
from tests.standin_nvml import build_standin, standin_environment

from seatrial.measure.latest import Latest
from seatrial.measure.metrics_page import MetricsPage
from seatrial.measure.telemetry import Reading, Telemetry
from seatrial.measure.types import Sample

READ = """
import json, os, sys, time
from dataclasses import asdict
from seatrial.measure.telemetry import Telemetry
deadline = time.monotonic() + 30
with Telemetry(os.getpid()) as telemetry:
    while not (telemetry.latest.gpu_power_w or sys.argv[1:]) or telemetry.latest.host_cpu_share is None:
        if time.monotonic() > deadline: break
        time.sleep(0.05)
    print(json.dumps([asdict(telemetry.latest), telemetry.missing()]))
os._exit(0)
"""


def test_readings_are_fields_of_a_sample():
    """Each under the same name."""
    assert set(Reading.__dataclass_fields__) == set(Sample.__dataclass_fields__) - {
        *("at_s", "point", "tokens_per_s", "active_streams")
    }


def test_a_server_elsewhere():
    """Of a server on another machine nothing is read, and the reason is said of every reading."""
    with Telemetry(None) as telemetry:
        assert telemetry.latest == Reading()
        missing = telemetry.missing()
    assert set(Reading.__dataclass_fields__) == set(missing)
    assert (
        "the server's processes are not seen from here: it runs on another machine, or as another user"
        == missing["gpu_power_w"]
    )
    assert "the server shows no figures" == missing["waiting_requests"]


def test_a_server_elsewhere_tells_of_itself():
    """Its own figures are read wherever it runs."""
    with metrics_server() as server, Telemetry(None, MetricsPage(server.url)) as telemetry:
        telemetry.ask_server()
        until(lambda: telemetry.latest.waiting_requests == 3, "a reading with the queue")
        reading = telemetry.latest
    assert Reading(running_requests=1, waiting_requests=3, kv_cache_usage=0.5, generated_tokens=7) == reading


def test_what_a_server_stops_telling_is_unknown():
    """A figure is never that of an earlier moment."""
    with metrics_server() as server, Telemetry(None, MetricsPage(server.url)) as telemetry:
        telemetry.ask_server()
        until(lambda: telemetry.latest.waiting_requests == 3, "a reading with the queue")
        server.status = 500
        until(lambda: telemetry.latest == Reading(), "a reading without an answer")
        assert telemetry.missing()["waiting_requests"].endswith("/metrics of this vLLM does not show it")


def test_this_process():
    """CPU and memory of a process that runs, and of its machine, arrive in the background."""
    with Telemetry(os.getpid()) as telemetry:
        until(lambda: telemetry.latest.cpu_share is not None, "a second reading")
        reading = telemetry.latest
    assert reading.memory_bytes > 1 << 20
    assert reading.host_memory_bytes > 1 << 20
    assert 0 <= reading.host_cpu_share <= 1


@pytest.fixture
def play(require, tmp_path):
    """Read this process on a machine that the stand-in plays; the load is written by the process's id."""
    require("compiler")
    folder = build_standin(tmp_path)

    def run(machine, errors="", load="", *, hangs=False):
        state = tmp_path / "load"
        state.write_text(load)
        environment = standin_environment(folder, machine, errors, state)
        command = [sys.executable, "-c", READ, *(["hangs"] if hangs else [])]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    return run


def test_every_reading_of_a_gpu(play):
    """As the driver gives them; the processes of an empty GPU are none."""
    reading, missing = play("2xH100", "nvmlDeviceGetPowerUsage@1=3", "0 40 97 612.5 71 1755 4\n")
    assert ([0.97, 0.0], [612.5, None]) == (reading["gpu_utilization"], reading["gpu_power_w"])
    assert ([71.0, 35.0], [1755.0, 345.0]) == (reading["gpu_temperature_c"], reading["gpu_clock_mhz"])
    assert ["power cap", ""] == reading["gpu_throttle"]
    assert "NVML says Not Supported (GPU 1)" == missing["gpu_power_w"]


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2", "nvmlDeviceGetMemoryInfo"])
def test_a_driver_that_hangs_hides_the_gpus_only(play, function):
    """CPU and memory are read on."""
    reading, missing = play("1xH100", f"{function}=HANG", hangs=True)
    assert ([], "the driver of the GPUs does not answer") == (reading["gpu_power_w"], missing["gpu_power_w"])
    assert reading["memory_bytes"] > 1 << 20


@pytest.mark.parametrize(
    ("machine", "errors", "why"),
    [("", "", "no GPU was found"), ("1xH100", "nvmlInitWithFlags=9", "no GPU was found (NVML says Driver Not Loaded)")],
)
def test_no_gpu_is_a_reason(play, machine, errors, why):
    """Which the driver may explain."""
    assert why == play(machine, errors, hangs=True)[1]["gpu_utilization"]


def test_a_reader_that_fails_ends_alone():
    """A measurement goes on without it, and its reason is kept."""

    def source():
        yield 1
        raise OSError("the file is gone")

    latest = Latest(source(), "test", 0.01, 60.0)
    latest.start()
    until(lambda: latest.broken, "the reason")
    assert "its reader failed: OSError: the file is gone" == latest.broken
    latest.stop()


def test_what_hangs_is_not_the_latest():
    """A source that does not come back has no value, until it does."""
    hangs, goes = threading.Event(), threading.Event()

    def source():
        yield 1
        hangs.set()
        goes.wait()
        yield 2

    latest = Latest(source(), "test", 0.01, 0.1)
    assert latest.value is None
    latest.start()
    until(hangs.is_set, "the source to hang")
    until(lambda: latest.value is None, "the end of the first value")
    goes.set()
    until(lambda: latest.value == 2, "another value")
    latest.stop()
