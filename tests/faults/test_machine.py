"""Faults 34 and 36: the machine's own parts fail: the NVIDIA driver, the clock."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.hardware.conftest import tree
from tests.standin_nvml import standin_environment

from seatrial.hardware.nvidia.driver import check_library

__all__ = ["tree"]

ROOT = Path(__file__).resolve().parents[2]
CLOCK = Path(__file__).with_name("jumping_clock.c")
MISMATCH, LOST = 18, 15
DETECT = (sys.executable, "-m", "seatrial", "detect", "--json")


@pytest.mark.fault(34)
def test_no_nvml(tree, seen):
    """A driver without its library, as in a container without the toolkit: one error with one remedy."""
    (problem,) = check_library(tree({"proc/driver/nvidia/version": ""}), "libnot-there.so.1")
    assert "not found" in problem.what
    seen.told("nvidia driver", problem.what, problem.remedy)


@pytest.mark.fault(34)
def test_a_driver_mismatch(detect_nvidia, seen):
    """Library and kernel module of two versions, as after an update without a reboot: the CPU, with the reason."""
    hardware = detect_nvidia("2xH100", f"nvmlInitWithFlags={MISMATCH}")
    assert () == hardware.gpus
    (problem,) = hardware.problems
    seen.told("nvidia driver", problem.what, problem.remedy)


@pytest.mark.fault(34)
def test_a_lost_gpu(detect_nvidia, seen):
    """One of four has fallen off the bus: the three others, and the fourth named."""
    hardware = detect_nvidia("4xH100", f"nvmlDeviceGetHandleByIndex_v2@2={LOST}")
    assert 3 == len(hardware.gpus)
    (problem,) = hardware.problems
    assert "GPU 2" in problem.what
    seen.told("nvidia driver", problem.what, problem.remedy)


@pytest.mark.fault(34)
def test_a_hanging_driver(nvml_library, seen):
    """The driver never answers for one GPU: given up, with what came before, and the reason."""
    environment = standin_environment(nvml_library, "3xH100", "nvmlDeviceGetName@1=HANG")
    begun = time.monotonic()
    done = subprocess.run(DETECT, env=environment, capture_output=True, text=True, check=True)
    took = time.monotonic() - begun
    document = json.loads(done.stdout)
    assert ["did not answer" in problem["what"] for problem in document["problems"]] == [True]
    assert 1 == len(document["gpus"])
    seen.took("hang", took)
    (problem,) = document["problems"]
    seen.told("nvidia driver", problem["what"], problem["remedy"])


@pytest.fixture
def jumping(require, tmp_path_factory):
    """Return an environment for processes whose wall clock jumps."""
    require("compiler")
    library = tmp_path_factory.getbasetemp() / "jumping_clock.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    words = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library), str(CLOCK)]
    subprocess.run(words, check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    look = "import time\nfor _ in range(40): print(time.time()); time.sleep(0.01)"
    told = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=True)
    times = [float(line) for line in told.stdout.split()]
    assert max(times) - min(times) > 7000
    return environment


SERVE_AND_MEASURE = """
    import json, os
    from tests.measure.conftest import SMALL
    from tests.server.conftest import fake_command, until
    from tests.simulator import running_simulator
    from seatrial.measure import measure_server
    from seatrial.launching import launch
    from seatrial.server.folder import folder_of
    from seatrial.server.waiting import wait_ready

    with launch(fake_command("--healthy-after-s=1"), name="fake", stall_limit_s=30) as server:
        ready = server.ready_after_s
        waited = wait_ready(server).ready_after_s
        assert folder_of("fake").is_fresh()
        os.kill(server.pid, 11)
        cause = until(server.why_ended, "the crash").cause
    with launch(fake_command(), name="fake") as server:
        stopped = server.stop().took_s
    with running_simulator("--ttft-s=0.02", "--tpot-s=0.004") as simulator:
        measurement = measure_server(simulator.url, SMALL)
    point = measurement.points[0]
    times = [ready, waited, stopped, *(gap for one in measurement.completions for gap in one.gaps_s)]
    times += [one.first_token_s - one.sent_s for one in measurement.completions]
    rates = [sample.tokens_per_s for sample in measurement.samples if sample.tokens_per_s is not None]
    print(json.dumps({
        "cause": cause, "ready": ready, "stopped": stopped, "shortest": min(times), "longest": max(times),
        "slowest": min(rates), "rate": point.output_tokens_per_s_whole_run, "succeeded": point.requests.succeeded,
    }))
"""


@pytest.mark.fault(36)
def test_the_wall_clock_jumps(jumping, seen):
    """An hour forward and back, several times a second, under launcher, supervisor, engine and load at once."""
    code = textwrap.dedent(SERVE_AND_MEASURE)
    done = subprocess.run(
        [sys.executable, "-c", code], env=jumping, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert ("segmentation fault", 6) == (told["cause"], told["succeeded"])
    assert told["shortest"] >= 0
    assert 1 < told["ready"] < 60
    assert told["longest"] < 60
    assert told["slowest"] >= 0
    assert 0 < told["rate"] < 1e6
    seen.took("stop", told["stopped"])
    seen.ran("LD_PRELOAD under every process")
