"""CPU and memory are of the engine and all its descendants."""

import os
import subprocess
import sys
import threading

import psutil
import pytest
from tests.server.conftest import until

from seatrial.measure.telemetry import METRICS_LIMIT_S, ProcessTree, Reading, Telemetry
from seatrial.server.metrics import ServerMetrics

BUSY_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "data = bytearray(64 << 20); print(flush=True)\\nwhile True: pass"])
sys.stdin.read()
child.kill()
child.wait()
"""


@pytest.fixture
def busy_family():
    """Start a process that waits, with a child that computes and occupies 64 MiB."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY_CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    yield process.pid
    process.communicate()


def test_children_count(busy_family):
    """The child's memory and CPU are part of the family's; the first reading knows no CPU yet."""
    tree = ProcessTree(busy_family)
    first, resident = tree.read()
    share = None
    while not share:  # a busy child has used some clock tick after a while
        share, _ = tree.read()
    assert first is None
    assert resident > 64 << 20
    assert share > 0


def test_a_process_that_is_gone():
    """Of a process that has ended nothing is known."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert ProcessTree(ended.pid).read() == (None, None)


def test_a_server_elsewhere():
    """Of a server on another machine nothing is read."""
    with Telemetry(None) as telemetry:
        assert telemetry.latest == Reading()


def test_this_process():
    """The reading of a process that runs arrives in the background."""
    with Telemetry(os.getpid()) as telemetry:
        resident = until(lambda: telemetry.latest.memory_bytes, "a reading")
    assert resident > 1 << 20


def test_a_reading_that_no_other_follows_is_none():
    """What reads hangs in the driver: its last figures are not those of later instants."""
    hangs = threading.Event()

    def metrics(_timeout_s):
        if telemetry.latest.memory_bytes is not None:
            hangs.wait()

    with Telemetry(os.getpid(), metrics) as telemetry:
        until(lambda: telemetry.latest != Reading(), "a reading")
        until(lambda: telemetry.latest == Reading(), "the end of that reading")
        hangs.set()
        until(lambda: telemetry.latest != Reading(), "another reading")


def test_a_process_of_the_same_number_is_another():
    """The engine has ended, and the system has given its number away: nothing is read of the new one."""
    tree = ProcessTree(os.getpid())
    assert tree.read()[1]
    tree._first = psutil.Process(os.getpid())
    tree._first._ident = (os.getpid(), 1.0)  # as psutil noted it of an earlier process
    assert (None, None) == tree.read()


def test_a_server_is_asked_for_its_queue_and_cache():
    """Seldom, and what it does not say stays unknown."""
    asked = []

    def metrics(timeout_s):
        asked.append(timeout_s)
        return ServerMetrics(waiting=3, kv_cache_usage=0.5) if len(asked) == 1 else None

    with Telemetry(os.getpid(), metrics) as telemetry:
        until(lambda: telemetry.latest.waiting_requests == 3, "a reading with the queue")
        assert 0.5 == telemetry.latest.kv_cache_usage
        until(lambda: len(asked) > 1 and telemetry.latest.waiting_requests is None, "a reading without an answer")
    assert {METRICS_LIMIT_S} == set(asked)
