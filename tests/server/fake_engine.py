"""A scripted engine: answers like one, and fails in every way engines fail.

Run by the supervisor as the real ones are: ``python fake_engine.py --port=... --key-file=... [--how ...]``.
"""

import argparse
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = "fake-model"


def options():
    """Parse the ways to behave."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add = parser.add_argument
    add("--port", type=int, required=True)
    add("--host", default="127.0.0.1")
    add("--key-file", type=Path)
    add("--key-env", help="read the key from this variable")
    add("--model", default=MODEL, help="id it lists, whatever was asked for")
    add("--say", action="append", default=[], help="line to log before anything else")
    add("--exit", type=int, help="exit with this code before it listens")
    add("--signal", help="die by this signal before it listens")
    add("--listen-after-s", type=float, default=0.0, help="say nothing until then")
    add("--script", type=Path, help="JSON, [seconds, text] each: wait, then write the text as it is, before it listens")
    add("--script-again", action="store_true", help="go through the script for ever")
    add("--script-late", action="store_true", help="go through the script once its health check was answered well")
    add("--script-exit", type=int, help="exit with this code once the script is over")
    add("--healthy-after-s", type=float, default=0.0, help="/health answers 503 until then, a log line each 0.1 s")
    add("--never-listen", action="store_true", help="sleep for ever")
    add("--spin", action="store_true", help="burn the processor for ever")
    add("--eat", action="store_true", help="use up memory until somebody objects")
    add("--no-tokens", action="store_true", help="completions come back empty")
    add("--refuse", type=int, nargs="?", const=500, help="completions answer so (500), and repeat the key")
    add("--refuse-for-s", type=float, default=float("inf"), help="so long after it listens")
    add("--unlisted", action="store_true", help="there is no list of models")
    add("--drip", help="answer requests of this path a blank each 0.1 s, for ever; headers: within those of /health")
    add("--drip-late", action="store_true", help="only once a completion was answered")
    add("--deaf", action="store_true", help="accept connections and never answer")
    add("--ignore-term", action="store_true", help="ignore SIGTERM")
    add("--headless", action="store_true", help="end the first thread alone on SIGUSR1 (Linux)")
    add("--children", type=int, default=0, help="start this many child processes")
    add("--escaping-child", action="store_true", help="start a child that leaves group and session")
    add("--flood", action="store_true", help="write to the log as fast as it can")
    add("--flood-per-minute", type=int, help="write so many bytes to the log each minute")
    add("--grow-s", type=float, default=0.0, help="take 4 MiB of memory each 0.1 s for so long before it listens")
    add("--read-file", type=Path, help="read this file slowly from the disk before it listens")
    add("--clock", type=Path, help="write the monotonic clock there when it can answer, and when it ends by itself")
    add("--die-after-s", type=float, help="die by SIGSEGV so long after the first completion")
    return parser.parse_args()


class Handler(BaseHTTPRequestHandler):
    """The few paths of the contract."""

    def do_GET(self):
        """Answer health and models."""
        if self.server.chosen.deaf:
            time.sleep(3600)
        self.drip()
        if self.path == "/health":
            healthy = time.monotonic() > self.server.healthy_at
            self.answer({}, 200 if healthy else 503)
            if healthy:
                self.server.was_healthy.set()
        elif self.path == "/v1/models" and not self.server.chosen.unlisted:
            self.answer({"data": [{"id": self.server.chosen.model}]}, None)
        else:
            self.answer({"error": "not found"}, 404)

    def do_POST(self):
        """Answer a completion with one word."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.drip()
        if self.path != "/v1/completions":
            return self.answer({"error": "not found"}, 404)
        if self.server.chosen.refuse and time.monotonic() < self.server.refuses_until:
            return self.answer({"error": f"CUDA error, {self.headers['Authorization']}"}, self.server.chosen.refuse)
        count = 0 if self.server.chosen.no_tokens else 1
        self.server.drips = True
        self.answer({"choices": [{"text": "word" * count}], "usage": {"completion_tokens": count}}, None)
        if self.server.chosen.die_after_s is not None:
            threading.Timer(self.server.chosen.die_after_s, os.kill, (os.getpid(), signal.SIGSEGV)).start()
        return None

    def drip(self):
        """Never come to an end, if asked to."""
        in_headers = self.server.chosen.drip == "headers"
        if self.server.drips and self.server.chosen.drip in {
            self.path,
            "headers" if self.path == "/health" else self.path,
        }:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"X: " if in_headers else b"\r\n"))
            while True:
                self.wfile.write(b" ")
                time.sleep(0.1)

    def answer(self, document, status):
        """Send JSON with a status: None means 200, or 401 without the right key."""
        if status is None:
            right = self.server.key is None or self.headers["Authorization"] == f"Bearer {self.server.key}"
            status = 200 if right else 401
        body = json.dumps(document if status != 401 else {"error": "key"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self):
        """Answer until whoever asked has gone."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, *_):
        """Log no requests."""


class Engine(ThreadingHTTPServer):
    """Listens on one port."""

    daemon_threads = True
    allow_reuse_address = True


def log(line):
    """Write one line where engines write."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def flood():
    """Fill the log for ever."""
    line = b"x" * 4095 + b"\n"
    while True:
        os.write(2, line * 16)


def flood_evenly(bytes_per_minute):
    """Fill the log for ever, at this rate."""
    line = b"x" * 4095 + b"\n"
    written, begun = 0, time.monotonic()
    while True:
        while written < (time.monotonic() - begun) * bytes_per_minute / 60:
            written += os.write(2, line)
        time.sleep(0.01)


def note_time(chosen):
    """Write the time of this moment, if asked to."""
    if chosen.clock:
        chosen.clock.write_text(repr(time.monotonic()))


def load_slowly(chosen):
    """Move memory or disk, and nothing else, for a while."""
    held = []
    until = time.monotonic() + chosen.grow_s
    while time.monotonic() < until:
        held.append(os.urandom(1 << 16) * 64)
        time.sleep(0.1)
    if chosen.read_file:
        with chosen.read_file.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            while file.read(2 << 20):
                time.sleep(0.1)


def start_children(chosen):
    """Start child processes, if asked to."""
    for _ in range(chosen.children):
        subprocess.Popen(["sleep", "1000"])
    if chosen.escaping_child:
        subprocess.Popen(["sleep", "1000"], start_new_session=True)


def fail_early(chosen):
    """End, hang or spin before anything listens, if asked to."""
    if chosen.signal or chosen.exit is not None:
        note_time(chosen)
    if chosen.signal:
        os.kill(os.getpid(), signal.Signals[chosen.signal])
    if chosen.exit is not None:
        sys.exit(chosen.exit)
    while chosen.never_listen:
        time.sleep(1000)
    while chosen.spin:
        pass
    eaten = []
    while chosen.eat and len(eaten) < 64:  # a gibibyte: where nobody objects it ends by itself
        eaten.append(os.urandom(1 << 20) * 16)


def recite(chosen):
    """Write the texts of the script, each after its wait; ``{clock}`` stands for the time."""
    steps = json.loads(chosen.script.read_text()) if chosen.script else []
    while steps:
        for seconds, text in steps:
            time.sleep(seconds)
            os.write(2, text.replace("{clock}", time.strftime("%H:%M:%S")).encode())
        if not chosen.script_again:
            break
    if chosen.script_exit is not None:
        sys.exit(chosen.script_exit)


def serve(chosen):
    """Listen and answer, for ever."""
    if chosen.headless:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # in the threads that follow as well
    engine = Engine((chosen.host, chosen.port), Handler)
    engine.chosen = chosen
    engine.healthy_at = time.monotonic() + chosen.healthy_after_s
    engine.was_healthy = threading.Event()
    engine.drips = not chosen.drip_late
    engine.refuses_until = time.monotonic() + chosen.refuse_for_s
    engine.key = chosen.key_file.read_text().strip() if chosen.key_file else os.environ.get(chosen.key_env or "")
    threading.Thread(target=engine.serve_forever, daemon=True).start()
    if chosen.script_late:
        engine.was_healthy.wait()
        recite(chosen)
    if chosen.flood:
        threading.Thread(target=flood, daemon=True).start()
    if chosen.flood_per_minute:
        threading.Thread(target=flood_evenly, args=(chosen.flood_per_minute,), daemon=True).start()
    step = 0
    while time.monotonic() < engine.healthy_at:
        time.sleep(min(0.1, max(0.0, engine.healthy_at - time.monotonic())))
        step += 1
        log(f"loading part {step}")
    note_time(chosen)
    if chosen.headless:
        signal.sigwait({signal.SIGUSR1})
        ctypes.CDLL(None).pthread_exit(None)
    while True:
        time.sleep(1000)


def main():
    """Behave as asked."""
    chosen = options()
    for line in chosen.say:
        log(line)
    if chosen.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    start_children(chosen)
    fail_early(chosen)
    load_slowly(chosen)
    time.sleep(chosen.listen_after_s)
    if not chosen.script_late:
        recite(chosen)
    serve(chosen)


if __name__ == "__main__":
    main()
