"""Fit the speed constants to published runs, and see how far they carry to hardware left out.

python -m seatrial.speed.calibrate        prints the constants for calibration.json
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from seatrial.hardware.accelerators import accelerators
from seatrial.speed.roofline import CALIBRATION, Constants, Speed, gpu_speed
from seatrial.speed.work import Load, Ranks, Work

PUBLISHED = Path(__file__).with_name("published.json")
BOUNDS = {
    "bandwidth_share": (0.3, 1.0),
    "accepted_1": (1.0, 2.0),
    "accepted_3": (1.0, 4.0),
    "tail": (0.5, 1.0),
    "slow_host": (1.0, 2.0),
    "network": (1.0, 2.0),
    "first_slow_host": (1.0, 3.0),
    "queue_share": (0.0, 1.0),
    "prefill_share": (0.02, 0.9),
}
PULL = 0.005
"""Weight of staying near the start, so that a constant no row speaks about stays put."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published run and what was measured."""

    accelerator: str
    name: str
    work: Work
    ranks: Ranks
    load: Load
    measured: Speed

    def errors(self, fit: Constants) -> tuple[float, float, float]:
        """Log of predicted over published: TPOT, TTFT, output tokens per second."""
        predicted = gpu_speed(self.work, self.ranks, self.load, fit)
        return (
            math.log(predicted.tpot_s / self.measured.tpot_s),
            math.log(predicted.ttft_s / self.measured.ttft_s),
            math.log(predicted.output_tokens_per_s / self.measured.output_tokens_per_s),
        )


@cache
def published_rows() -> tuple[Published, ...]:
    """The published runs, read from ``published.json``."""
    document = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    works = {name: Work(**row) for name, row in document["work"].items()}
    rows = []
    for row in document["rows"]:
        gpu = accelerators()[row["accelerator"]].to_gpu(None)
        rows.append(
            Published(
                accelerator=row["accelerator"],
                name=f"{row['accelerator']} {row['model']} {row['precision']} x{row['concurrency']}",
                work=works[f"{row['model']} {row['precision']}"],
                ranks=Ranks(
                    count=row["gpus"],
                    nodes=row["nodes"],
                    data=row["data_parallel"],
                    accelerator=row["accelerator"],
                    bandwidth_bytes_per_s=gpu.bandwidth_bytes_per_s,
                    flops=gpu.fp8_flops,
                ),
                load=Load(
                    concurrency=row["concurrency"],
                    running_limit=row["running_limit"],
                    prompt_tokens=row["prompt_tokens"],
                    answer_tokens=row["answer_tokens"],
                    draft_tokens=row["speculative_steps"],
                ),
                measured=Speed(row["tpot_s"], row["ttft_s"], row["output_tokens_per_s"], row["concurrency"]),
            )
        )
    return tuple(rows)


def first_guesses() -> Constants:
    """Constants from general knowledge, before any row was looked at."""
    return Constants(**json.loads(CALIBRATION.read_text(encoding="utf-8"))["gpu"]["start"])


def fit_constants(rows: Sequence[Published], *, rounds: int = 4000, start: Constants | None = None) -> Constants:
    """Constants with the least mean absolute log error over ``rows``; same rows, same answer.

    Args:
        rows: Published runs.
        rounds: Random steps tried; each changes two constants.
        start: Where to begin, by default the stored first guesses, which no row was looked at for.

    """
    chance = random.Random(0)  # noqa: S311 -- a search, not a secret
    origin = (start or first_guesses()).to_dict()
    best, least, width = dict(origin), math.inf, 0.5
    names = [field.name for field in fields(Constants)]
    for step in range(rounds):
        trial = dict(best)
        if step:
            for name in chance.sample(names, 2):
                low, high = BOUNDS.get(name, (0.0, math.inf))
                trial[name] = min(max(best[name] * math.exp(chance.gauss(0, width)), low), high)
        loss = _loss(rows, Constants(**trial), origin)
        if loss < least:
            best, least = trial, loss
        if step % max(1, rounds // 8) == 0:
            width *= 0.75
    return Constants(**best)


def _loss(rows: Sequence[Published], fit: Constants, origin: dict[str, float]) -> float:
    error = sum(abs(part) for row in rows for part in row.errors(fit)) / (3 * len(rows))
    values = fit.to_dict()
    drift = sum(math.log(values[name] / origin[name]) ** 2 for name in values if values[name] and origin[name])
    return error + PULL * drift


def left_out_errors(accelerator: str, *, rounds: int = 6000) -> list[tuple[float, float, float]]:
    """Log errors (TPOT, TTFT, rate) on the rows of ``accelerator`` with constants fitted to all other rows."""
    others = [row for row in published_rows() if row.accelerator != accelerator]
    fit = fit_constants(others, rounds=rounds)
    return [row.errors(fit) for row in published_rows() if row.accelerator == accelerator]


def main() -> None:
    """Print the constants as JSON."""
    fit = fit_constants(published_rows(), rounds=20000)
    json.dump({name: float(f"{value:.4g}") for name, value in fit.to_dict().items()}, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
