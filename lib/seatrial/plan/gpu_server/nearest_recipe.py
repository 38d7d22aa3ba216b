"""Finds the recipe nearest to a plan that no recipe matches: how they differ, and which flags the plan keeps."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from seatrial.catalog import find_checkpoint, model_of
from seatrial.catalog.base_model import base_model_of
from seatrial.hardware.accelerators import Accelerator, accelerators
from seatrial.hardware.types import Gpu
from seatrial.memory.types import Parallelism
from seatrial.plan.candidate import Candidate
from seatrial.plan.gpu_server.layouts import Layout, lacking
from seatrial.plan.types import Objective, Recipe
from seatrial.plan.vendor.recipes import STRATEGIES, Cell, cells
from seatrial.plan.vendor.rules import Case, recipe_rules, refusals


class Setup(NamedTuple):
    """A layout as recipes are compared with it; hashable, so that every answer is computed once."""

    engine: str
    model: str  # the base model of the checkpoint
    checkpoint: str
    precision: str
    gpu: Gpu
    nodes: int
    parallelism: Parallelism
    objective: Objective


def nearest_recipe(candidate: Candidate, layout: Layout) -> Recipe | None:
    """Return the nearest recipe with its differences, and of its flags those that also hold for this layout.

    Args:
        candidate: What is served.
        layout: GPUs used and how the work is split; no recipe matches it.

    Returns:
        The recipe; None if there is none, or if the request leaves recipes out.

    """
    request, checkpoint = candidate.request, candidate.checkpoint
    if not request.recipes or not request.gpus:
        return None
    setup = Setup(
        candidate.engine,
        base_model_of(checkpoint),
        checkpoint.id,
        checkpoint.precision,
        request.gpus[0],
        layout.nodes,
        layout.parallelism,
        request.objective,
    )
    cell = nearest_cell(setup)
    if cell is None:
        return None
    longer = cell.context_limit is not None and (request.context_tokens or 0) > cell.context_limit
    return _compared(cell, setup, request.context_tokens if longer else None, lacking(cell, request))


@lru_cache(maxsize=1024)
def nearest_cell(setup: Setup) -> Cell | None:
    """Return the recipe that differs least; None if there is none for the engine and model.

    GPU, architecture, generation, checkpoint, format, attention replicas, ranks, memory, status and objective count in
    this order.
    """
    gpu, order = setup.gpu, STRATEGIES[setup.objective]
    generation = _generation(gpu.compute_capability)

    def distance(row: _Row) -> tuple[bool, bool, bool, bool, bool, bool, int, int, bool, int]:
        cell, accelerator = row.cell, row.accelerator
        return (
            cell.accelerator != gpu.accelerator,
            accelerator.architecture != gpu.compute_capability,
            row.generation != generation,
            cell.checkpoint != setup.checkpoint,
            row.precision != setup.precision,
            (cell.parallelism.data > 1) != (setup.parallelism.data > 1),
            abs(cell.ranks - setup.parallelism.tensor),
            abs((accelerator.memory_bytes or 0) - (gpu.memory_bytes or 0)),
            not cell.verified,
            order.index(cell.strategy),
        )

    nearest = min(_rows(setup.engine, setup.model), key=distance, default=None)
    return nearest.cell if nearest else None


@lru_cache(maxsize=4096)
def _compared(cell: Cell, setup: Setup, longer_context: int | None, lacks: str | None) -> Recipe:
    """Return the recipe with each difference and the rule it breaks, one sentence each, and the flags that hold."""
    gpu, asked, ranks, why = setup.gpu, cell.parallelism, setup.parallelism, recipe_rules()
    rows = (
        ("gpu", "GPU", cell.accelerator, gpu.accelerator or gpu.name),
        ("checkpoint", "checkpoint", cell.checkpoint, setup.checkpoint),
        ("nodes", "nodes", cell.nodes, setup.nodes),
        ("tensor", "tensor parallel", asked.tensor, ranks.tensor),
        ("data", "data parallel attention", asked.data, ranks.data),
        ("expert", "expert parallel", asked.expert, ranks.expert),
    )
    found = [f"{what}: {ours} instead of {its} ({why[rule]})." for rule, what, its, ours in rows if ours != its]
    if longer_context is not None:
        found.append(f"context: {longer_context:,} tokens instead of {cell.context_limit:,} ({why['context']}).")
    if lacks is not None:
        found.append(f"{lacks} ({why['memory']}).")
    differences = (*found, *_refused_on(gpu, cell)) if found else ("Its memory fraction and limits are not used.",)
    architecture = accelerators()[cell.accelerator].architecture
    same = (architecture, asked.data > 1) == (gpu.compute_capability, ranks.data > 1)
    return cell.to_recipe(differences, carried=same and find_checkpoint(cell.checkpoint).precision == setup.precision)


@lru_cache(maxsize=1024)
def _refused_on(gpu: Gpu, cell: Cell) -> tuple[str, ...]:
    """Return the engine's rules that the recipe as it stands would break on this GPU."""
    row = find_checkpoint(cell.checkpoint)
    found = refusals(Case(cell.engine, model_of(row), row, gpu, cell.parallelism, context_tokens=1))
    return tuple(f"As it stands {cell.engine} would refuse it on this GPU: {reason.text}" for reason in found)


class _Row(NamedTuple):
    """A recipe, and what its GPU and checkpoint are."""

    cell: Cell
    accelerator: Accelerator
    generation: str
    precision: str


@cache
def _rows(engine: str, model: str) -> list[_Row]:
    return [
        _Row(cell, accelerator, _generation(accelerator.architecture), find_checkpoint(cell.checkpoint).precision)
        for cell in cells()
        if (cell.engine, cell.model) == (engine, model)
        for accelerator in (accelerators()[cell.accelerator],)
    ]


def _generation(architecture: str | None) -> str:
    """Return the architecture without its minor number: 12.0 and 12.1 are one generation."""
    return (architecture or "").partition(".")[0]
