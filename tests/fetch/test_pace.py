"""A hub that sends nothing, or next to nothing: given up, with what it was waited for and the time that passed."""

import hashlib
import itertools
import json
import os
import threading

import pytest
from tests.fetch.test_checkpoint import NAME, cache, checkpoint, everything_under, gguf, hub

from seatrial.errors import NetworkError
from seatrial.fetch import pace
from seatrial.fetch.checkpoint import fetch_checkpoint
from seatrial.fetch.progress import FetchProgress
from seatrial.fetch.retry import RetryPolicy

__all__ = ["cache", "gguf", "hub"]

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Wait a second instead of the usual time, told from a tenth of it on."""
    monkeypatch.setattr(pace, "LIMIT_S", 1.0)
    monkeypatch.setattr(pace, "SILENCE_S", 0.4)
    monkeypatch.setattr(pace, "_REPORT_AFTER_S", 0.1)


@pytest.fixture
def given_up(monkeypatch, listening):
    """Return a function that fetches from a server which answers so, and returns the message and what was told."""

    def fetch(handle):
        told = []
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening(handle)}")
        with pytest.raises(NetworkError) as caught:
            fetch_checkpoint(checkpoint(), on_progress=told.append)
        return caught.value.what, [event.text for event in told if event.stage == "wait"]

    return fetch


def drip(connection, byte):
    """Send a byte again and again, as long as somebody listens."""
    nobody = threading.Event()
    for _ in itertools.count():
        connection.sendall(byte)
        nobody.wait(0.05)


def listed(content):
    """Return a list of one file with this content."""
    lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return json.dumps([{"type": "file", "path": NAME, "size": len(content), "lfs": lfs}]).encode()


def listing(content):
    """Return the answer with this list."""
    body = listed(content)
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("start", "byte", "waited_for"),
    [
        (OK + b"\r\n[", b" ", "the list of files"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", "the list of files"),
        (OK + b"X: ", b"x", "the answer of 127.0.0.1"),
        (OK, b"X: y\r\n", "the answer of 127.0.0.1"),
        (b"HTT", b"P", "the answer of 127.0.0.1"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "the answer of 127.0.0.1"),
        (b"", b"", "the answer of 127.0.0.1"),
    ],
    ids=["listing", "chunks", "one header", "headers", "status line", "100 Continue", "nothing at all"],
)
def test_a_drip_before_the_first_file_is_given_up(given_up, cache, start, byte, waited_for):
    """Each part of the first answer, and silence; every wait is told while it lasts, and nothing is written."""

    def handle(connection, _):
        connection.sendall(start)
        drip(connection, byte)

    what, told = given_up(handle)
    assert "someone/model-GGUF on 127.0.0.1:" in what
    assert (f"for {waited_for}" in what) or "failed" in what or "100 headers" in what
    assert "waiting for" in told[0]
    assert not cache.exists()


@pytest.mark.parametrize("quick", [0, 5000], ids=["from the first byte", "after a quick start"])
def test_a_file_that_drips_is_given_up_and_resumed(given_up, gguf, hub, cache, quick):
    """A part remains; a healthy hub sends the rest."""
    head = OK.replace(b"200 OK", b"206 Partial Content")

    def handle(connection, request):
        if "/api/" in request:
            connection.sendall(listing(gguf))
            return
        start = int(request.partition("Range: bytes=")[2].partition("-")[0] or 0)
        place = b"Content-Range: bytes %d-%d/%d\r\n" % (start, len(gguf) - 1, len(gguf))
        connection.sendall((head + place if start else OK) + b"Content-Length: %d\r\n\r\n" % (len(gguf) - start))
        connection.sendall(gguf[start : start + quick])
        for at in range(start + quick, len(gguf)):
            drip_one = gguf[at : at + 1]
            connection.sendall(drip_one)
            threading.Event().wait(0.05)

    what, _ = given_up(handle)
    assert what.startswith(f"{NAME}: waited ")
    assert "for the rest of" in what
    assert [True] == [name.endswith(".part") for name in everything_under(cache)]
    os.environ["HF_ENDPOINT"] = hub.url  # the fixtures' monkeypatch puts it back
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()
    assert hub.asked("/resolve/")[-1]["Range"].startswith("bytes=")


def test_a_server_that_cuts_after_each_byte_is_given_up(given_up, gguf):
    """A byte for each connection is a new byte each time, and still no progress."""

    def handle(connection, request):
        if "/api/" in request:
            connection.sendall(listing(gguf))
            return
        start = int(request.partition("Range: bytes=")[2].partition("-")[0] or 0)
        place = b"Content-Range: bytes %d-%d/%d\r\n" % (start, len(gguf) - 1, len(gguf))
        head = OK.replace(b"200 OK", b"206 Partial Content") + place if start else OK
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % (len(gguf) - start) + gguf[start : start + 1])

    what, _ = given_up(handle)
    assert "6 times in a row" in what or "waited" in what


def test_a_pause_the_server_asks_for_is_no_slowness(hub, gguf):
    """429 with a time longer than the limit: waited for, and then fetched."""
    hub.answers.append((429, {"Retry-After": "2"}))
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()


def test_a_name_server_that_says_nothing_is_given_up(monkeypatch):
    """The look-up has no limit of its own."""
    answered = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: answered.wait(60) and [])
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    with pytest.raises(NetworkError, match=r"waited \d+ s for a connection to hub\.example"):
        fetch_checkpoint(checkpoint())
    answered.set()


def test_a_second_attempt_from_the_first_byte_is_not_given_up(monkeypatch, listening, gguf):
    """A mirror without Range cuts near the end, and sends all of it again: every byte counts for the pace."""
    attempts = itertools.count()

    def handle(connection, request):
        if "/api/" in request:
            connection.sendall(listing(gguf))
            return
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(gguf))
        if next(attempts) == 0:
            connection.sendall(gguf[:-1])
            return
        for at in range(0, len(gguf), 100_000):
            connection.sendall(gguf[at : at + 100_000])
            threading.Event().wait(0.06)

    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening(handle)}")
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()


def test_a_long_list_that_keeps_coming_is_not_given_up(monkeypatch, listening, gguf):
    """Longer than the limit in all, and never slower than the floor."""

    def handle(connection, request):
        if "/api/" not in request:
            connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(gguf) + gguf)
            return
        body = b" " * 60_000 + listed(gguf)
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 2500):
            connection.sendall(body[at : at + 2500])
            threading.Event().wait(0.06)

    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listening(handle)}")
    assert gguf == fetch_checkpoint(checkpoint()).read_bytes()


def test_what_an_earlier_process_left_is_no_progress():
    """The first bytes after a part of a megabyte do not reset the count of failures; enough new ones do."""
    retry = RetryPolicy("a file", "a host", FetchProgress(lambda _: None), 1_000_000)
    retry.failures = 5
    retry.record(1, 1_000_001)
    assert 5 == retry.failures
    retry.record(500_000, 500_000)
    assert 5 == retry.failures
    retry.record(2000, 1_002_001)
    assert 0 == retry.failures
