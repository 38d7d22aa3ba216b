"""Answers the questions that users ask with the data of one copy of the package, as JSON.

python tools/refresh/effects.py ROOT [HARDWARE ...]   ROOT is the folder above lib; without HARDWARE, all named machines

``tools/facts.py`` runs it twice, with the installed data and with the new one, and compares the answers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(sys.argv[1]) if __name__ == "__main__" else Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lib"))

from seatrial import make_plan  # noqa: E402 -- from the copy
from seatrial.catalog import models  # noqa: E402
from seatrial.catalog.engine_facts import engine_facts, engine_ids  # noqa: E402
from seatrial.engines.snapshot import has_snapshot, rejected  # noqa: E402
from seatrial.errors import SeatrialError  # noqa: E402
from seatrial.hardware.accelerators import Accelerator, accelerators  # noqa: E402
from seatrial.hardware.named import named_machine  # noqa: E402
from seatrial.plan.types import Plan  # noqa: E402
from seatrial.plan.vendor.recipes import STRATEGIES, Cell, cells  # noqa: E402

COUNTS = (1, 2, 4, 8)
OBJECTIVES = tuple(STRATEGIES)
Question = tuple[str, dict[str, Any]]


def machines(row: Accelerator) -> list[str]:
    """Return the named machines with an accelerator."""
    if row.memory_gb is None:
        return []
    if row.memory_options_gb:
        return [f"{row.key}-{size}gb" for size in row.memory_options_gb]
    return [f"{row.key}x{count}" for count in COUNTS if count <= row.gpus_per_node_max]


def questions() -> Iterator[Question]:
    """Yield what people ask: each model on each machine, for each objective and with each engine."""
    engines = [name for name in engine_ids() if engine_facts(name).planning.automatic]
    for row in accelerators().values():
        for machine in machines(row):
            for model in models():
                if model.role == "official":
                    yield from _each(engines, machine, model.id)


def _each(engines: list[str], machine: str, model: str) -> Iterator[Question]:
    choices = {"hardware": machine, "model": model}
    for objective in OBJECTIVES:
        yield f"{model} on {machine}, {objective}", choices | {"engine": "auto", "objective": objective}
    for engine in engines:
        yield f"{model} on {machine} with {engine}, balanced", choices | {"engine": engine, "objective": "balanced"}


def recipe_questions() -> Iterator[Question]:
    """Yield what each recipe answers: its checkpoint on its own machine."""
    for cell in (each for each in cells() if each.accelerator in accelerators()):
        objective = next((name for name in OBJECTIVES if STRATEGIES[name][0] == cell.strategy), OBJECTIVES[0])
        machine = f"{cell.accelerator}x{cell.gpus_per_node}"
        nodes = f"{cell.nodes} x " if cell.nodes > 1 else ""
        choices = {"checkpoint": cell.checkpoint, "engine": cell.engine, "objective": objective, "nodes": cell.nodes}
        yield (
            f"{cell.checkpoint} on {nodes}{machine} with {cell.engine}, {objective}",
            {"hardware": machine, **choices},
        )


def answer(hardware: str, choices: dict[str, Any]) -> dict[str, Any]:
    """Return what a person sees of a plan."""
    try:
        plan = make_plan(hardware=named_machine(hardware), **choices)
    except SeatrialError as error:
        return {"verdict": "no plan", "why": error.what}
    return {
        "verdict": plan.verdict,
        "engine": plan.engine,
        "checkpoint": plan.checkpoint,
        "GPUs": plan.ranks,
        "flags": dict(plan.recipe.flags) if plan.recipe else {},
        "environment": plan.recipe.env if plan.recipe else {},
        "recipe": plan.recipe.cell if plan.recipe else None,
        "speed": _speed(plan),
        "why": plan.reasons[0].text if plan.reasons else "",
        "reasons": [reason.text for reason in plan.reasons],
    }


def _speed(plan: Plan) -> dict[str, float]:
    speeds = plan.prediction
    named = {"tokens/s": "decode_tokens_per_s", "s per token": "tpot_s", "s to the first token": "ttft_s"}
    found = {what: getattr(speeds, name, None) for what, name in named.items()}
    return {what: interval.expected for what, interval in found.items() if interval}


def evidence(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the plan for each real outcome that a test compares it with."""
    for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
        choices = {name: case[name] for name in ("checkpoint", "nodes", "engine")} | case["options"]
        try:
            verdict: str = make_plan(
                hardware=named_machine(case["hardware"], case["host_memory_gib"]), **choices
            ).verdict
        except SeatrialError as error:
            verdict = error.what
        yield case["id"], {"outcome": case["outcome"], "verdict": verdict}


def refused_flags(cell: Cell) -> tuple[str, ...]:
    """Return what the engine's current parser would reject of a recipe."""
    return rejected(cell.engine, cell.flags) if has_snapshot(cell.engine) else ()


def main() -> None:
    """Print the answers."""
    only = set(sys.argv[2:])
    asked = dict(questions()) | dict(recipe_questions())
    plans = {name: _asked(name, row) for name, row in asked.items() if not only or row["hardware"] in only}
    found = {
        "machines": sorted({row["hardware"] for row in asked.values()}),
        "plans": plans,
        "refused": {f"{cell.engine} {cell.name} {cell.checkpoint}": refused_flags(cell) for cell in cells()},
        "evidence": {name: row for path in ROOT.glob("tests/plan/evidence*.json") for name, row in evidence(path)},
    }
    json.dump(found, sys.stdout)


def _asked(name: str, row: dict[str, Any]) -> dict[str, Any]:
    try:
        return answer(row["hardware"], {name: value for name, value in row.items() if name != "hardware"})
    except Exception as error:  # noqa: BLE001 -- whatever the data breaks, the question names the row
        sys.exit(f"{name}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
