"""A model hub and package index on loopback, which stumbles the way real ones do."""

import hashlib
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class StandinHub:
    """Serves ``files`` of one repository; what goes wrong is set by attributes.

    Attributes:
        repository: Its name, ``owner/model``.
        files: Content by path.
        bodies: Content that is really sent for a path, if it differs from ``files``.
        answers: (status, headers) to answer the next file requests with; None sends the file.
        cuts: Bytes after which the next file answers are cut off.
        listing_cuts: The same for pages of the listing.
        ranges: Whether Range is understood.
        page_size: Entries a page of the listing.
        store: Base address that files are redirected to, None if this server sends them.
        pause: Set to let a file answer go on after its first ``pause_after`` bytes; None: no pause.
        requests: (path, headers) of everything asked for.

    """

    def __init__(self, files=None, repository="someone/model-GGUF"):
        self.repository = repository
        self.files = dict(files or {})
        self.bodies = {}
        self.listing_body = None
        self.answers = deque()
        self.listing_answers = deque()
        self.cuts = deque()
        self.listing_cuts = deque()
        self.ranges = True
        self.page_size = 1000
        self.store = None
        self.pause = None
        self.pause_after = 0
        self.requests = []
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        if self.pause:
            self.pause.set()
        self._server.shutdown()
        self._server.server_close()

    def asked(self, part):
        """Headers of every request whose path contains ``part``."""
        return [headers for path, headers in self.requests if part in path]

    def entries(self):
        """Return the listing: LFS entries for weights, plain Git ones for small text files."""
        for name, content in sorted(self.files.items()):
            size = len(content)
            if name.endswith((".json", ".txt", ".jinja")):
                yield {"type": "file", "path": name, "size": size, "oid": git_oid(content)}
            else:
                lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 135}
                yield {"type": "file", "path": name, "size": size, "oid": "0" * 40, "lfs": lfs}
        yield {"type": "directory", "path": "assets", "size": 0, "oid": "1" * 40}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        hub = self.server_hub
        address = urlsplit(self.path)
        path = unquote(address.path)
        hub.requests.append((self.path, dict(self.headers.items())))
        if path.startswith(f"/api/models/{hub.repository}/tree/"):
            self.send_listing(hub, address)
        elif path.startswith(f"/{hub.repository}/resolve/"):
            self.send_file(hub, path.split("/", 5)[5])
        elif path.startswith("/store/"):
            self.send_file(hub, path.removeprefix("/store/"))
        else:
            self.reply(404, b"not found")

    def send_listing(self, hub, address):
        if hub.listing_answers:
            status, headers = hub.listing_answers.popleft()
            self.reply(status, b"", headers)
            return
        if hub.listing_body is not None:
            self.reply(200, hub.listing_body)
            return
        start = int(parse_qs(address.query).get("cursor", ["0"])[0])
        entries = list(hub.entries())
        headers = {}
        if start + hub.page_size < len(entries):
            following = f"{hub.url}{address.path}?recursive=1&cursor={start + hub.page_size}"
            headers["Link"] = f'<{following}>; rel="next"'
        page = json.dumps(entries[start : start + hub.page_size]).encode()
        if hub.listing_cuts:
            self.close_connection = True
            headers["Content-Length"] = str(len(page))
            self.reply(200, page[: hub.listing_cuts.popleft()], headers)
        else:
            self.reply(200, page, headers)

    def send_file(self, hub, name):
        if hub.answers:
            answer = hub.answers.popleft()
            if answer is not None:
                self.reply(answer[0], b"", answer[1])
                return
        if hub.store and not self.path.startswith("/store/"):
            self.reply(302, b"", {"Location": f"{hub.store}/store/{name}"})
            return
        content = hub.bodies.get(name, hub.files.get(name))
        if content is None:
            self.reply(404, b"not found")
            return
        start, end = 0, len(content)
        wanted = self.headers.get("Range") if hub.ranges else None
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or end) + 1, end)
            if start >= len(content):
                self.reply(416, b"")
                return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(end - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()
        self.pour(hub, content[start:end])

    def pour(self, hub, body):
        if hub.cuts:
            self.wfile.write(body[: hub.cuts.popleft()])
            self.close_connection = True
            return
        try:
            if hub.pause:
                self.wfile.write(body[: hub.pause_after])
                hub.pause.wait(60)
                body = body[hub.pause_after :]
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: tests read ``requests``."""


def git_oid(content):
    """Git's own hash of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
