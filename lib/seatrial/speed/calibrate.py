"""Fits the speed constants to published runs, and checks them on hardware left out of the fit.

python -m seatrial.speed.calibrate            prints the constants
python -m seatrial.speed.calibrate --write    prints them, and stores them in calibration.json
python -m seatrial.speed.calibrate --check    prints how well they predict rows left out of the fit
"""

from __future__ import annotations

import copy
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import median

import msgspec

from seatrial.catalog import find_model
from seatrial.hardware.accelerators import accelerators
from seatrial.speed.attention import attention_of
from seatrial.speed.published import PublishedRow, PublishedWork, read_published
from seatrial.speed.rate import compute_rate
from seatrial.speed.roofline import CALIBRATION, Constants, Speed, calibration, constants, gpu_speed
from seatrial.speed.work import Ranks, ServingLoad, Work
from seatrial.writing import write_text

_BOUNDS = {
    "slow_host": (1.0, 4.0),
    "network": (1.0, 2.0),
    "data_share": (0.0, 1.0),
    "dspark_first": (1.0, 2.0),
    "prefill_share": (0.02, 0.9),
    "replicated": (0.0, 1.0),
    "data_fill": (0.0, 1.0),
    "launch_share": (0.0, 1.0),
    "first_wait": (0.0, 1.0),
}
_BLUNT = 0.15
"""Errors well below this count as their squares: a repeated run differs by so much."""
_PULL = 0.002
"""Weight of staying near the start, so that a constant no row depends on stays there."""
_FINEST = 0.02
"""The search ends when a constant would change by less than two per cent."""
_GROUPS = 7
"""Groups of recipes that are left out of the fit one after the other."""
_INSIDE = math.log(2.5) / 2
"""Largest log error of a value inside an interval whose ends differ by a factor of 2.5."""
QUANTITIES = ("TPOT", "TTFT", "output tokens/s")
Errors = tuple[float, float, float]
"""Log of predicted over published, of each quantity."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published run and its measured speed."""

    accelerator: str
    precision: str
    strategy: str
    release: str  # flash, flash-official, pro, pro-official
    fixed_lengths: bool  # every request has the full lengths: another load than the model's, so not in the fit
    name: str
    work: Work
    ranks: Ranks
    load: ServingLoad
    measured: Speed

    def errors(self, fit: Constants) -> Errors:
        """Return the log of predicted over published: TPOT, TTFT, output tokens per second."""
        predicted = gpu_speed(self.work, self.ranks, self.load, fit)
        return (
            math.log(predicted.tpot_s / self.measured.tpot_s),
            math.log(predicted.ttft_s / self.measured.ttft_s),
            math.log(predicted.output_tokens_per_s / self.measured.output_tokens_per_s),
        )


@cache
def published_rows(*, fixed_lengths: bool = False) -> tuple[Published, ...]:
    """Return the published runs of ``published.json`` with lengths drawn at random, or those with fixed lengths."""
    document = read_published()
    rows = (_published(row, document.work[row.checkpoint]) for row in document.rows)
    return tuple(row for row in rows if row.fixed_lengths == fixed_lengths)


def _published(row: PublishedRow, work: PublishedWork) -> Published:
    gpu = accelerators()[row.accelerator].to_gpu(None)
    rate = compute_rate(row.accelerator, row.precision, gpu.bf16_flops, gpu.fp8_flops)
    attention = attention_of(find_model(row.model).config)
    return Published(
        accelerator=row.accelerator,
        precision=row.precision,
        strategy=row.strategy,
        release=row.variant,
        fixed_lengths=row.lengths == "fixed",
        name=f"{row.accelerator} {row.variant} {row.precision} {row.strategy}",
        work=Work(**msgspec.structs.asdict(work), precision=row.precision, attention=attention),
        ranks=Ranks(
            count=row.gpus,
            nodes=row.nodes,
            data=row.data_parallel,
            accelerator=row.accelerator,
            bandwidth_bytes_per_s=gpu.bandwidth_bytes_per_s,
            flops=rate.flops,
            architecture=gpu.compute_capability,
            prefill_together=row.prefill_together,
            deepep=row.deepep,
        ),
        load=ServingLoad(
            concurrency=row.concurrency,
            running_limit=row.running_limit,
            prompt_tokens=row.prompt_tokens,
            answer_tokens=row.answer_tokens,
            draft_tokens=row.draft_tokens,
            draft_method=row.draft_method,
            draft_model=row.model,
            requests=row.requests,
            random_lengths=row.lengths == "drawn",
        ),
        measured=Speed(row.tpot_s, row.ttft_s, row.output_tokens_per_s, row.concurrency),
    )


def fit_constants(rows: Sequence[Published]) -> Constants:
    """Return the constants with the least mean blunted log error over ``rows``; the same rows give the same constants.

    The search makes one constant at a time larger or smaller, by a factor that shrinks when neither helps.
    """
    fit = constants("start")  # orders of magnitude, some of them chosen with the rows in view
    origin = {name: getattr(fit, name) for name in calibration()["gpu"]["start"]}
    least = _loss(rows, fit, origin)
    width = dict.fromkeys(origin, 0.4)
    while max(width.values()) > _FINEST:
        for name in origin:
            for factor in (math.exp(width[name]), math.exp(-width[name])):
                low, high = _BOUNDS.get(name, (0.0, math.inf))
                trial = replace(fit, **{name: min(max(getattr(fit, name) * factor, low), high)})
                loss = _loss(rows, trial, origin)
                if loss < least - 1e-7:
                    fit, least, width[name] = trial, loss, min(width[name] * 1.5, 0.6)
                    break
            else:
                width[name] *= 0.6
    return fit


def _loss(rows: Sequence[Published], fit: Constants, origin: dict[str, float]) -> float:
    error = sum(math.hypot(part, _BLUNT) for row in rows for part in row.errors(fit)) / (3 * len(rows))
    drift = sum(math.log(max(getattr(fit, name), 1e-12) / start) ** 2 for name, start in origin.items())
    return error + _PULL * drift


def _recipe_group(row: Published) -> str:
    """Return one of a few groups of recipes, with all runs of a recipe in the same one."""
    names = sorted({each.name for each in published_rows()})
    return str(names.index(row.name) % _GROUPS)


LEFT_OUT: dict[str, Callable[[Published], str]] = {
    "recipes left out, a seventh at a time": _recipe_group,
    "kind of GPU left out": lambda row: row.accelerator,
    "release left out": lambda row: row.release,
    "format left out": lambda row: row.precision,
    "strategy left out": lambda row: row.strategy,
}
"""Ways of leaving rows out of the fit: the group of a row."""


@cache
def left_out_errors(way: str) -> tuple[Errors, ...]:
    """Return the log errors (TPOT, TTFT, rate) of each group of rows with constants fitted to all other groups.

    Args:
        way: One of ``LEFT_OUT``.

    """
    rows, group = published_rows(), LEFT_OUT[way]
    found: list[Errors] = []
    for name in sorted({group(row) for row in rows}):
        fit = fit_constants([row for row in rows if group(row) != name])
        found += [row.errors(fit) for row in rows if group(row) == name]
    return tuple(found)


def _error_table() -> str:
    """Return a Markdown table of the errors on rows in the fit and on rows left out."""
    fit = fit_constants(published_rows())
    cases = {"all rows in the fit": [row.errors(fit) for row in published_rows()]}
    cases |= {way: list(left_out_errors(way)) for way in LEFT_OUT}
    lines = ["| | " + " | ".join(QUANTITIES) + " |", "|---" * 4 + "|"]
    lines += [
        f"| {name} | " + " | ".join(_summary(errors, part) for part in range(3)) + " |"
        for name, errors in cases.items()
    ]
    return "\n".join(lines)


def _summary(errors: Sequence[Errors], part: int) -> str:
    sizes = [abs(error[part]) for error in errors]
    inside = sum(size <= _INSIDE for size in sizes) / len(sizes)
    return f"{median(sizes):.2f}, {inside:.0%}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the constants as JSON, with ``--write`` store them, or with ``--check`` print the table of errors."""
    words = sys.argv[1:] if arguments is None else arguments
    if "--check" in words:
        sys.stdout.write(_error_table() + "\n")
        return
    rows, document = published_rows(), copy.deepcopy(calibration())
    fit, known = fit_constants(rows), document["gpu"]
    known["values"] = {name: float(f"{getattr(fit, name):.4g}") for name in known["start"]}
    known |= {"rows": len(rows), "published": sorted({row.accelerator for row in rows})}
    sys.stdout.write(json.dumps(known["values"], indent=2) + "\n")
    if "--write" in words:
        write_text(CALIBRATION, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
