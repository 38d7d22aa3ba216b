"""Whose socket listens on a port, read without asking anybody, and whether anybody does at all."""

import socket
import subprocess
import sys

import psutil
import pytest

from seatrial.server.processes import accepts_connections, meets, port_listeners

ANY = ".".join("0000")
ME = [psutil.Process()]


@pytest.fixture
def theirs():
    """Let another process listen on a port."""
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield int(process.stdout.readline()), process.pid
        process.kill()


def test_a_port_of_our_own():
    """It accepts connections and is ours; closed again, neither."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert accepts_connections(port)
        assert [("127.0.0.1", True)] == port_listeners(port, ME)
        assert [("127.0.0.1", False)] == port_listeners(port, [])
    assert not accepts_connections(port)
    assert [] == port_listeners(port, ME)


def test_a_port_of_somebody_else(theirs):
    """It accepts connections and is not ours."""
    port, pid = theirs
    assert accepts_connections(port)
    assert [("127.0.0.1", False)] == port_listeners(port, ME)
    assert [("127.0.0.1", True)] == port_listeners(port, [psutil.Process(pid)])


@pytest.mark.parametrize(
    ("listening", "address", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.2", "127.0.0.1", False),
        (ANY, "127.0.0.1", True),
        ("127.0.0.2", ANY, True),
        ("::", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
        (ANY, "::1", False),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("fe80::1%eth0", "fe80::1", True),
    ],
)
def test_which_addresses_get_in_each_others_way(listening, address, expected):
    """The same one, or a wildcard of the same version; that of version six covers both."""
    assert expected == meets(listening, address)


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python knows no IPv6")
@pytest.mark.parametrize("address", ["::1", "::"])
def test_addresses_of_version_six(address):
    """Read as they are written."""
    try:
        server = socket.create_server((address, 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        port = server.getsockname()[1]
        assert accepts_connections(port, "::1")
        assert [(address, True)] == port_listeners(port, ME)


def test_a_socket_that_is_bound_and_does_not_listen():
    """As between an engine's choice of a port and its start."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert not accepts_connections(port)
        assert [] == port_listeners(port, ME)


def test_nobody_accepts_connections_however_often_one_asks():
    """A connection whose own end got the port it asks for would be answered by itself."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    assert not any(accepts_connections(port) for _ in range(2000))
