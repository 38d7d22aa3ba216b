"""Measure what the telemetry of a measurement costs: eight GPUs, an engine of many processes, a long page of figures.

The driver is the tests' stand-in for NVML, which answers at once: a real driver's own time comes on top.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench_servers import Figure

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = 16
HISTOGRAMS = 1_200
"""Lines of vLLM's page that are of no use here: some 100 kB."""

WATCHED = """
import os, sys, time
from seatrial.measure.metrics_page import MetricsPage
from seatrial.measure.telemetry import Telemetry
with Telemetry(int(sys.argv[1]), MetricsPage(sys.argv[2])) as telemetry:
    telemetry.ask_server()
    time.sleep(3)
    reading = telemetry.latest
    assert len(reading.gpu_power_w) == 8 and reading.running_requests == 8 and reading.memory_bytes, reading
    spent, begun = time.process_time(), time.monotonic()
    time.sleep(20)
    print((time.process_time() - spent) / (time.monotonic() - begun))
os._exit(0)
"""
SERVED = """
import http.server, sys
page = open(sys.argv[1], "rb").read()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
ENGINE = """
import subprocess, sys
code = "import sys; sys.stdin.read()"
workers = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) for _ in range(int(sys.argv[1]))]
print("up", flush=True)
sys.stdin.read()
"""


def telemetry() -> Iterator[Figure]:
    """Measure the share of a core that reading takes."""
    sys.path.insert(0, str(ROOT))
    from tests.standin_nvml import build_standin, standin_environment

    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page")
        page.write_text(_page())
        environment = standin_environment(build_standin(Path(folder)), "8xH100")
        server = _start(SERVED, str(page))
        engine = _start(ENGINE, str(PROCESSES))
        try:
            url = f"http://127.0.0.1:{_line(server)}"
            _line(engine)
            command = [sys.executable, "-c", WATCHED, str(engine.pid), url]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        finally:
            for process in (server, engine):
                process.kill()
                process.communicate()
    yield Figure(
        f"telemetry, 8 GPUs, {PROCESSES + 1} processes, /metrics", float(done.stdout) * 100, "% of a core", 1.0
    )


def _page() -> str:
    labels = 'engine="0",model_name="deepseek-ai/DeepSeek-V4-Flash"'
    histograms = (
        f'vllm:histogram_{number // 24}_seconds_bucket{{{labels},le="{number % 24}"}} {number}.0\n'
        for number in range(HISTOGRAMS)
    )
    return (
        "".join(histograms)
        + f"vllm:num_requests_running{{{labels}}} 8.0\nvllm:generation_tokens_total{{{labels}}} 9e6\n"
    )


def _start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _line(process: subprocess.Popen[str]) -> str:
    if process.stdout is None:
        raise RuntimeError("the process has no output")
    return process.stdout.readline().strip()


if __name__ == "__main__":
    for figure in telemetry():
        print(f"{figure.name}: {figure.value:.2f} {figure.unit} (bar {figure.bar:g})")
