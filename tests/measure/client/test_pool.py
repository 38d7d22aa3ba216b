"""Connections go to the host that was given, directly, whatever the environment and the name service say."""

import asyncio
import contextlib
import socket
import threading
from dataclasses import replace

import pytest
from tests.measure.conftest import SMALL
from tests.measure.raw_server import answers_of
from tests.measure.scripted_server import Script, scripted_server

from seatrial.errors import MeasurementError
from seatrial.measure import measure_server
from seatrial.measure.client.session import RequestError, Session

FEW = replace(SMALL, concurrency=(1,), requests=3, prompt_tokens=16, answer_tokens=8)


@pytest.fixture
def named(monkeypatch):
    """Let a host's name stand for these addresses, in this order; gives how often it was looked up."""

    def run(*addresses):
        asked = []

        def look_up(host, port, *_, **__):
            asked.append(host)
            return [
                (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
                for one in addresses
            ]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return asked

    return run


def models(url):
    """Return the models that a server lists."""

    async def ask():
        async with Session(url, None) as session:
            return [await session.models() for _ in range(3)]

    return asyncio.run(ask())


def test_a_name_is_looked_up_once(named):
    """It cannot turn into another address while a key is sent to it."""
    asked = named("127.0.0.1")
    with scripted_server(Script()) as url:
        assert [[{"id": "m"}]] * 3 == models(url.replace("127.0.0.1", "server.example"))
    assert ["server.example"] == asked


def test_the_next_address_is_tried(named):
    """A name may stand for an address at which nothing listens."""
    named("127.0.0.9", "127.0.0.1")
    with scripted_server(Script()) as url:
        assert [[{"id": "m"}]] * 3 == models(url.replace("127.0.0.1", "server.example"))


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "100.100.100.200"])
def test_a_name_that_leads_to_a_forbidden_address(named, address):
    """Nothing is sent, whichever of its addresses it is."""
    named("127.0.0.1", address)
    with pytest.raises(RequestError, match=r"refused_address: server\.example is a link-local"):
        models("http://server.example:8000")


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 300 + ".example", "xn--.example", "a..b"])
def test_a_name_that_nobody_knows(name):
    """It is said, and nothing else."""
    with pytest.raises(RequestError, match="unknown_host: the host name is not known"):
        models(f"http://{name}:8000")


def test_a_server_on_ipv6():
    """The address in brackets is reached, if this machine has IPv6."""
    heard = []

    def serve(listener):
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(1 << 16))

    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no address of IPv6")
    with listener:
        port = listener.getsockname()[1]
        serving = threading.Thread(target=serve, args=(listener,))
        serving.start()
        (one,), _ = answers_of(f"http://[::1]:{port}")
        serving.join()
    assert one.error.startswith("disconnected")
    assert b"\r\nHost: [::1]:%d\r\n" % port in heard[0]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_hears_nothing(monkeypatch, name):
    """Its own delay would be measured."""
    heard = []

    def listen(listener):
        with contextlib.suppress(OSError):
            listener.accept()
            heard.append(True)

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        listening = threading.Thread(target=listen, args=(proxy,))
        listening.start()
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with scripted_server(Script()) as url:
            assert 3 == measure_server(url, FEW).points[0].requests.succeeded
        proxy.shutdown(socket.SHUT_RDWR)
        listening.join()
    assert [] == heard


def test_a_proxy_that_may_be_the_reason_is_named(monkeypatch):
    """Its variable, not its value, which may hold a password."""
    monkeypatch.setenv("https_proxy", "http://me:sesame@proxy.example:3128")
    with pytest.raises(MeasurementError, match="https_proxy is set, but load is never sent through a proxy") as caught:
        measure_server("http://no-such-host.invalid:8000", FEW)
    assert "sesame" not in str(caught.value)


def test_a_path_before_the_endpoint_is_kept():
    """A gateway may serve several servers; what a path may not hold is escaped."""
    script = Script()
    with scripted_server(script) as url:
        assert [None] * 3 == models(f"{url}/a%20b/caf\xe9")


def test_the_key_is_in_no_message():
    """A server may repeat it in an error, a page, or in the middle of a stream."""
    key = "sesame-sesame"

    async def ask(url):
        async with Session(url, key) as session:
            await session.models()

    answer = lambda exchange: exchange.reply({"error": f"no seat for {key}"}, "403 Forbidden")  # noqa: E731
    with scripted_server(Script(models=answer)) as url, pytest.raises(RequestError) as caught:
        asyncio.run(ask(url))
    assert "http_403: HTTP 403: no seat for [key]" == str(caught.value)
