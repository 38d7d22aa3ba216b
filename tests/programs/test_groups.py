"""A program ends with what it left in its group; a number that may be another's by now is never signalled."""

import os
import subprocess
import sys

import psutil
import pytest
from tests.server.conftest import until

from seatrial.programs.groups import await_end, ending_with_its_group, has_ended
from seatrial.server.supervisor import start_of


def start(script):
    """Start a shell script in a group of its own."""
    return subprocess.Popen(("sh", "-c", script), stdout=subprocess.PIPE, start_new_session=True)


def test_what_it_left_in_its_group_ends_with_it():
    """It has ended by itself; its child, which nobody waits for, goes too, and its own exit code stays."""
    with ending_with_its_group(start("sleep 1000 & echo $!; exit 3")) as process:
        child = int(process.stdout.readline())
        assert await_end(process)
    assert 3 == process.returncode
    until(lambda: start_of(child) is None, "the end of its child")


def test_one_that_goes_on_is_ended():
    """It is killed; that it had not ended before is known."""
    with ending_with_its_group(start("sleep 1000")) as process:
        assert not has_ended(process)
        assert not await_end(process, 0.01)
    assert -9 == process.returncode


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system cannot wait without reaping")
def test_its_number_is_nobody_else_s_until_its_group_was_signalled():
    """It has ended and still stands in the process table, so the system gives its number to nobody."""
    with ending_with_its_group(start("exit 0")) as process:
        assert await_end(process)
        assert has_ended(process)
        assert process.returncode is None
        assert psutil.STATUS_ZOMBIE == psutil.Process(process.pid).status()
    assert not psutil.pid_exists(process.pid)


def test_where_children_are_reaped_for_it_it_has_ended_too():
    """A parent that ignores SIGCHLD, as some launchers leave it."""
    code = (
        "import signal, subprocess; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "from seatrial.programs.groups import await_end, ending_with_its_group\n"
        "process = subprocess.Popen(['sh', '-c', 'exit 0'], start_new_session=True)\n"
        "with ending_with_its_group(process):\n    print(await_end(process))\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "True\n" == told.stdout
