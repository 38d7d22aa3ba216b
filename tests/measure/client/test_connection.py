"""Answers in every form of HTTP are read, and what is no answer ends with a name, in bounded time and memory."""

import asyncio
import gzip
import itertools
import socket
import threading
import time
import zlib

import pytest
from tests.measure.raw_server import CHUNKED, END, HEAD, answer_of, answers_of, in_chunk, in_pieces, raw_server, token
from tests.measure.scripted_server import Script, scripted_server

from seatrial.measure.client.session import RequestError, Session

STREAM = token() * 8 + END
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(STREAM)
BODY = in_chunk(STREAM) + b"0\r\n\r\n"
FORMS = {
    "until the connection closes": HEAD + STREAM,
    "a length": LENGTH + STREAM,
    "chunks": CHUNKED + BODY,
    "chunks with extensions and trailers": CHUNKED
    + b'%x;a=1;b="c d"\r\n%b\r\n0;x\r\nX-End: yes\r\n\r\n' % (len(STREAM), STREAM),
    "upper case and leading zeros": CHUNKED + b"000%X\r\n%b\r\n0\r\n\r\n" % (len(STREAM), STREAM),
    "a blank after the size": CHUNKED + b"%x \r\n%b\r\n0\r\n\r\n" % (len(STREAM), STREAM),
    "HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + STREAM,
    "bare line feeds": HEAD.replace(b"\r\n", b"\n") + STREAM,
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + STREAM,
    "two interim answers": b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    + LENGTH
    + STREAM,
    "no reason": HEAD.replace(b"200 OK", b"200") + STREAM,
    "an empty header": LENGTH.replace(b"\r\n\r\n", b"\r\nX-Empty:\r\nX-More: a\r\n\r\n") + STREAM,
    "names in odd case": b"HTTP/1.1 200 OK\r\ncOnTeNt-TyPe:text/event-stream\r\ntransfer-ENCODING: Chunked\r\n\r\n"
    + BODY,
    "letters of Latin-1": HEAD.replace(b"\r\n\r\n", b"\r\nX-Name: caf\xe9\r\n\r\n") + STREAM,
    "bytes after the answer": LENGTH + STREAM + b"what else",
    "a second answer": LENGTH + STREAM + b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno",
    "no type": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + STREAM,
}
NO_HTTP = {
    "nothing of it": b"\x00\x01\x02\x03" * 20,
    "words": b"hello\r\n\r\n",
    "a greeting": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another version": b"HTTP/4.2 200 OK\r\n\r\n",
    "frames of HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18,
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of five digits": b"HTTP/1.1 20000 OK\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "a length below zero": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a length beyond all numbers": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "a length and chunks": CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n") + BODY,
    "a size of a chunk that is none": CHUNKED + b"zz\r\nabc\r\n",
    "a size beyond all numbers": CHUNKED + b"f" * 40 + b"\r\nabc",
    "a chunk longer than its size": CHUNKED + b"2\r\nabcdef\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
}
CUT = {
    "before the head": b"",
    "within the status line": b"HTTP/1.",
    "within the head": HEAD[:40],
    "after the head, of a length": LENGTH,
    "within a length": LENGTH + STREAM[:300],
    "within a chunk": CHUNKED + in_chunk(token()) + b"80\r\ndata: ",
    "between chunks": CHUNKED + in_chunk(token()),
    "after an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
}
ENDLESS = {
    "status line": (b"HTTP/1.1 200 ", b"O" * 5000),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-More: %b\r\n" % (b"a" * 90)),
    "a header": (b"HTTP/1.1 200 OK\r\nX-More: ", b"a" * 5000),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "blank lines": (b"", b"\r\n" * 1000),
    "extensions of a chunk": (CHUNKED + b"5;", b"a=b;" * 1000),
    "chunks of one byte with long extensions": (CHUNKED, b"1;%b\r\n:\r\n" % (b"a" * 5000)),
    "trailers": (CHUNKED + b"0\r\n", b"X-More: %b\r\n" % (b"a" * 90)),
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_each_form(data):
    """Whole, and byte by byte."""
    pieces = (data[at : at + 1] for at in range(len(data)))
    whole, cut = answer_of(in_pieces(data)), answer_of(in_pieces(*pieces))
    assert [(None, 8, " word" * 8)] * 2 == [(one.error, one.tokens, one.text) for one in (whole, cut)]


@pytest.mark.parametrize("data", NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_http(data):
    """It is named so, and never called the server's leaving."""
    assert answer_of(in_pieces(data)).error.startswith("not_http: the answer is not HTTP that can be read (")


@pytest.mark.parametrize("data", CUT.values(), ids=CUT)
def test_an_answer_that_is_cut(data):
    """The chunks that came are counted."""
    assert f"disconnected: the server closed the connection after {data.count(b' word')} chunks" == (
        answer_of(in_pieces(data)).error
    )


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_before_the_body(begin, more):
    """It is given up long before it fills the memory."""

    def answer(send, _asked):
        send(begin)
        for _ in range(100_000):  # the client leaves, which ends this with an error
            send(more * (20_000 // len(more)))

    assert answer_of(answer, request_timeout_s=60.0).error.startswith("not_http: ")


BOMBS = {"a line": b"a" * 100_000, "signs of life": b": \n\n" * 25_000, "empty events": b"data: {}\n\n" * 10_000}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_decompression_bomb(text):
    """Of 300 MB in 300 kB little is unpacked."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join([*(packer.compress(text) for _ in range(3000)), packer.flush()])
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    assert answer_of(in_pieces(head, packed)).error.partition(":")[0] in {"compressed", "oversized", "overlong"}


PACKED = {
    "gzip": ("gzip", gzip.compress(STREAM)),
    "two members": ("x-gzip", gzip.compress(STREAM[:500]) + gzip.compress(STREAM[500:])),
    "zlib": ("deflate", zlib.compress(STREAM)),
    "deflate without a frame": ("deflate", zlib.compressobj(wbits=-15)),
    "nothing": ("identity", STREAM),
}


@pytest.mark.parametrize("what", PACKED)
def test_a_packed_answer(what):
    """A gateway may pack although plain text was asked for."""
    name, data = PACKED[what]
    data = data if isinstance(data, bytes) else data.compress(STREAM) + data.flush()
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: %b\r\n\r\n" % name.encode())
    ones = [
        answer_of(in_pieces(head, data)),
        answer_of(in_pieces(head, *(data[at : at + 1] for at in range(len(data))))),
    ]
    assert [(None, 8)] * 2 == [(one.error, one.tokens) for one in ones]


@pytest.mark.parametrize("name", ["br", "zstd", "gzip, br", "gzip, gzip", "none-such"])
def test_an_answer_packed_in_another_way(name):
    """It is named, whatever its bytes are."""
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: %b\r\n\r\n" % name.encode())
    assert answer_of(in_pieces(head, STREAM)).error.startswith(
        "compressed: the answer cannot be unpacked after 0 chunks"
    )


def keeping_server(listener, answers):
    """Serve one connection after the other from this list: what each sends to its requests before it is closed."""
    for pieces in answers:
        connection, _ = listener.accept()
        with connection:
            for piece in pieces:
                if not connection.recv(1 << 16):
                    break
                connection.sendall(piece)


@pytest.fixture
def kept():
    """Serve answers over connections that stay open; gives the address and what becomes of requests to it."""

    def run(*answers, number=1):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = threading.Thread(target=keeping_server, args=(listener, answers))
            serving.start()
            try:
                return answers_of(f"http://127.0.0.1:{listener.getsockname()[1]}", number)[0]
            finally:
                serving.join()

    return run


def test_a_connection_closed_while_idle_is_replaced(kept):
    """Also if it is closed at the moment of the next request, which is sent again over another."""
    ones = kept([LENGTH + STREAM] * 2, [LENGTH + STREAM], number=3)
    assert [None] * 3 == [one.error for one in ones]


def test_a_new_connection_without_an_answer_is_a_failure(kept):
    """Only a connection that was open before is a reason to send again."""
    (one,) = kept([b""])
    assert "disconnected: the server closed the connection after 0 chunks" == one.error


def test_an_error_leaves_its_connection_open(kept):
    """One connection serves an error and the next request."""
    error = b"HTTP/1.1 500 Oops\r\nContent-Length: 7\r\n\r\nno room"
    ones = kept([error, LENGTH + STREAM], number=2)
    assert ["http_500: HTTP 500: no room", None] == [one.error for one in ones]


def test_a_server_that_speaks_first():
    """What comes before anything was asked is shown."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 mail\r\n")
                connection.recv(1 << 16)

        greeting = threading.Thread(target=greet)
        greeting.start()
        (one,), _ = answers_of(f"http://127.0.0.1:{listener.getsockname()[1]}")
        greeting.join()
    assert one.error.startswith("not_http: ")


def open_files(listener, number):
    """Take up so many connections, and return what they say first within a moment."""
    listener.settimeout(10)
    taken = [listener.accept()[0] for _ in range(number)]
    said = []
    for connection in taken:
        connection.setblocking(False)
        try:
            said.append(connection.recv(1))
        except BlockingIOError:
            said.append(None)
        connection.close()
    return said


def test_connections_are_opened_beforehand():
    """As many as asked for, and nothing is said over them."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:

        async def run():
            async with Session(f"http://127.0.0.1:{listener.getsockname()[1]}", None) as session:
                await session.open_connections(70)
                return await asyncio.to_thread(open_files, listener, 70)

        assert [None] * 70 == asyncio.run(run())


def test_connections_that_cannot_be_opened_are_left_to_the_requests():
    """Nothing fails before a request does."""

    async def run():
        async with Session("http://127.0.0.1:9", None) as session:
            await session.open_connections(3)
            with pytest.raises(RequestError, match="unreachable"):
                await session.models()

    asyncio.run(run())


def test_a_request_that_is_broken_off_closes_its_connection():
    """A server hears at once that nobody waits any more."""
    left = threading.Event()

    def answer(exchange):
        exchange.send(HEAD + token())
        if exchange.closed(30):
            left.set()

    with scripted_server(Script(chat=answer)) as url:
        (one,), _ = answers_of(url, token_timeout_s=0.3)
        assert left.wait(10)
    assert one.error.startswith("token_timeout: ")


def test_sent_is_before_the_server_has_the_request():
    """The clock is that of the moment at which the request leaves, not of its being built."""
    heard = []

    def answer(send, _asked):
        heard.append(time.perf_counter_ns())
        send(HEAD + STREAM)

    with raw_server(answer) as url:
        ones, _ = answers_of(url, 5)
    assert all(one.sent_s * 1e9 < at < one.first_token_s * 1e9 for one, at in zip(ones, heard, strict=True))


def test_a_reset_in_the_middle():
    """It is the server's leaving, with what came until then."""
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, for no time: closing sends a reset

    def answer(exchange):
        exchange.send(CHUNKED + in_chunk(token() * 3))
        exchange.closed(0.3)
        exchange._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        exchange._connection.close()

    with scripted_server(Script(chat=answer)) as url:
        (one,), _ = answers_of(url)
    assert ("disconnected: the server closed the connection after 3 chunks", 3) == (one.error, one.chunks)


def test_many_cuts_of_one_answer():
    """However the reads fall, the same tokens come out."""
    data = CHUNKED + b"".join(in_chunk(token(f" {number}")) for number in range(8)) + in_chunk(END) + b"0\r\n\r\n"
    cuts = [0, 3, 17, 61, 90, 150, 151, 300, 301, 700, len(data)]
    one = answer_of(in_pieces(*(data[begin:end] for begin, end in itertools.pairwise(cuts)), tpot_s=0.01))
    assert (None, " 0 1 2 3 4 5 6 7") == (one.error, one.text)
