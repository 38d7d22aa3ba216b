"""A server on loopback that sends whatever bytes a test wants, and requests to it without a client process."""

import asyncio
import contextlib
import json
import socket
import threading
import time

from seatrial.measure import Workload
from seatrial.measure.sender import Sender
from seatrial.measure.session import CHAT, Session

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


@contextlib.contextmanager
def raw_server(answer, *, chat=True):
    """Listen, and let ``answer(send, body)`` answer completions; the model is listed, and there is no tokenizer."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    paths = {"/v1/chat/completions", "/v1/completions"} if chat else {"/v1/completions"}

    def serve(connection):
        with connection, contextlib.suppress(OSError, ValueError):
            file = connection.makefile("rb")
            path = file.readline().split()[1].decode()
            length = 0
            while line := file.readline().strip().lower():
                length = int(line.partition(b":")[2]) if line.startswith(b"content-length:") else length
            body = json.loads(file.read(length) or b"{}")
            if path in paths:
                answer(connection.sendall, body)
            elif path == "/v1/models":
                connection.sendall(http_error(200, {"data": [{"id": "m"}]}))
            else:
                connection.sendall(http_error(404, {"error": "not found"}))
            connection.shutdown(socket.SHUT_RDWR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


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
