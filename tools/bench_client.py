"""Measure the measuring client: how far its figures are from a server of known timing, and what it costs.

    python tools/bench_client.py                     one table
    python tools/bench_client.py --output X.json     the same as JSON too

Each load is sent twice in one run, by the kit's client and by a bare one (tools/bare_client.py), so that a busy machine or the
server's own lateness shows in both.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import psutil

from bench_servers import Figure
from seatrial.measure import Workload, start_load
from seatrial.measure.figures import rank
from seatrial.records import document_with, write_json
from seatrial.view.tables.table import Table
from seatrial.writing import check_target

HERE = Path(__file__).parent
TTFT_S = 0.05
BAR_S, BAR_OF_MANY_S = 0.0015, 0.003
FEW, MANY = 64, 128  # streams, up to which the bars hold
BUSY = 20_000  # tokens/s, from which what is done a second no longer counts
RATIO = 1.2
OURS = document_with("loads")


@dataclass(frozen=True, slots=True)
class Load:
    """A load with known figures."""

    streams: int
    tpot_s: float
    tokens: int  # of an answer
    requests: int  # of a stream

    @property
    def answer_s(self) -> float:
        """Seconds of an answer."""
        return TTFT_S + (self.tokens - 1) * self.tpot_s

    def __str__(self) -> str:
        return f"{self.streams:,} streams, {self.streams / self.tpot_s:,.0f} tokens/s"


LOADS = (
    Load(1, 0.01, 64, 8),
    Load(8, 0.01, 64, 6),
    Load(64, 0.01, 64, 4),
    Load(128, 0.01, 64, 4),
    Load(128, 0.00512, 256, 3),
    Load(1024, 0.1, 32, 2),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client made of a load. TTFT is in seconds; errors are of the median, against the server's settings."""

    ttft_error_s: float
    ttft_p99_error_s: float
    tpot_error: float  # share
    server_ttft_error_s: float  # of the server itself, by its own clock
    server_tpot_error: float
    achieved: float  # share of the ideal load
    cpu_per_token_s: float
    memory_bytes: int
    first_request_s: float | None  # after start_load, None for the bare client


def main() -> int:
    """Measure every load; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--streams", type=lambda text: tuple(map(int, text.split(","))), help="only these loads")
    given = parser.parse_args()
    if given.output:
        check_target(given.output, OURS)
    rows = [(load, *measure_both(load)) for load in chosen(given.streams)]
    print(table(rows).to_text())
    if given.output:
        document = [{"load": load, "kit": kit, "bare": bare} for load, kit, bare in rows]
        write_json(given.output, {"loads": document}, ours=OURS)
    return 0


def chosen(streams: tuple[int, ...] | None) -> list[Load]:
    """Return the loads of so many streams, all by default."""
    return [load for load in LOADS if streams is None or load.streams in streams]


def client(loads: list[Load]) -> Iterator[Figure]:
    """Measure the kit's client; on busy cores it may be as much worse than its bar as the bare client is, and a fifth more."""
    for load in loads:
        kit, bare = measure_both(load)
        many, slow = load.streams > FEW, load.streams > MANY
        bar = (BAR_S if not many else BAR_OF_MANY_S) * 1e3
        yield Figure(f"client, {load}: TTFT p50 error", kit.ttft_error_s * 1e3, "ms",
                     None if slow else max(bar, RATIO * bare.ttft_error_s * 1e3))  # fmt: skip
        yield Figure(f"bare client, {load}: TTFT p50 error", bare.ttft_error_s * 1e3, "ms")
        yield Figure(f"client, {load}: TPOT p50 error", abs(kit.tpot_error) * 100, "%",
                     max(1.0 if slow else 0.3, RATIO * abs(bare.tpot_error) * 100))  # fmt: skip
        yield Figure(f"bare client, {load}: TPOT p50 error", abs(bare.tpot_error) * 100, "%")
        yield Figure(f"client, {load}: load missing", (1 - kit.achieved) * 100, "%",
                     None if slow else max(2.0, RATIO * (1 - bare.achieved) * 100))  # fmt: skip
        yield Figure(f"client, {load}: CPU a token", kit.cpu_per_token_s * 1e6, "us",
                     max(10.0, RATIO * bare.cpu_per_token_s * 1e6) if load.streams / load.tpot_s >= BUSY else None)  # fmt: skip
        yield Figure(f"bare client, {load}: CPU a token", bare.cpu_per_token_s * 1e6, "us")
        yield Figure(f"client, {load}: memory", kit.memory_bytes / 1e6, "MB", None if slow else 40.0)
        if kit.first_request_s is not None:
            yield Figure(f"client, {load}: first request after", kit.first_request_s, "s", 0.5)


def measure_both(load: Load) -> tuple[Outcome, Outcome]:
    """Send a load with the kit's client, then with the bare one."""
    with timed_server(load) as url:
        kit = measure_kit(load, url)
        return kit, measure_bare(load, url)


@contextlib.contextmanager
def timed_server(load: Load) -> Iterator[str]:
    """Run the server with known figures; give its address."""
    command = [sys.executable, str(HERE / "timed_server.py"), f"--ttft-s={TTFT_S}", f"--tpot-s={load.tpot_s}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None  # noqa: S101 -- it is a pipe
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def measure_kit(load: Load, url: str) -> Outcome:
    """Return what the kit's client sees."""
    workload = Workload(
        concurrency=(load.streams,), requests=load.streams * load.requests, prompt_tokens=64, answer_tokens=load.tokens
    )
    largest, begun = 0, time.perf_counter_ns()
    with start_load(url, workload) as running:
        process = psutil.Process(running.pid)
        while not running.wait(0.1):
            with contextlib.suppress(psutil.NoSuchProcess):
                largest = max(largest, process.memory_info().rss)
        measurement = running.result()
    point = measurement.points[0]
    if point.requests.failed:
        raise RuntimeError(f"Requests failed: {point.requests.reasons}")
    answers = []
    for one in measurement.completions:
        stamps = list(accumulate(one.gaps_s, initial=one.first_token_s or 0.0))
        answers.append({"sent": one.sent_s, "stamps": stamps, "ended": one.ended_s, "text": one.text})
    cpu_s = point.self_check.cpu_share * point.duration_s
    return outcome(load, answers, cpu_s, largest, first_request_s(url, begun))


def first_request_s(url: str, begun: int) -> float:
    """Return how long after ``begun`` the server had its first request for a completion."""
    import urllib.request

    with urllib.request.urlopen(f"{url}/first", timeout=10) as answer:  # noqa: S310 -- loopback
        return float((int(answer.read()) - begun) / 1e9)


def measure_bare(load: Load, url: str) -> Outcome:
    """Return what the bare client sees."""
    numbers = {"streams": load.streams, "requests": load.requests, "tokens": load.tokens}
    command = [
        sys.executable,
        str(HERE / "bare_client.py"),
        url,
        *(f"--{name}={value}" for name, value in numbers.items()),
    ]
    seen = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    answers = [
        {
            "sent": one["sent"] / 1e9,
            "stamps": [stamp / 1e9 for stamp in one["stamps"]],
            "ended": one["ended"] / 1e9,
            "text": one["text"],
        }
        for one in seen["answers"]
    ]
    return outcome(load, answers, seen["cpu_s"], seen["memory"], None)


def outcome(load: Load, answers: list[dict[str, Any]], cpu_s: float, memory: int, first_s: float | None) -> Outcome:
    """Compare what a client saw with the load, and the server with its own clock."""
    ttfts = sorted(one["stamps"][0] - one["sent"] for one in answers)
    tpots = [(one["stamps"][-1] - one["stamps"][0]) / (load.tokens - 1) for one in answers]
    own_ttfts, own_tpots = [], []
    for one in answers:
        arrived, _, clocks = one["text"].partition("/")
        sent = [int(clock) / 1e9 for clock in clocks.split()]
        own_ttfts.append(sent[0] - int(arrived) / 1e9)
        own_tpots.append((sent[-1] - sent[0]) / (load.tokens - 1))
    tokens = sum(len(one["stamps"]) for one in answers)
    took_s = max(one["ended"] for one in answers) - min(one["sent"] for one in answers)
    return Outcome(
        ttft_error_s=statistics.median(ttfts) - TTFT_S,
        ttft_p99_error_s=rank(ttfts, 0.99) - TTFT_S,
        tpot_error=statistics.median(tpots) / load.tpot_s - 1,
        server_ttft_error_s=statistics.median(own_ttfts) - TTFT_S,
        server_tpot_error=statistics.median(own_tpots) / load.tpot_s - 1,
        achieved=tokens / took_s / (load.streams * load.tokens / load.answer_s),
        cpu_per_token_s=cpu_s / tokens,
        memory_bytes=memory,
        first_request_s=first_s,
    )


def table(rows: list[tuple[Load, Outcome, Outcome]]) -> Table:
    """Return the outcomes side by side, the bare client's in the second of each two lines."""
    cells = []
    for load, kit, bare in rows:
        for name, one in (("kit", kit), ("bare", bare)):
            cells.append((
                str(load) if name == "kit" else "",
                name,
                f"{one.ttft_error_s * 1e3:+.2f} ms",
                f"{one.ttft_p99_error_s * 1e3:+.1f} ms",
                f"{one.server_ttft_error_s * 1e3:+.2f} ms",
                f"{one.tpot_error:+.2%}",
                f"{one.achieved:.1%}",
                f"{one.cpu_per_token_s * 1e6:.1f} us",
                f"{one.memory_bytes / 1e6:.0f} MB",
                "" if one.first_request_s is None else f"{one.first_request_s:.2f} s",
            ))  # fmt: skip
    heads = ("TTFT p50>", "p99>", "server's own>", "TPOT>", "load>", "CPU a token>", "memory>", "first request>")
    return Table(
        "Client against a server of known timing", ("Load", "client", *heads), tuple(cells), "TTFT and TPOT: error."
    )


if __name__ == "__main__":
    sys.exit(main())
