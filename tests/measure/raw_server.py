"""Streams a test writes byte by byte, and requests for them without a client process."""

import asyncio
import contextlib
import json
import time

from tests.measure.scripted_server import Script, scripted_server

from seatrial.measure import Workload
from seatrial.measure.client.sender import Sender
from seatrial.measure.client.session import CHAT, PLAIN, Session

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def event(**fields):
    """Return one event whose data are these fields as JSON."""
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def token(text=" word", reason=None, **fields):
    """Return the event of a piece of text."""
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": reason}], **fields)


def usage(tokens=8, prompt=20):
    """Return the event that counts tokens."""
    return event(choices=[], usage={"prompt_tokens": prompt, "completion_tokens": tokens})


END = token("", "stop") + usage() + DONE


def http_error(status, document):
    """Return a whole HTTP error."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return b"HTTP/1.1 %d Refused\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def in_chunk(data):
    """Return ``data`` as one chunk of HTTP."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def in_pieces(head, *pieces, ttft_s=0.0, tpot_s=0.0):
    """Return an answer that sends these pieces, the first after one time and each other after another."""

    def answer(send, _asked):
        send(head)
        for number, piece in enumerate(pieces):
            time.sleep(tpot_s if number else ttft_s)
            send(piece)

    return answer


def stay_open(answer):
    """Return the same answer, after which the connection stays open."""

    def answer_and_wait(send, asked):
        answer(send, asked)
        with contextlib.suppress(OSError):
            while True:
                time.sleep(0.05)
                send(b": still there\n\n")

    return answer_and_wait


def raw_server(answer):
    """Serve, and let ``answer(send, body)`` answer completions of either kind."""

    def respond(exchange):
        answer(exchange.send, exchange.body)

    def others(exchange):
        if exchange.path == PLAIN:
            respond(exchange)
        else:
            exchange.reply({"error": "not found"}, "404 Not Found")

    return scripted_server(Script(chat=respond, others=others))


def answers_of(url, number=1, *, path=CHAT, prompt="one two three four", **changes):
    """Send requests one after another from this process, and return what came of each."""
    workload = Workload(**{"answer_tokens": 8, "request_timeout_s": 20.0, "token_timeout_s": 5.0} | changes)

    async def send():
        async with Session(url, None) as session:
            one = Sender(session, "m", workload, 0)
            one.path = path
            watch = asyncio.create_task(expire(one))
            try:
                return [await one.send(0, prompt, time.perf_counter_ns()) for _ in range(number)], one.notes
            finally:
                watch.cancel()

    async def expire(one):
        while True:
            await asyncio.sleep(0.05)
            one.expire()

    return asyncio.run(send())


def answer_of(answer, **changes):
    """Return what comes of one request that is answered so."""
    with raw_server(answer) as url:
        return answers_of(url, **changes)[0][0]
