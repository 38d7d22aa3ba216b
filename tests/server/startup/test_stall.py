"""What counts as a sign that a starting engine moves, and what only may be one."""

import shutil
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from tests.standin_nvml import build_standin, standin_environment

from seatrial.server.processes import Activity, activity
from seatrial.server.startup.stall import BUSY_FACTOR, REMEMBERED, Movement

IDLE = Activity(memory_bytes=10**9, read_bytes=10**6, cpu_s=5.0, gpu_bytes=0, compilers=frozenset())


def signs(*seen):
    """Whether the last of several looks showed progress, and whether it showed at least business."""
    movement = Movement(300.0)
    for one in seen[:-1]:
        movement.note_activity(one)
    moved, busy = movement.moved, movement.busy
    movement.note_activity(seen[-1])
    return movement.moved > moved, movement.busy > busy


@pytest.mark.parametrize(
    ("change", "progress", "busy"),
    [
        ({}, False, False),
        ({"memory_bytes": 10**9 + 1000}, False, False),
        ({"memory_bytes": 2 * 10**9}, True, True),
        ({"memory_bytes": 10**8}, True, True),
        ({"read_bytes": 10**8}, True, True),
        ({"gpu_bytes": 10**9}, True, True),
        ({"cpu_s": 60.0}, False, True),
        ({"compilers": frozenset({4242})}, True, True),
    ],
)
def test_what_moves_and_what_is_only_busy(change, progress, busy):
    """Memory, disk, GPUs and new compilers are progress; a busy processor may be; noise is neither."""
    assert (progress, busy) == signs(IDLE, replace(IDLE, **change))


def test_a_compiler_that_works_is_progress():
    """One may take minutes for a kernel: as long as it computes, the engine moves; one that waits does not."""
    compiling = replace(IDLE, compilers=frozenset({4242}))
    assert (True, True) == signs(compiling, replace(compiling, cpu_s=60.0))
    assert (False, False) == signs(compiling, compiling)


def test_a_line_is_progress_once():
    """What was said before, but for the clock, says nothing new."""
    movement = Movement(300.0)
    movement.note_lines(["12:00:01 waiting"])
    moved = movement.moved
    movement.note_lines(["12:00:02 waiting"])
    assert moved == movement.moved < movement.busy
    movement.note_lines(["12:00:03 loading"])
    assert movement.moved > moved


def test_what_was_said_is_remembered_within_bounds():
    """A flood of new lines takes no memory without end."""
    movement = Movement(300.0)
    movement.note_lines(f"line {n}" for n in range(REMEMBERED + 500))
    assert REMEMBERED == len(movement._seen)


def test_business_stretches_the_limit_and_no_more():
    """Busy all the time and nothing moves: given up after ten times the limit."""
    movement = Movement(300.0)
    assert not movement.stalled
    movement.moved -= BUSY_FACTOR * 300 - 1
    assert not movement.stalled
    movement.moved -= 2
    assert movement.stalled


def test_compilers_are_known_by_their_names(tmp_path):
    """A process that an engine starts to make a kernel."""
    program = tmp_path / "ptxas"
    shutil.copy(shutil.which("sleep"), program)
    with subprocess.Popen([program, "60"]) as compiler, subprocess.Popen(["sleep", "60"]) as other:
        found = activity([psutil.Process(compiler.pid), psutil.Process(other.pid)])
        compiler.kill()
        other.kill()
    assert frozenset({compiler.pid}) == found.compilers


WATCH_GPUS = """
import sys, time
from pathlib import Path
from seatrial.server.startup.stall import GpuMemory

memory, load, seen = GpuMemory(), Path(sys.argv[1]), []
memory.start()
for used in (1000, 70000):
    load.write_text(f"0 {used} 50 300\\n")
    deadline = time.monotonic() + 20
    while memory.used_bytes >> 20 != used and time.monotonic() < deadline:
        time.sleep(0.05)
    seen.append(memory.used_bytes >> 20)
memory.stop()
print(seen)
"""


def test_memory_of_gpus_is_seen_to_grow(require, tmp_path):
    """Read by NVML from a thread, while weights go there and nothing else moves."""
    require("compiler")
    build_standin(tmp_path)
    load = tmp_path / "load"
    load.write_text("0 1000 50 300\n")
    environment = standin_environment(tmp_path, "1xH100", state=load)
    told = subprocess.run(
        [sys.executable, "-c", WATCH_GPUS, load], env=environment, capture_output=True, text=True, check=True
    )
    assert "[1000, 70000]\n" == told.stdout
