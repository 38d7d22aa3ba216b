"""CPU and memory are of the engine and all its descendants."""

import os
import subprocess
import sys

import pytest
from tests.server.conftest import until

from seatrial.measure.process_tree import ProcessTree

BUSY_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "data = bytearray(64 << 20); print(flush=True)\\nwhile True: pass"])
sys.stdin.read()
child.kill()
child.wait()
"""
ORPHAN = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.read()
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


def test_a_process_of_the_same_number_is_another():
    """The engine has ended, and the system has given its number away: nothing is read of the new one."""
    tree = ProcessTree(os.getpid())
    assert tree.read()[1]
    tree._start = {os.getpid(): "1"}  # as the system noted it of an earlier process
    assert (None, None) == tree.read()
    assert (None, None) == tree.read()


def test_a_child_that_begins_later_is_found():
    """By the next look, which is seldom."""
    tree = ProcessTree(os.getpid())
    tree.look()
    late = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        before = tree._start.copy()
        tree.look()
        assert late.pid in tree._start.keys() - before.keys()
    finally:
        late.communicate()


def test_a_child_outlives_its_parent():
    """The first process has ended: its children are the engine's still."""
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child = next(int(line) for line in parent.stdout if int(line) > 1)
    try:
        tree = ProcessTree(parent.pid)
        tree.look()
        held = os.open(f"/proc/{child}/fd/0", os.O_WRONLY)  # its standard input stays open
        parent.kill()
        parent.wait()
        tree.look()
        assert [child] == list(tree._start)
        assert tree.read()[1] > 0
        os.close(held)
        until(lambda: tree.read() == (None, None), "the end of the child")
    finally:
        parent.stdin.close()
        parent.stdout.close()


def test_who_belongs(busy_family):
    """The family, found or by its parents; nobody else; None for a number that cannot be seen."""
    tree = ProcessTree(os.getpid())
    assert tree.belongs(os.getpid())
    assert tree.belongs(busy_family)
    assert not tree.belongs(os.getppid())
    assert tree.belongs(2**22 + 1) is None
