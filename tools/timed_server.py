"""Answer completions at known times, and write into each token when it was sent: the truth for clients that measure.

    python tools/timed_server.py --ttft-s=0.05 --tpot-s=0.01

Prints its address on 127.0.0.1. Token k of an answer is due at the request's arrival + TTFT + k x TPOT; its text is the clock
(``time.perf_counter_ns``) at which it was sent, and that of the first begins with the clock of the arrival. ``/first`` has the
clock of the first request for a completion. No event loop: those round timers to a millisecond.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import re
import select
import selectors
import socket
import time
from dataclasses import dataclass, field
from itertools import count

MODEL = "timed"
MODELS = b'{"object":"list","data":[{"id":"timed","object":"model"}]}'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
# As long as the events of usual engines.
BEFORE = (
    b'data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"timed","choices":[{"index":0,"delta":{"content":"'
)
AFTER = b'"},"logprobs":null,"finish_reason":null}]}\n\n'
LAST = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":16,"completion_tokens":%d}}'
    b"\n\ndata: [DONE]\n\n"
)
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
ASKED = re.compile(rb'"max_tokens": ?(\d+)')


@dataclass(slots=True)
class Connection:
    """A client's connection, and the answer that it waits for."""

    socket: socket.socket
    request: bytearray = field(default_factory=bytearray)
    arrived: int = 0  # clock of the request
    tokens: int = 0  # of its answer
    sent: int = 0  # of those


class TimedServer:
    """Server of one model."""

    def __init__(self, ttft_s: float, tpot_s: float) -> None:
        self._ttft_ns, self._tpot_ns = round(ttft_s * 1e9), round(tpot_s * 1e9)
        self._first = 0  # clock of the first request for a completion
        self._due: list[tuple[int, int, Connection]] = []
        self._order = count()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Serve until the process ends."""
        while True:
            wait_s = max((self._due[0][0] - time.perf_counter_ns()) / 1e9, 0.0) if self._due else None
            select.select([self._selector.fileno()], [], [], wait_s)  # to the microsecond
            for key, _ in self._selector.select(0):
                if key.data is None:
                    self._accept()
                else:
                    self._receive(key.data)
            while self._due and self._due[0][0] <= time.perf_counter_ns():
                self._send_token(heapq.heappop(self._due)[2])

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = self._listener.accept()
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                accepted.setblocking(False)
                self._selector.register(accepted, selectors.EVENT_READ, Connection(accepted))

    def _receive(self, connection: Connection) -> None:
        now = time.perf_counter_ns()
        try:
            data = connection.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            connection.tokens = 0
            self._selector.unregister(connection.socket)
            connection.socket.close()
            return
        request = connection.request
        request += data
        head, found, body = bytes(request).partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            return
        request.clear()
        self._answer(connection, head, body, now)

    def _answer(self, connection: Connection, head: bytes, body: bytes, now: int) -> None:
        asked = ASKED.search(body)
        if b"/completions " in head and asked:
            self._first = self._first or now
            connection.arrived, connection.tokens, connection.sent = now, int(asked[1]), 0
            heapq.heappush(self._due, (now + self._ttft_ns, next(self._order), connection))
            return
        pages = {b"GET /v1/models": MODELS, b"GET /first": b"%d" % self._first}
        content = pages.get(head.partition(b" HTTP")[0])
        status, content = (b"404 Not Found", b"{}") if content is None else (b"200 OK", content)
        headers = b"Content-Type: application/json\r\nContent-Length: %d" % len(content)
        connection.socket.sendall(b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, headers, content))

    def _send_token(self, connection: Connection) -> None:
        if not connection.tokens:
            return  # the client left
        first = not connection.sent
        connection.sent += 1
        arrived = b"%d/" % connection.arrived if first else b""
        event = BEFORE + arrived + b"%d " % time.perf_counter_ns() + AFTER
        last = connection.sent == connection.tokens
        data = chunk(event + LAST % connection.tokens) + b"0\r\n\r\n" if last else chunk(event)
        try:
            connection.socket.send(STREAM + data if first else data)
        except OSError:  # the client left, or takes nothing
            connection.tokens = 0
            return
        if not last:
            due = connection.arrived + self._ttft_ns + connection.sent * self._tpot_ns
            heapq.heappush(self._due, (due, next(self._order), connection))


def chunk(data: bytes) -> bytes:
    """Return ``data`` as a chunk of HTTP."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ttft-s", type=float, default=0.05)
    parser.add_argument("--tpot-s", type=float, default=0.01)
    arguments = parser.parse_args()
    server = TimedServer(arguments.ttft_s, arguments.tpot_s)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve()


if __name__ == "__main__":
    main()
