"""Measure how close tuned settings come to the best of a grid of llama.cpp settings.

    python tools/bench_tune.py [--output FILE] [--keep]

At 1, 4 and 8 streams of the stand-in model: tunes this machine within a budget (in a state folder of its own, or
with --keep in yours), then measures every combination of a small grid beside the server a tuned plan launches, the
best of them more often, and finally the very best on fresh servers. The share is the median of pairs. It takes under
6 minutes and needs a machine that does nothing else: threads on every core are the fastest on an idle machine and the
slowest on a busy one.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import NamedTuple

from seatrial.hardware import detect_hardware
from seatrial.launching.tuned import tuned_plan
from seatrial.plan import Plan, make_plan
from seatrial.programs.find import installed_command
from seatrial.records import document_with, write_json
from seatrial.tune import Budget, ServerBench, Track, TuneLoad, TuneRequest, tune_machine
from seatrial.tune.grid import grid_of
from seatrial.tune.pairs import Key, best_speed, compare, key_of
from seatrial.view.tables.table import Table
from seatrial.view.tables.tuning import describe
from seatrial.writing import check_target

STREAMS = (1, 4, 8)
TUNE_S, GRID_S = 150.0, 195.0
LOAD = TuneLoad(prompt_tokens=64, answer_tokens=32, seconds=1.2)
BESIDE = 4  # candidates measured in one round beside the tuned server
FINALISTS, FINAL_ROUNDS = 2, 5
BAR = 0.97
GRID = {
    "threads": ("cores-1", "cores"),
    "ubatch-size": ("128", "512"),
    "parallel": ("streams", "streams+1"),
    "cache-ram": ("0",),
}


class Share(NamedTuple):
    """Share of the best of the grid that the tuned server reaches, at a number of streams."""

    streams: int
    share: float
    error: float
    kit: dict[str, str]
    kit_tokens_per_s: float
    best: dict[str, str]
    best_tokens_per_s: float
    combinations: int
    measurements: int


def plan_for(streams: int) -> Plan:
    """Return the plan of the stand-in on this machine."""
    return make_plan("smollm2", hardware=detect_hardware(), engine="llamacpp", concurrency=streams)


def shares(*, keep: bool = False) -> Iterator[Share]:
    """Tune, then yield one share for each number of streams."""
    with tempfile.TemporaryDirectory() as state:
        if not keep:
            os.environ["SEATRIAL_STATE"] = state
        tune_machine(plan_for, TuneRequest(STREAMS, TUNE_S, {}, LOAD.prompt_tokens, LOAD.answer_tokens, "xllamacpp"))
        ends = Budget(time.monotonic, time.monotonic() + GRID_S)
        with ServerBench(plan_for, LOAD, "xllamacpp") as bench:
            for left, streams in zip(range(len(STREAMS), 0, -1), STREAMS, strict=True):
                yield share_at(bench, streams, ends.share(1 / left))


def share_at(bench: ServerBench, streams: int, budget: Budget) -> Share:
    """Measure the tuned server against the best of the grid."""
    kit = key_of(tuned_plan(plan_for(streams), "xllamacpp").settings)
    track = Track(bench, streams, ends=budget.ends)
    screening, racing = budget.share(0.6), budget.share(0.75)
    grid = [key for key in combinations(streams) if key != kit]
    for first in range(0, len(grid), BESIDE):
        track.take((kit, *grid[first : first + BESIDE]), screening)
    while len(finalists := leaders(track, grid, kit, FINALISTS)) and track.take((kit, *finalists), racing):
        pass
    best = next(iter(leaders(track, grid, kit, 1)), kit)
    fresh = len(track.rounds)
    bench.renew()
    for _ in range(FINAL_ROUNDS):
        track.take((kit, best), budget)
    found = compare(track.rounds[fresh:] or track.rounds, kit, best)
    return Share(
        streams=streams,
        share=min(1.0, math.exp(found.gain)),
        error=found.error,
        kit=dict(kit),
        kit_tokens_per_s=best_speed(track.rounds, kit) or 0.0,
        best=dict(best),
        best_tokens_per_s=best_speed(track.rounds, best) or 0.0,
        combinations=len(grid),
        measurements=sum(len(taken.readings) for taken in track.rounds),
    )


def combinations(streams: int) -> list[Key]:
    """Return every combination of the grid on this machine, each without what the default has already."""
    plan = plan_for(streams)
    figures = {"cores": plan.hardware.host.cores, "streams": streams}
    command = installed_command(plan, runner="xllamacpp")
    values = {name: [None, *texts] for name, texts in grid_of(command, figures, GRID).items()}
    found = product(*([(name, text) for text in texts] for name, texts in values.items()))
    return [tuple(sorted((name, text) for name, text in one if text is not None)) for one in found]


def leaders(track: Track, grid: list[Key], kit: Key, number: int) -> list[Key]:
    """Return the fastest that were measured beside the tuned server, by median of pairs."""
    seen = [(compare(track.rounds, key, kit), key) for key in grid]
    ranked = sorted((found.gain, key) for found, key in seen if found.pairs)
    return [key for _, key in reversed(ranked)][:number]


OURS = document_with("measured_at", "cores", "load_average", "took_s", "bar", "shares")


def main() -> int:
    """Print the table; return 1 if a share misses the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the tuned settings for this machine")
    arguments = parser.parse_args()
    if arguments.output:
        check_target(arguments.output, OURS)
    begun = time.monotonic()
    found = list(shares(keep=arguments.keep))
    took_s = time.monotonic() - begun
    show(found, took_s)
    if arguments.output:
        document = {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cores": detect_hardware().host.cores,
            "load_average": os.getloadavg()[0],
            "took_s": took_s,
            "bar": BAR,
            "shares": [one._asdict() for one in found],
        }
        write_json(arguments.output, document, ours=OURS)
    return int(any(one.share < BAR for one in found))


def show(found: list[Share], took_s: float) -> None:
    """Print the table on standard output."""
    from rich.console import Console

    table = Table(
        title=f"A tuned plan reaches {min(one.share for one in found):.1%} of the best of the grid or more",
        columns=("At once>", "Share>", "Kit>", "Best>", "Kit's settings", "Best settings", "Tried>"),
        rows=tuple(
            (
                str(one.streams),
                f"{one.share:.1%} ± {one.error:.1%}",
                f"{one.kit_tokens_per_s:,.1f} tok/s",
                f"{one.best_tokens_per_s:,.1f} tok/s",
                describe(one.kit),
                describe(one.best),
                f"{one.combinations} in {one.measurements}",
            )
            for one in found
        ),
        note=f"Share: median of pairs on fresh servers, ± one standard error; bar {BAR:.0%}. "
        f"Load average {os.getloadavg()[0]:.1f}, {took_s:,.0f} s.",
    )
    Console(width=160).print(table.to_rich())


if __name__ == "__main__":
    sys.exit(main())
