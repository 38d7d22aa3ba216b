"""Faults 11 to 13: the port is somebody else's, before or in between, or was ours a moment ago."""

import os
import socket
import sys

import pytest

from seatrial.errors import EngineError, UsageError
from seatrial.server import list_servers
from seatrial.server.processes import free_port, port_owner


@pytest.mark.fault(11)
def test_a_port_taken_beforehand(fake, seen):
    """Asked for, it is refused with its owner; not asked for, another one is found."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"Port {port} is taken by .*\(pid {os.getpid()}\)") as caught:
            fake(port=port)
        assert [] == list_servers(ended=True)
        assert port != fake().port
    seen.cause(caught.value)


@pytest.mark.fault(12)
def test_a_port_stolen_in_between(fake, thief, seen):
    """Somebody listens on the chosen port before the engine does: another one is tried, and works."""
    server = fake("--listen-after-s=0.3", on_event=thief)
    assert "another port" in thief.phases
    assert thief.socket.getsockname()[1] != server.port
    assert server.responds()
    seen.ran("a port the kit chose")


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere one loopback address must be set up before it can be used"
)
def test_a_port_taken_on_another_address(fake):
    """It is in nobody's way: the server comes up on its own address, and the other one goes on."""
    with socket.create_server(("127.0.0.2", 0)) as other:
        port = other.getsockname()[1]
        with fake(port=port) as server:
            assert (port, True) == (server.port, server.responds())
            proof = server.stop()
        assert (True, 0) == (proof.port_free, proof.processes_left)
        assert os.getpid() == port_owner(port, "127.0.0.2")[0]
        assert (None, "another process") == port_owner(port)


@pytest.mark.fault(12)
@pytest.mark.parametrize("slowness", ["--listen-after-s=0.3", "--listen-after-s=60"])
def test_a_stolen_port_that_was_asked_for(fake, thief, slowness, seen):
    """No other one will do: an error, whether the engine has tried to listen or not."""
    with pytest.raises(EngineError) as caught:
        fake(slowness, port=free_port(), on_event=thief)
    assert "port in use" == seen.cause(caught.value)
    seen.ran("a port that was asked for")


@pytest.mark.fault(13)
def test_one_port_five_times(fake, seen):
    """Stopped and started on it five times, with a connection left open each time."""
    port = free_port()
    for _ in range(5):
        server = fake("--children=1", port=port)
        with socket.create_connection(("127.0.0.1", port)):
            proof = server.stop()
        assert (port, True, 0) == (server.port, proof.port_free, proof.processes_left)
        seen.took("stop", proof.took_s)
