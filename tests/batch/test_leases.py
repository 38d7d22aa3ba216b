"""After a run no server of a notebook runs, however the notebook and the supervisor ended."""

import json
import os
import signal
import time

import pytest
from tests.server.conftest import another_process, nothing_left, until

from seatrial.batch.leases import end_leases
from seatrial.server import find_server, list_servers
from seatrial.server.folder import folder_of

__all__ = ["another_process", "nothing_left"]

LAUNCHER = """
    import sys
    from seatrial.launching import launch
    from tests.server.conftest import fake_command
    server = launch(fake_command({flags}), name="fake", keep_running={keep_running})
    print(server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def orphan(another_process):
    """Launch the scripted engine from a process that is then killed, and return the server."""

    def launch(*flags, keep_running=False):
        owner = another_process(LAUNCHER.format(flags=", ".join(map(repr, flags)), keep_running=keep_running))
        owner.stdout.readline()
        server = find_server("fake")
        supervisor = folder_of("fake").processes().supervisor
        return owner, server, supervisor

    return launch


def end(owner):
    """Kill a process and wait until it is gone."""
    owner.kill()
    owner.wait()


def test_an_engine_whose_notebook_ended_is_waited_for(orphan):
    """Its supervisor ends it; end_leases has nothing to stop."""
    owner, server, _ = orphan()
    end(owner)
    assert [] == end_leases()
    assert not server.running


def test_an_engine_that_is_ending_is_waited_for(orphan):
    """It takes its time over TERM: the run is not over before it is."""
    owner, server, _ = orphan("--ignore-term")
    end(owner)
    until(lambda: server.state != "ready", "the end of the lease")
    assert [] == end_leases()
    assert not server.running


def test_an_engine_without_a_supervisor_is_stopped(orphan, caplog):
    """Its supervisor was killed too, so nobody else would: end_leases stops it, with a warning."""
    owner, server, supervisor = orphan()
    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: server.state == "unsupervised", "the end of the supervisor")
    end(owner)
    assert ["fake"] == [one.name for one in end_leases()]
    assert not server.running
    assert "fake still ran" in caplog.text


def test_a_supervisor_that_only_seems_lost_is_waited_for(orphan, monkeypatch, caplog):
    """One look can find an engine that still ends while its supervisor has just gone: the next look decides."""
    owner, server, _ = orphan("--ignore-term")
    known = folder_of("fake").path / "process.json"
    before = known.read_text()
    known.write_text(json.dumps(json.loads(before) | {"supervisor": {"pid": os.getpid(), "start": "1"}}))
    end(owner)
    sleep = time.sleep

    def sleep_and_restore(seconds):
        if '"start": "1"' in known.read_text():
            known.write_text(before)
        sleep(seconds)

    monkeypatch.setattr("seatrial.batch.leases.time.sleep", sleep_and_restore)
    assert [] == end_leases()
    assert not server.running
    assert "" == caplog.text


def test_what_outlives_its_notebook_on_purpose_stays(orphan):
    """Asked to keep running, it does."""
    owner, server, _ = orphan(keep_running=True)
    end(owner)
    assert [] == end_leases()
    assert ["fake"] == [one.name for one in list_servers()]
    assert "ready" == server.state
