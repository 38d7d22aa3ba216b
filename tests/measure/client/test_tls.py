"""Certificates are checked, and a server with one of its own is measured once a person trusts it."""

import contextlib
import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.measure.conftest import SMALL
from tests.measure.scripted_server import Script, scripted_server

from seatrial.errors import MeasurementError, UsageError
from seatrial.measure import measure_server

PEMS = Path(__file__).parents[1] / "tls"
"""Keys and certificates for tests only, valid until 2123 but for the two that are to be refused for their dates."""

FEW = replace(SMALL, concurrency=(2,), requests=4, prompt_tokens=16, answer_tokens=8)


def pass_on(begin, end):
    """Send what comes at one end to the other, until one of them leaves."""
    with contextlib.suppress(OSError):
        while data := begin.recv(1 << 16):
            end.sendall(data)
    for one in (begin, end):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def serve_tls(listener, context, port):
    """Take TLS off each connection and pass it on."""
    threads = []
    while True:
        try:
            raw, _ = listener.accept()
        except OSError:
            break
        threads.append(threading.Thread(target=serve_one, args=(raw, context, port)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def serve_one(raw, context, port):
    """Pass one connection on."""
    with (
        raw,
        contextlib.suppress(OSError),
        context.wrap_socket(raw, server_side=True) as outside,
        socket.create_connection(("127.0.0.1", port)) as inside,
    ):
        back = threading.Thread(target=pass_on, args=(inside, outside))
        back.start()
        pass_on(outside, inside)
        back.join()


@pytest.fixture
def https(monkeypatch):
    """Serve one model behind this certificate; gives the port."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with contextlib.ExitStack() as stack:

        def run(name):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(PEMS / f"{name}.pem")
            url = stack.enter_context(scripted_server(Script()))
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
            serving = threading.Thread(target=serve_tls, args=(listener, context, int(url.rpartition(":")[2])))
            serving.start()
            stack.callback(serving.join)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return listener.getsockname()[1]

        yield run


REFUSED = {
    "self-signed": ("its certificate is not trusted by this machine", "SSL_CERT_FILE=server.pem"),
    "signed": ("its certificate is not trusted by this machine", "SSL_CERT_FILE=server.pem"),
    "expired": ("its certificate has expired", "Renew it on the server"),
    "not-yet": ("its certificate is not valid yet", "clock"),
    "other-name": ("its certificate is for another host", "Use a name that the certificate has"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_certificate_that_is_refused(https, monkeypatch, name):
    """The message has the reason and the cheapest remedy, and never offers to leave the check out."""
    port = https(name)
    if name in {"expired", "not-yet", "other-name"}:  # trusted, so that only its dates or its name are wrong
        monkeypatch.setenv("SSL_CERT_FILE", str(PEMS / f"{name}.pem"))
    with pytest.raises(UsageError) as caught:
        measure_server(f"https://127.0.0.1:{port}", FEW)
    what, remedy = REFUSED[name]
    assert f"cannot be measured: tls: {what}" in caught.value.what
    assert remedy in caught.value.remedy
    assert "verif" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "trusted"), [("self-signed", "self-signed"), ("signed", "authority"), ("signed", "signed")]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_trusted_certificate(https, monkeypatch, name, trusted, host):
    """The server's own certificate is enough, and so is that of its authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(PEMS / f"{trusted}.pem"))
    measurement = measure_server(f"https://{host}:{https(name)}", FEW)
    assert (4, {}) == (measurement.points[0].requests.succeeded, measurement.points[0].requests.errors)


@pytest.mark.parametrize("content", ["", "no certificate", None])
def test_a_file_of_certificates_that_cannot_be_read(https, monkeypatch, tmp_path, content):
    """It is named, instead of a certificate that nobody trusts."""
    path = tmp_path / "server.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(UsageError, match=r"SSL_CERT_FILE names '.*server\.pem', which holds no certificates"):
        measure_server(f"https://127.0.0.1:{https('self-signed')}", FEW)


def test_https_to_a_server_without_tls():
    """The address is what to change."""
    with scripted_server(Script()) as url, pytest.raises(UsageError, match="tls: ") as caught:
        measure_server(url.replace("http:", "https:"), FEW)
    assert "http://" in caught.value.remedy


def test_http_to_a_server_with_tls(https):
    """What comes back is no HTTP, or nothing."""
    with pytest.raises(MeasurementError, match=r"not_http: .*https://|disconnected"):
        measure_server(f"http://127.0.0.1:{https('self-signed')}", FEW)
