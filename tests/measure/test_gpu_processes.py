"""Whose processes compute on a GPU; a container's driver may hide them."""

import os
import subprocess
import sys

import pytest

from seatrial.hardware.gpu_reading import GpuReading
from seatrial.measure.gpu_processes import count_processes
from seatrial.measure.process_tree import ProcessTree

UNSEEN = 2**22 + 1  # no system gives such a number
EMPTY, FULL = 4 << 20, 60 << 30


@pytest.fixture
def stranger():
    """Start a process that is not of this family: its parent is gone."""
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()']).pid)"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    pid = int(parent.stdout.readline())
    parent.wait()
    yield pid
    parent.communicate()


def count(*gpus, own_numbers=False):
    """Count the processes of this process's family and of others."""
    readings = [GpuReading(used_memory_bytes=used, processes=pids) for used, pids in gpus]
    return count_processes(readings, ProcessTree(os.getpid()), own_numbers)


def test_the_engine_and_another(stranger):
    """The engine on the first, both on the second, nobody on the third."""
    me = os.getpid()
    assert ((1, 1, 0), (0, 1, 0)) == count((FULL, (me,)), (FULL, (me, stranger)), (EMPTY, ()))


def test_an_engine_without_a_gpu_beside_others(stranger):
    """Its machine shows who computes."""
    assert ((0,), (1,)) == count((FULL, (stranger,)))


@pytest.mark.parametrize("pids", [None, (), (UNSEEN,)])
def test_a_driver_that_hides_them(pids):
    """No list, an empty one beside a full memory, or numbers that nobody has here."""
    assert ((None,), (None,)) == count((FULL, pids))


def test_a_container_counts_by_other_numbers(stranger):
    """Without one of the engine the numbers may be those of the machine; with one they are ours."""
    me = os.getpid()
    assert ((None,), (None,)) == count((FULL, (stranger,)), own_numbers=True)
    assert ((1,), (1,)) == count((FULL, (me, stranger)), own_numbers=True)
