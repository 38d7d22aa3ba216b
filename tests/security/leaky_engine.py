"""An engine that logs everything it knows: its arguments, its entire environment and its key.

It answers like one: health, models and completions, those with the key alone unless told otherwise.
"""

import argparse
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = "leaky"


def options():
    """Return its options: its address, and its misbehaviour."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add = parser.add_argument
    add("--host", required=True)
    add("--port", type=int, required=True)
    add("--key-file", type=Path)
    add("--key-env")
    add("--also-on", help="a second address to listen on")
    add("--no-key", action="store_true", help="answer whoever asks")
    add("--say", action="append", default=[], help="text to log, escapes as in Python")
    add("--fail", action="store_true", help="end with a traceback that shows the key")
    return parser.parse_args()


class Handler(BaseHTTPRequestHandler):
    """The few paths of the contract."""

    def do_GET(self):
        """Answer health and models without a key, as llama.cpp does."""
        log(f"{self.command} {self.path} {dict(self.headers)}")
        self.answer(200, {"data": [{"id": MODEL}]})

    def do_POST(self):
        """Answer completions with one word."""
        self.rfile.read(int(self.headers["Content-Length"]))
        log(f"{self.command} {self.path} {dict(self.headers)}")
        allowed = self.server.key is None or self.headers["Authorization"] == f"Bearer {self.server.key}"
        if self.path != "/v1/completions":
            self.answer(404 if allowed else 401, {"error": "no"})
        else:
            self.answer(200 if allowed else 401, {"choices": [{"text": "word"}], "usage": {"completion_tokens": 1}})

    def answer(self, status, document):
        """Send JSON."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Log nothing: the requests are logged above."""


def log(text):
    """Write where engines write."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main():
    """Print everything, then serve for ever."""
    chosen = options()
    key = chosen.key_file.read_text().strip() if chosen.key_file else os.environ[chosen.key_env]
    log(f"arguments {sys.argv}")
    log(f"environment {dict(os.environ)}")
    log(f"key {key}")
    for text in chosen.say:
        log(text.encode().decode("unicode_escape"))
    if chosen.fail:
        raise RuntimeError(f"could not authenticate with {key} and {os.environ.get('HF_TOKEN')}")
    servers = [ThreadingHTTPServer((host, chosen.port), Handler) for host in (chosen.host, chosen.also_on) if host]
    for server in servers:
        server.key = None if chosen.no_key else key
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
