"""A real server on loopback whose ``/metrics`` a test writes, answer by answer."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = "vllm:num_requests_running 1\nvllm:num_requests_waiting 3\nvllm:kv_cache_usage_perc 0.5\nvllm:generation_tokens_total 7\n"


class MetricsServer:
    """Answers with ``status``, ``headers`` and ``body`` as they are now; keeps the requests it got.

    Attributes:
        answer: Writes an answer by itself, in place of status, headers and body; None: nothing special.
        asked: Path and headers of each request.
        connections: How many were opened.

    """

    def __init__(self):
        self.status, self.headers, self.body = 200, {"Content-Type": "text/plain; version=0.0.4"}, PAGE.encode()
        self.answer = None
        self.asked, self.connections = [], 0
        self.url = ""


@contextmanager
def metrics_server():
    """Run one until the block ends."""
    played = MetricsServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            played.connections += 1
            super().setup()

        def do_GET(self):
            played.asked.append((self.path, dict(self.headers)))
            if played.answer is not None:
                played.answer(self)
                return
            self.send_response(played.status)
            for name, value in played.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(played.body)))
            self.end_headers()
            self.wfile.write(played.body)

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        played.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield played
        finally:
            server.shutdown()
