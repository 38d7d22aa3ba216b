"""Measure the kit itself: how fast it starts and plans, how much its client costs and adds, how much a supervisor weighs.

Prints a table and, with ``--output``, writes JSON. What the client adds is measured against a server on this machine whose
timing is known, beside a bare client in the same run (tools/bench_client.py).
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench_client import chosen, client
from bench_parsing import parsing
from bench_servers import Figure, servers
from bench_telemetry import telemetry
from seatrial import __version__
from seatrial.hardware import Hardware, detect_hardware
from seatrial.measure.record import read_document
from seatrial.plan import make_plan
from seatrial.records import document_with, write_json, write_record
from seatrial.view.report.compared import Compared, read_runs
from seatrial.view.report.page import write_compared
from seatrial.view.tables.table import Table
from seatrial.writing import check_target

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 5
RANKED = (("h200x8", None), ("b200x8", None), ("gb300x4", None), ("m3-ultra-512gb", None), ("rtx4090x2", 256.0))
"""Machines whose alternatives are ranked, with host memory in GiB, None if unified."""
SWEPT = (*RANKED, ("h100x8", None), ("rtxpro6000x4", None), ("mi300xx8", None), ("a100-80gbx8", None), ("cpu", 192.0))
CONTEXTS = (2_048, 8_192, 32_768, 131_072, 1_048_576)
UNSEEN = tuple(8_192 + 777 * index for index in range(REPEATS + 1))
MIXED = 1_000
RECORDS = 10_000
STREAMS_PLANNED = (1, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
IMPORT = "import time; begin = time.perf_counter(); import seatrial; print(time.perf_counter() - begin)"


OURS = document_with("machine", "figures")


def main() -> int:
    """Run everything, print the table, write the JSON; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--streams", type=lambda text: tuple(map(int, text.split(","))), help="only these loads")
    arguments = parser.parse_args()
    if arguments.output:
        check_target(arguments.output, OURS)
    figures = [
        *starts(),
        *planning(),
        *parsing(),
        *client(chosen(arguments.streams)),
        *telemetry(),
        *servers(),
        *runs(),
        *reports(),
    ]
    print(table(figures).to_text())
    if arguments.output:
        write_json(arguments.output, {"machine": machine(), "figures": figures}, ours=OURS)
        print(f"Written: {arguments.output}")
    return int(any(figure.bar is not None and figure.value > figure.bar for figure in figures))


def starts() -> Iterator[Figure]:
    """Measure how long a person waits before anything happens."""
    yield Figure("import seatrial", median_of(lambda: float(output("-c", IMPORT))), "s", 0.15)
    plan = ("-m", "seatrial", "plan", "--model", "flash", "--hardware", "h200x4", "--json")
    yield Figure("seatrial plan --json, new process", median_of(lambda: seconds(*plan)), "s", 0.4)


def planning() -> Iterator[Figure]:
    """Measure how long a warm process takes for a table of everything that runs, and for a sweep."""
    for name, host_gib in RANKED:
        rank_all = partial(ranked, detect_hardware(name, host_memory_gib=host_gib))
        figure = f"rank Flash and Pro on {name}: {rank_all(UNSEEN[0])} checkpoints x engines x splits"
        # Each time another context, so that no cached result helps.
        spent = statistics.median(timed(partial(rank_all, context)) for context in UNSEEN[1:])
        yield Figure(figure, spent * 1e3, "ms", 20.0)
    machines = [detect_hardware(name, host_memory_gib=host_gib) for name, host_gib in SWEPT]
    count = len(machines) * len(CONTEXTS) * len(STREAMS_PLANNED) * 2
    yield Figure(f"{count:,} plans: machines x contexts x streams x models", timed(lambda: sweep(machines)), "s", 2.0)
    spent = timed(lambda: mixture(machines))
    yield Figure(f"{MIXED:,} plans, each with a context and streams of its own, on 1 to 4 machines", spent, "s")


def ranked(hardware: Hardware, context: int) -> int:
    """Return how many plans of Flash and Pro run on a machine, after all are made and ranked."""
    plans = (
        make_plan(model, hardware=hardware, context_tokens=context, alternatives=True) for model in ("flash", "pro")
    )
    return sum(plan.runs + len(plan.alternatives) for plan in plans)


def mixture(machines: list[Hardware]) -> None:
    """Make plans drawn at random, the same ones each time: hardly two share a context or a number of streams."""
    drawn = random.Random(0)  # noqa: S311 -- no secrets
    for _ in range(MIXED):
        make_plan(
            drawn.choice(("flash", "pro")),
            hardware=drawn.choice(machines),
            nodes=drawn.choice((1, 2, 4)),
            context_tokens=drawn.randint(1_024, 1_048_576),
            concurrency=drawn.randint(1, 5_000),
        )


def sweep(machines: list[Hardware]) -> None:
    """Make plans over machines, contexts, streams and models."""
    for hardware in machines:
        for context in CONTEXTS:
            for streams in STREAMS_PLANNED:
                for model in ("flash", "pro"):
                    make_plan(model, hardware=hardware, context_tokens=context, concurrency=streams)


def reports() -> Iterator[Figure]:
    """Measure how long many records take to be read, summed up and written as a page."""
    source = ROOT / "tests" / "measure" / "records" / "version-0-simulated.json"
    with tempfile.TemporaryDirectory() as folder:
        record, top = read_document(source), Path(folder) / "runs"
        for place in range(RECORDS):
            write_record(top / f"r{place:05}" / "record.json", record)
        found: list[Compared] = []
        reading = timed(lambda: found.append(read_runs([top])))
        yield Figure(f"{RECORDS:,} records read and summed up", reading, "s", 2.0)
        page = Path(folder) / "report.html"
        writing = timed(lambda: write_compared(found[0], page))
        yield Figure("their page, CSV and JSON written", writing, "s")
        yield Figure("size of their page", page.stat().st_size / 1e3, "kB", 300.0)


def runs() -> Iterator[Figure]:
    """Run ``make run`` as a newcomer would: in a fresh clone with an empty home, and once more."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "seatrial")
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEATRIAL_", "XDG_"))}
        environment = kept | {"HOME": folder}
        for name, bar in (("make run, fresh clone and empty home", 150.0), ("make run, again", 30.0)):
            begin = time.perf_counter()
            subprocess.run(["make", "run"], cwd=clone, env=environment, check=True, capture_output=True)
            yield Figure(name, time.perf_counter() - begin, "s", bar)


def table(figures: list[Figure]) -> Table:
    """Return the figures as a table for people."""
    rows = []
    for figure in figures:
        bar = "" if figure.bar is None else f"{figure.bar:g} {figure.unit}"
        met = "" if figure.bar is None else "yes" if figure.value <= figure.bar else "NO"
        rows.append((figure.name, f"{figure.value:,.4g} {figure.unit}", bar, met))
    facts = machine()
    return Table(
        f"seatrial {__version__} on {facts['cpus']} CPUs, Python {facts['python']}",
        ("Figure", "Measured>", "At most>", "Met"),
        tuple(rows),
        f"Load average {facts['load']}.",
    )


def machine() -> dict[str, str]:
    """Describe the machine of the measurement."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cpus": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def median_of(run: Callable[[], float]) -> float:
    """Return the median of a few runs."""
    return statistics.median(run() for _ in range(REPEATS))


def output(*words: str) -> str:
    """Return the output of Python, started with ``words``."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True).stdout


def seconds(*words: str) -> float:
    """Return the seconds that Python runs, started with ``words``."""
    return timed(lambda: output(*words))


def timed(run: Callable[[], object]) -> float:
    """Return the seconds that ``run`` takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
