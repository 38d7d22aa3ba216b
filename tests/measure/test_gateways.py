"""Servers behind gateways, by real requests: what holds bytes is named, and every stream has an end."""

import asyncio
import contextlib
import gzip
import json
import time
import zlib

import pytest
from tests.measure.raw_server import (
    CHUNKED,
    DONE,
    END,
    HEAD,
    answer_of,
    answers_of,
    event,
    in_chunk,
    in_pieces,
    raw_server,
    stay_open,
    token,
    usage,
)

from seatrial.measure import Workload, find_problems, measure_server
from seatrial.measure.client.session import CHAT, Session
from seatrial.measure.stream.flight import Flight

WORKLOAD = Workload(concurrency=(1,), requests=3, prompt_tokens=16, answer_tokens=24)
TOKENS = [token()] * 24
LAST = token("", "stop") + usage(24) + DONE
OLD = HEAD.replace(b"HTTP/1.1", b"HTTP/1.0")
PACKED = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")


def packed(pieces):
    """Return these pieces compressed by a gateway that passes each on at once."""
    packer = zlib.compressobj(wbits=31)
    return [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]


HELD = {
    "all": (HEAD, b"".join(TOKENS) + LAST),
    "all, in one chunk of HTTP": (CHUNKED, in_chunk(b"".join(TOKENS) + LAST) + in_chunk(b"")),
    "all, in chunks of HTTP": (CHUNKED, b"".join(map(in_chunk, [*TOKENS, LAST, b""]))),
    "all, HTTP/1.0": (OLD, b"".join(TOKENS) + LAST),
    "all, compressed": (PACKED, gzip.compress(b"".join(TOKENS) + LAST)),
    "half, and cut within an event": (HEAD, (b"".join(TOKENS) + LAST)[:1234], (b"".join(TOKENS) + LAST)[1234:]),
    "the beginning": (HEAD, b"".join(TOKENS[:12]), *TOKENS[12:], LAST),
}
PASSED = {
    "HTTP/1.1": (HEAD, *TOKENS, LAST),
    "chunks of HTTP": (CHUNKED, *map(in_chunk, [*TOKENS, LAST, b""])),
    "HTTP/1.0": (OLD, *TOKENS, LAST),
    "compressed": (PACKED, *packed([*TOKENS, LAST])),
    "steps of a drafter": (HEAD, token(), *[token() * 3, token() * 2, token() * 4] * 2, token() * 5, LAST),
    "four tokens an event": (HEAD, *[token(" one two three four")] * 6, LAST),
    "usage held": (HEAD, *TOKENS, b"", b"", LAST),
}


@pytest.mark.parametrize("pieces", HELD.values(), ids=HELD)
def test_a_gateway_that_holds_bytes(pieces):
    """However the bytes are held, the level is not valid and says why; the client's event loop is not blamed."""
    with raw_server(in_pieces(*pieces, ttft_s=0.3, tpot_s=0.05)) as url:
        measurement = measure_server(url, WORKLOAD)
    (point,) = measurement.points
    assert (3, False) == (point.requests.succeeded, point.self_check.valid)
    assert point.self_check.why.startswith("Several tokens came in one read although each event holds one: ")
    assert "event loop" not in point.self_check.why
    assert find_problems(measurement) == (f"1 stream: {point.self_check.why}",)


@pytest.mark.parametrize("pieces", PASSED.values(), ids=PASSED)
def test_a_stream_as_the_server_sends_it(pieces):
    """Nothing is said of a gateway if each event comes when it was sent, whatever it holds."""
    with raw_server(in_pieces(*pieces, ttft_s=0.1, tpot_s=0.03)) as url:
        measurement = measure_server(url, WORKLOAD)
    (point,) = measurement.points
    assert (3, 24) == (point.requests.succeeded, measurement.completions[0].tokens)
    assert "read" not in point.self_check.why
    assert [] == [text for text in point.self_check.warnings if "read" in text]


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD, *TOKENS[:8], END),
        (CHUNKED, *map(in_chunk, [*TOKENS[:8], END])),
        (HEAD, *TOKENS[:8], usage() + b"data: [DONE]\n\n"),
        (HEAD, *TOKENS[:8], token("", "stop") + usage()),
    ],
)
def test_a_connection_that_stays_open(pieces):
    """After [DONE], or after a finish reason and its counts, an answer is complete although the connection stays open."""
    with raw_server(stay_open(in_pieces(*pieces))) as url:
        answers, _ = answers_of(url, 2, token_timeout_s=30.0, request_timeout_s=60.0)
    assert [(None, 8, "usage")] * 2 == [(one.error, one.tokens, one.token_source) for one in answers]


def test_one_connection_for_all(simulate):
    """A server that ends its streams keeps its connection: the end of the body is read, too."""
    flights = [Flight(asked=8) for _ in range(3)]
    body = {"model": "simulated", "messages": [{"role": "user", "content": "Ahoi"}], "stream": True, "max_tokens": 8}

    async def fly():
        async with Session(simulate().url, None) as session:
            for flight in flights:
                await session.stream(CHAT, body, flight)

    asyncio.run(fly())
    assert [(8, False), (8, True), (8, True)] == [(len(flight.answer.stamps), flight.reused) for flight in flights]


@pytest.mark.parametrize("body", [b'{"error":{"message":"no seats left"}}', b"<html><p>no seats left</p></html>"])
def test_an_error_called_a_stream(body):
    """An error or a page with the type of a stream is shown with its reason."""
    assert "no seats left" in answer_of(in_pieces(HEAD, body)).error


@pytest.mark.parametrize("kind", [b"text/event-stream", b"application/json"])
def test_a_whole_answer_instead_of_a_stream(kind):
    """An answer that was not streamed has no first token: that is a failure with its name, not a time."""
    body = json.dumps({"object": "chat.completion", "choices": [{"message": {"content": "one two"}}]}).encode()
    one = answer_of(in_pieces(HEAD.replace(b"text/event-stream", kind), body))
    assert one.error.startswith("not_a_stream: ")
    assert one.error.endswith("it came whole, not streamed")


@pytest.mark.parametrize("reason", ['""', "null", '"null"'])
@pytest.mark.parametrize(("head", "wrap", "kind"), [(HEAD, bytes, "incomplete"), (CHUNKED, in_chunk, "disconnected")])
def test_cut_after_an_empty_finish_reason(reason, head, wrap, kind):
    """A stream that is cut after an empty reason did not finish."""
    piece = b'data: {"choices":[{"delta":{"content":"A"},"finish_reason":%b}]}\n\n' % reason.encode()
    one = answer_of(in_pieces(head, *[wrap(piece)] * 3))
    assert (kind, "AAA") == (one.error.partition(":")[0], one.text)


@pytest.mark.parametrize(
    "piece",
    [
        token(),
        token("x"),
        event(choices=[{"delta": {"reasoning_content": "hm "}}]),
        event(choices=[{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}}]),
        event(choices=[{"delta": {"role": "assistant", "content": ""}}]),
        token("word " * 20_000),
        b": still thinking\n\n",
    ],
)
def test_a_server_that_never_stops(piece):
    """An answer that goes on and on at full speed is given up at once, and little of it is kept."""

    def answer(send, _asked):
        send(HEAD)
        with contextlib.suppress(OSError):
            while True:
                send(piece * 100)

    one = answer_of(answer, request_timeout_s=60.0)
    assert one.error.startswith("overlong: 8 tokens were asked for, ")
    assert len(one.text) <= 100_000


@pytest.mark.parametrize("encoding", [b"gzip", b"br"])
def test_an_answer_that_cannot_be_unpacked(encoding):
    """An answer in an encoding that cannot be read is named so, not called a closed connection."""
    head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: " + encoding + b"\r\n\r\n")
    assert answer_of(in_pieces(head, b"\x8b\x00\x80abc\x03")).error.startswith("compressed: ")


@pytest.mark.parametrize("kind", [b"text/plain", b"application/json", b"text/html; charset=utf-8"])
def test_a_stream_under_another_type(kind):
    """A stream is one by what it begins with, if a gateway gives it another type."""
    head = HEAD.replace(b"text/event-stream", kind)
    assert answer_of(in_pieces(head, b"\xef\xbb\xbf: hello\n\n", *TOKENS[:8], END)).error is None


@pytest.mark.parametrize("size", [1, 7, 100])
def test_any_cut(size):
    """Events are read right wherever they are cut, within a character too."""
    stream = token(" Schiff ⚓").replace(b"\\u2693", "⚓".encode()) * 8 + END
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    one = answer_of(in_pieces(HEAD, *pieces))
    assert (None, " Schiff ⚓" * 8, 8) == (one.error, one.text, one.tokens)


def test_the_end_is_the_time_of_done():
    """A request is over at [DONE], not when its connection is closed."""
    left = []

    def answer(send, asked):
        stay_open(in_pieces(HEAD, *TOKENS[:8], END))(send, asked)
        left.append(time.perf_counter_ns() / 1e9)

    one = answer_of(answer)
    assert one.last_token_s <= one.ended_s < left[0]
