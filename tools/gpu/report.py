"""The record of a GPU proof: its steps with figures as JSON, and the page of docs that is made of it.

It needs the standard library only: the record is written even if the packages of the kit could not be installed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

GIB = 1 << 30
RECORD, PAGE = "gpu_proof.json", "gpu-proof.md"
PLAYED = "played.state"
"""File in the run's folder by which a rehearsal tells the stand-in for NVML what to play."""
WARNING = "**Rehearsal: no GPU was used. Nothing on this page is a proof.**"

HOW_TO = """\
`tools/gpu_proof.py` runs the kit on a machine with an NVIDIA GPU and no network, and records what it saw. It takes three commands:

    python tools/gpu_proof.py pack DIR          # with network: wheels, llama.cpp's source and the stand-in model go into DIR
    python tools/gpu_proof.py run DIR --output OUT     # with a GPU: DIR and this repository were carried there
    python tools/gpu_proof.py page OUT/gpu_proof.json  # anywhere: writes this page anew

- The GPU machine needs Linux on x86-64, the Python that `pack --python` names, and the driver. llama.cpp is built there by
  `nvcc` and CMake for that GPU only. If the machine has no `nvcc`, `pack --build` builds it before, if `nvcc` is there.
- `pack --max-mib 48` leaves out what does not fit and says so; `--max-mib 160` takes the stand-in model along. Without it the step
  `serve-stand-in` is skipped.
- `run` takes at most `--budget-s 540` seconds. Each step has its own limit. `OUT/gpu_proof.json` and `OUT/gpu-proof.md` are
  written after each step, so a failure or the end of the budget loses nothing. The exit code is 1 unless every step passed.
- `run --rehearse` goes the same way without a GPU: a stand-in for NVML plays one, and llama.cpp computes on the processor.
  Its record says so on every page, and `page` does not write it into the docs.
"""


@dataclass(frozen=True, slots=True)
class StepResult:
    """How one step ended."""

    name: str
    proves: str  # what it shows when it passes
    status: Literal["passed", "failed", "skipped"]
    seconds: float = 0.0
    reason: str = ""  # why it failed or was skipped
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proof:
    """Everything one run saw."""

    at: str  # UTC, ISO 8601
    rehearsal: bool
    device: str | None  # name of the first GPU as its driver gives it
    driver: str | None
    cuda: str | None
    host: str | None  # its processor
    seatrial: str
    budget_s: float
    seconds: float
    steps: list[StepResult]

    @property
    def passed(self) -> bool:
        """True if every step passed."""
        return bool(self.steps) and all(step.status == "passed" for step in self.steps)


def write_whole(path: Path, text: str) -> None:
    """Write a file completely or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)  # noqa: PTH105 -- as the kit's own records do
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_proof(folder: Path, proof: Proof) -> None:
    """Write the record and its page into ``folder``."""
    write_whole(folder / RECORD, json.dumps(asdict(proof), indent=2) + "\n")
    write_whole(folder / PAGE, page_of(proof))


def page_not_run(date: str, steps: Sequence[tuple[str, str]]) -> str:
    """Return the page that says that no GPU has been had yet.

    Args:
        date: Day on which that is true.
        steps: Name of each step, and what it proves.

    """
    lines = [
        "# Proof on a GPU",
        "",
        f"**Not yet run on a GPU** (as of {date}). The script was rehearsed on a machine without one: with a stand-in for",
        "NVML and llama.cpp on the processor. A rehearsal shows that the script works, and nothing about a GPU.",
        "",
        HOW_TO,
        "## What each step proves",
        "",
        *_table(("Step", "Proves"), steps),
    ]
    return "\n".join(lines) + "\n"


def page_of(proof: Proof) -> str:
    """Return the page of a run."""
    counts = {status: sum(step.status == status for step in proof.steps) for status in ("passed", "failed", "skipped")}
    what = "Rehearsal of the proof on a GPU" if proof.rehearsal else "Proof on a GPU"
    lines = [f"# {what}", ""]
    if proof.rehearsal:
        lines += [WARNING, ""]
    gpu = f"{_cell(proof.device or 'no GPU was found')}{' (played by a stand-in)' if proof.rehearsal else ''}"
    run_on = (
        f"Run on {proof.at} by seatrial {proof.seatrial} on {gpu}; driver {_cell(proof.driver or 'unknown')}, "
        f"CUDA {_cell(proof.cuda or 'unknown')}, host {_cell(proof.host or 'unknown')}."
    )
    summary = (
        f"Of {len(proof.steps)} steps {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} were "
        f"skipped; {proof.seconds:.0f} s of at most {proof.budget_s:.0f} s."
    )
    lines += [
        run_on,
        summary,
        "",
        *_table(("Step", "Result", "Seconds", "Proves", "Reason"), (_row(step, proof) for step in proof.steps)),
        "",
        *_predictions(proof),
        *_memory(proof),
        "## Figures",
        "",
        *_figures(proof),
        "",
        "## How to run it",
        "",
        HOW_TO.rstrip(),
    ]
    return "\n".join(lines) + "\n"


def _row(step: StepResult, proof: Proof) -> tuple[str, ...]:
    status = f"{step.status} (rehearsal)" if proof.rehearsal else step.status
    return step.name, status, f"{step.seconds:.1f}", step.proves, step.reason


def _predictions(proof: Proof) -> Iterator[str]:
    """Yield the table of predictions beside measurements; nothing if no model was measured."""
    rows = [
        (
            step.figures["model"],
            str(point["concurrency"]),
            name,
            f"{point['predicted'][name]:.4g}",
            f"{point['measured'][name]:.4g}",
            "none: on the processor" if proof.rehearsal else f"{point['ratio'][name]:.2f}",
        )
        for step in proof.steps
        for point in step.figures.get("points", [])
        for name in point["ratio"]
    ]
    if rows:
        measured = "Measured (rehearsal)" if proof.rehearsal else "Measured"
        yield from ("## Prediction and measurement", "")
        yield from _table(("Model", "At once", "Figure", "Predicted", measured, "Measured / predicted"), rows)
        yield ""


def _memory(proof: Proof) -> Iterator[str]:
    """Yield the table of GPU memory and load by NVML; nothing if no model was served."""
    rows = []
    for step in proof.steps:
        if "held_bytes" in step.figures:
            seen = step.figures.get("telemetry", {})
            power = seen.get("most_power_w")
            rows.append(
                (
                    step.figures["model"],
                    f"{step.figures['planned_bytes'] / GIB:.2f}",
                    f"{step.figures['held_bytes'] / GIB:.2f}",
                    "" if seen.get("most_utilization") is None else f"{seen['most_utilization']:.0%}",
                    "" if power is None else f"{power:.0f}",
                    str(seen.get("readings", 0)),
                )
            )
    if rows:
        yield from ("## GPU memory and load, read through NVML", "")
        yield from _table(("Model", "Planned GiB", "Held GiB", "Most busy", "Most W", "Readings"), rows)
        yield ""


def _figures(proof: Proof) -> Iterator[str]:
    for step in proof.steps:
        small = {name: value for name, value in step.figures.items() if name not in {"points", "telemetry"}}
        if small:
            yield f"- **{step.name}**: " + "; ".join(f"{name} {_cell(_short(value))}" for name, value in small.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]] | Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 300 else f"{text[:296]} ..."  # noqa: PLR2004 -- a line that can still be read


def _cell(text: object) -> str:
    """Return text from outside so that Markdown shows it as it is: names, log lines, errors."""
    plain = " ".join(str(text).split())
    return "".join(f"\\{letter}" if letter in "|<>`*_[]\\" else letter for letter in plain)
