"""Who is asked, through which proxy, who gets the token, and where no redirect leads."""

import socket
import ssl
import subprocess

import pytest
from tests.fetch.test_checkpoint import NAME, TOKEN, cache, checkpoint, gguf, hub
from tests.standin_hub import StandinHub

from seatrial.errors import NetworkError, UsageError
from seatrial.fetch import web
from seatrial.fetch.checkpoint import fetch_checkpoint
from seatrial.fetch.hub import Hub
from seatrial.fetch.pace import Pace
from seatrial.fetch.progress import FetchProgress

__all__ = ["cache", "gguf", "hub"]

PUBLIC = "203.0.113.9"
"""An address for documentation, which no machine has."""


@pytest.fixture(autouse=True)
def no_proxy_settings(monkeypatch):
    """Unset the proxies of the person who runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def resolver(monkeypatch):
    """Replace the name server: ``answers[name]`` are the addresses a name has, one list after another; count connections."""
    answers, tried = {}, []

    def look_up(host, port, *_, **__):
        lists = answers.get(host)
        found = lists.pop(0) if lists and len(lists) > 1 else (lists or [[host]])[0]
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in one], socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    class Socket(socket.socket):
        def connect(self, address):
            tried.append(address[0])
            if not address[0].startswith("127."):
                raise ConnectionRefusedError(111, "Connection refused")
            super().connect(address)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "socket", Socket)
    return answers, tried


def fetch(told=None):
    """Fetch the checkpoint of these tests; add what is said to ``told``."""
    return fetch_checkpoint(checkpoint(), on_progress=lambda event: told is not None and told.append(event.text))


def opened(url):
    """Ask a hub for one address."""
    return Hub().open(url, {}, Pace("a file", FetchProgress(lambda _: None)))


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]", "LOCALHOST"])
def test_loopback_is_asked_directly(hub, gguf, monkeypatch, listening, name):
    """A proxy for everything, and no no_proxy: it hears nothing, and the hub gets the token."""
    heard = []
    port = listening(lambda _, request: heard.append(request))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("127.0.0.1", name))
    assert gguf == fetch().read_bytes()
    assert [] == heard
    assert {f"Bearer {TOKEN}"} == {headers.get("Authorization") for _, headers in hub.requests}


def test_a_proxy_elsewhere_never_gets_the_token_in_clear(monkeypatch, listening):
    """An http hub on another machine: asked through the proxy, without the token, and the person reads why."""
    heard, told = [], []

    def proxy(connection, request):
        heard.append(request)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("http_proxy", f"http://me:pw@127.0.0.1:{listening(proxy)}")
    monkeypatch.setenv("HF_ENDPOINT", f"http://{PUBLIC}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(UsageError, match="nothing of that name"):
        fetch(told)
    assert heard[0].startswith(f"GET http://{PUBLIC}/api/models/")
    assert "Proxy-Authorization: Basic bWU6cHc=" in heard[0]
    assert not any(TOKEN in request for request in heard)
    assert 1 == sum("HF_TOKEN is not sent" in text for text in told)


def test_https_goes_through_the_proxy_as_a_tunnel(monkeypatch, listening):
    """The proxy hears the host's name and nothing else; its refusal is one message."""
    heard = []

    def proxy(connection, request):
        heard.append(request)
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listening(proxy)}")
    monkeypatch.setenv("HF_ENDPOINT", f"https://{PUBLIC}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(NetworkError, match=r"the proxy 127\.0\.0\.1 answers 407"):
        fetch()
    assert heard == [f"CONNECT {PUBLIC}:443 HTTP/1.1\r\nHost: {PUBLIC}:443\r\n\r\n"]


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://"])
def test_a_proxy_of_another_kind_is_bad_input(monkeypatch, proxy):
    """The message names the variable, and no request goes round the proxy."""
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("HF_ENDPOINT", f"https://{PUBLIC}")
    with pytest.raises(UsageError, match="https_proxy"):
        fetch()


@pytest.mark.parametrize("token", ["hf_a b", "hf_a\nX: y", "hf_\u00e4", "hf_a\x00"])
def test_a_token_that_no_header_may_carry_is_bad_input(monkeypatch, hub, token):
    """One message without the token, before any request."""
    if "\x00" in token:
        token = token.replace("\x00", "\x01")  # no variable holds a NUL
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UsageError, match="HF_TOKEN") as caught:
        fetch()
    assert token not in str(caught.value)
    assert [] == hub.requests


METADATA = [
    "169.254.169.254", "169.254.170.2", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518",
    "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fe80::1]", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]", "[64:ff9b:1:a9fe:a9:fe00::]",
    "[2002:a9fe:a9fe::1]", "169.254.169.254.", "\uff11\uff16\uff19.254.169.254", "metadata.google.internal",
    "METADATA.google.internal.", "100.100.100.200", "0.0.0.0", "[::]", "224.0.0.1", "[ff02::1]",  # noqa: S104
]  # fmt: skip


@pytest.mark.parametrize("host", METADATA)
@pytest.mark.parametrize("what", ["answers", "listing_answers"])
def test_no_redirect_leads_to_a_metadata_service(hub, resolver, what, host):
    """In any spelling, for a file and for the list of files: refused before a connection is made."""
    _, tried = resolver
    getattr(hub, what).append((302, {"Location": f"http://{host}/latest/meta-data/".encode().decode("latin-1")}))
    with pytest.raises(NetworkError):
        fetch()
    assert {"127.0.0.1"} == set(tried)


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254"])
@pytest.mark.parametrize("others", [[], [PUBLIC]])
def test_no_name_leads_to_a_metadata_service(hub, resolver, address, others):
    """Every address that a name has is looked at before any is tried."""
    answers, tried = resolver
    answers["store.example"] = [[*others, address]]
    hub.answers.append((302, {"Location": "http://store.example/model"}))
    with pytest.raises(NetworkError, match=r"store\.example is a link-local"):
        fetch()
    assert {"127.0.0.1"} == set(tried)


def test_a_name_is_looked_up_once_for_check_and_connection(hub, resolver):
    """A name server that answers differently the second time: the address that was checked is the one tried."""
    answers, tried = resolver
    answers["store.example"] = [[PUBLIC], ["169.254.169.254"]]
    hub.answers.append((302, {"Location": "http://store.example/model"}))
    with pytest.raises(NetworkError, match="connection refused"):
        fetch()
    assert PUBLIC == tried[-1]
    assert "169.254.169.254" not in tried


@pytest.mark.usefixtures("resolver")
def test_a_redirect_through_a_proxy_is_checked_too(monkeypatch, listening):
    """The proxy would ask the metadata service of its own machine."""
    heard = []

    def proxy(connection, request):
        heard.append(request.split("\r\n")[0])
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening(proxy)}")
    monkeypatch.setenv("HF_ENDPOINT", f"http://{PUBLIC}")
    with pytest.raises(NetworkError, match="link-local"):
        fetch()
    assert 1 == len(heard)


def test_a_hub_elsewhere_does_not_lead_to_this_machine(monkeypatch, listening):
    """A server of this machine that trusts loopback is not asked for a model."""

    def proxy(connection, _):
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening(proxy)}")
    monkeypatch.setenv("HF_ENDPOINT", f"http://{PUBLIC}")
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1 leads into a private network or to this machine"):
        fetch()


PRIVATE = [
    "10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.1.1", "100.64.1.1", "3232235777", "[fd12::1]",
    "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[64:ff9b:1::a00:1]", "[2002:c0a8:101::1]", "[::1]", "localhost",
]  # fmt: skip


def redirecting(place, heard):
    """Return a proxy that answers the first request with a redirect to ``place``, and no other one."""

    def proxy(connection, request):
        heard.append(request.split("\r\n")[0])
        answer = "404 Not Found\r\n" if len(heard) > 1 else f"302 Found\r\nLocation: {place}\r\n"
        connection.sendall(f"HTTP/1.1 {answer}Content-Length: 0\r\n\r\n".encode())

    return proxy


@pytest.mark.parametrize("host", [*PRIVATE, "own"])
def test_a_public_hub_does_not_lead_into_a_private_network(monkeypatch, listening, host):
    """In any spelling, also this machine's own address there: no router and no disk of a home is asked."""
    heard = []
    place = f"http://{own_address() if host == 'own' else host}:9/"
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening(redirecting(place, heard))}")
    monkeypatch.setenv("HF_ENDPOINT", f"http://{PUBLIC}")
    with pytest.raises(NetworkError, match="leads into a private network or to this machine"):
        fetch()
    assert 1 == len(heard)


def own_address():
    """Return the address that this machine has on its network, loopback without one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect((PUBLIC, 9))
        except OSError:
            return "127.0.0.1"
        return one.getsockname()[0]


def test_a_hub_in_a_private_network_may_lead_to_its_store_there(monkeypatch, listening):
    """A company's mirror and its store are both inside; but this machine is nearer than the mirror."""
    monkeypatch.setenv("HF_ENDPOINT", "http://192.168.77.1")
    heard = []
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening(redirecting('http://10.0.0.9/', heard))}")
    with pytest.raises(UsageError, match="nothing of that name"):
        fetch()
    assert "GET http://10.0.0.9/ HTTP/1.1" == heard[1]
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening(redirecting('http://127.0.0.1:9/', []))}")
    with pytest.raises(NetworkError, match="leads into a private network or to this machine"):
        fetch()


def test_a_name_in_a_private_network_is_no_store_of_a_public_hub(resolver, monkeypatch, listening):
    """Every address of the name is looked at."""
    answers, _ = resolver
    answers["store.example"] = [[PUBLIC, "192.168.0.7"]]
    heard = []
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listening(redirecting('http://store.example/', heard))}")
    monkeypatch.setenv("HF_ENDPOINT", f"http://{PUBLIC}")
    with pytest.raises(NetworkError, match=r"store\.example leads into a private network"):
        fetch()
    assert 1 == len(heard)


def test_the_next_page_stays_on_the_hub(monkeypatch, listening):
    """A path that begins with two slashes is no host."""
    heard = []

    def handle(connection, request):
        heard.append(request.split("\r\n")[0])
        link = 'Link: <http://127.0.0.1//other.example/list?cursor=2>; rel="next"\r\n' if len(heard) == 1 else ""
        body = '[{"type": "file", "path": "a.txt", "size": 1}]'
        connection.sendall(f"HTTP/1.1 200 OK\r\n{link}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening(handle)}")
    with pytest.raises(UsageError, match="holds no"):
        fetch()
    assert "GET //other.example/list?cursor=2 HTTP/1.1" == heard[1]


@pytest.mark.parametrize(("port", "host"), [("", "203.0.113.9"), (":8443", "203.0.113.9:8443")])
def test_the_usual_port_of_https_is_not_named(monkeypatch, tmp_path, listening, require, port, host):  # noqa: PLR0913, PLR0917 -- one case
    """Some stores sign the host without it, and refuse another one; a certificate made here stands for theirs."""
    key, certificate, heard = tmp_path / "key.pem", tmp_path / "certificate.pem", []
    require("openssl")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=hub"]
    make += ["-keyout", str(key), "-out", str(certificate), "-addext", f"subjectAltName=IP:{PUBLIC}"]
    subprocess.run(make, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def proxy(connection, _):
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection.dup(), server_side=True) as wire:
            heard.append(wire.recv(65536).decode())
            wire.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listening(proxy)}")
    monkeypatch.setenv("HF_ENDPOINT", f"https://{PUBLIC}{port}")
    web._encryption.cache_clear()
    try:
        with pytest.raises(UsageError, match="nothing of that name"):
            fetch()
    finally:
        web._encryption.cache_clear()
    assert f"Host: {host}" in heard[0].split("\r\n")


@pytest.mark.parametrize("endpoint", [f"http://{host}" for host in METADATA])
def test_an_endpoint_at_a_metadata_service_is_bad_input(monkeypatch, endpoint):
    """Before any request, with the variable's name."""
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(UsageError, match="HF_ENDPOINT"):
        fetch()


@pytest.mark.parametrize(
    "address", ["http://user:pw@127.0.0.1/", "http://user@127.0.0.1/", "data:text/plain,x", "javascript:1", "//u:p@x/"]
)
def test_a_redirect_with_a_password_or_of_another_kind_is_refused(hub, address):
    """And the message does not repeat it."""
    hub.answers.append((302, {"Location": address}))
    with pytest.raises(NetworkError, match="not safe to follow") as caught:
        fetch()
    assert "pw" not in str(caught.value)


def test_redirects_that_do_not_end_are_given_up(hub):
    """A redirect to itself."""
    hub.answers.extend([(302, {"Location": f"/someone/model-GGUF/resolve/main/{NAME}"})] * 50)
    with pytest.raises(NetworkError, match="more than 8 times"):
        fetch()
    assert 9 == len(hub.asked("/resolve/"))


def test_the_token_does_not_follow_to_another_port(hub, gguf, monkeypatch):
    """The same host with another port is another origin."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with StandinHub({NAME: gguf}) as store:
        hub.store = store.url
        fetch()
        assert [None] == [headers.get("Authorization") for headers in store.asked("/store/")]
