"""An OpenAI-compatible server on loopback whose every byte a test writes itself."""

import contextlib
import json
import socket
import threading
from dataclasses import dataclass, field

WORD = {"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
LAST = {
    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 16, "completion_tokens": 8},
}


class Exchange:
    """One request, and the connection on which it is answered."""

    def __init__(self, connection, path, body):
        self.path = path
        self.body = body
        self._connection = connection

    def send(self, data):
        """Send these bytes."""
        self._connection.sendall(data)

    def reply(self, document, status="200 OK", *headers):
        """Send a complete answer: bytes as they are, anything else as JSON."""
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.head(status, f"Content-Length: {len(content)}", *headers)
        self.send(content)

    def head(self, status="200 OK", *headers):
        """Send the head of an answer that ends with its connection, or with the length among ``headers``."""
        given = {line.partition(":")[0].lower() for line in headers}
        kind = () if "content-type" in given else ("Content-Type: application/json",)
        lines = (f"HTTP/1.1 {status}", "Connection: close", *kind, *headers)
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def stream(self, *events):
        """Send a stream: eight words and their counts, or these events, which are documents or bytes."""
        self.head("200 OK", "Content-Type: text/event-stream")
        for event in events or (*[WORD] * 8, LAST, b"[DONE]"):
            self.send(b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n\n")

    def closed(self, timeout_s):
        """Return True if the client leaves within ``timeout_s``."""
        self._connection.settimeout(timeout_s)
        with contextlib.suppress(TimeoutError):
            return not self._connection.recv(1)
        return False


@dataclass
class Script:
    """What the server answers; each takes an Exchange."""

    chat: object = Exchange.stream
    models: object = lambda exchange: exchange.reply({"data": [{"id": "m"}]})
    others: object = lambda exchange: exchange.reply({"error": "not found"}, "404 Not Found")
    seen: list = field(default_factory=list)  # bodies of the requests for a completion

    def answer(self, exchange):
        """Answer one request."""
        if exchange.path == "/v1/models":
            return self.models(exchange)
        if exchange.path == "/v1/chat/completions":
            self.seen.append(exchange.body)
            return self.chat(exchange)
        return self.others(exchange)


@contextlib.contextmanager
def scripted_server(script):
    """Serve the script, each request on a connection and a thread of its own; gives the address."""
    threads = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        accepting = threading.Thread(target=_accept, args=(listener, script, threads))
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def _accept(listener, script, threads):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threads.append(threading.Thread(target=_serve, args=(connection, script)))
        threads[-1].start()


def _serve(connection, script):
    # A client may leave in the middle of anything; what is no request gets no answer.
    with connection, contextlib.suppress(OSError, ValueError):
        file = connection.makefile("rb")
        with file:
            _, path, _ = file.readline().decode("latin1").split(" ", 2)
            length = 0
            while (line := file.readline()).strip():
                name, _, value = line.decode("latin1").partition(":")
                length = int(value) if name.lower() == "content-length" else length
            body = file.read(length)
        script.answer(Exchange(connection, path, json.loads(body) if body else None))
        connection.shutdown(socket.SHUT_WR)
