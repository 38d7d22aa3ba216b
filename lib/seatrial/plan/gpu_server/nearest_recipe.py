"""Finds the recipe nearest to a plan that no recipe matches: how they differ, and which flags the plan keeps."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from seatrial.catalog import find_checkpoint, model_of
from seatrial.catalog.base_model import base_model_of
from seatrial.catalog.types import Checkpoint
from seatrial.hardware.accelerators import Accelerator, accelerators
from seatrial.hardware.types import Gpu
from seatrial.memory.types import Parallelism
from seatrial.plan.candidate import Candidate
from seatrial.plan.gpu_server.layouts import Layout
from seatrial.plan.types import Objective, Recipe
from seatrial.plan.vendor.recipes import STRATEGIES, Cell, cells
from seatrial.plan.vendor.rules import Case, recipe_rules, refusals


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
    gpu, replicas = request.gpus[0], layout.parallelism.data > 1
    ranks = layout.nodes * layout.gpus_per_node
    cell = nearest_cell(candidate.engine, checkpoint, gpu, ranks, request.objective, spread=replicas)
    if cell is None:
        return None
    longer = cell.context_limit is not None and (request.context_tokens or 0) > cell.context_limit
    context = request.context_tokens if longer else None
    return _described(cell, checkpoint.id, checkpoint.precision, gpu, layout.nodes, layout.parallelism, context)


@lru_cache(maxsize=4096)
def _described(  # noqa: PLR0913, PLR0917 -- everything that can differ from a recipe; hashable, so that it is cached
    cell: Cell, checkpoint: str, precision: str, gpu: Gpu, nodes: int, ranks: Parallelism, context_tokens: int | None
) -> Recipe:
    differ = _differences(cell, checkpoint, gpu, nodes, ranks, context_tokens)
    differ = differ or ("Its memory fraction and limits are not used.",)
    architecture = accelerators()[cell.accelerator].architecture
    same = (architecture, cell.parallelism.data > 1) == (gpu.compute_capability, ranks.data > 1)
    return cell.to_recipe(differ, carried=same and find_checkpoint(cell.checkpoint).precision == precision)


def nearest_cell(  # noqa: PLR0913 -- everything a recipe can differ in
    engine: str,
    checkpoint: Checkpoint,
    gpu: Gpu,
    ranks: int,
    objective: Objective = "balanced",
    *,
    spread: bool = False,
) -> Cell | None:
    """Return the recipe that differs least: same model, then GPU, generation, checkpoint, split, ranks, memory, objective.

    Args:
        engine: ``sglang`` or ``vllm``.
        checkpoint: What is served.
        gpu: One of the GPUs.
        ranks: GPUs over all machines.
        objective: What the plan should be best at.
        spread: Attention is replicated, on which kernels and batch sizes depend.

    """
    return _nearest(
        engine, base_model_of(checkpoint), checkpoint.id, checkpoint.precision, gpu, ranks, objective, spread
    )


def _differences(  # noqa: PLR0913, PLR0917 -- everything that can differ from a recipe
    cell: Cell, checkpoint: str, gpu: Gpu, nodes: int, ranks: Parallelism, context_tokens: int | None
) -> tuple[str, ...]:
    """Return how a plan differs from ``cell`` and which rule each difference breaks, one sentence each."""
    asked = cell.parallelism
    rows = (
        ("gpu", "GPU", cell.accelerator, gpu.accelerator or gpu.name),
        ("checkpoint", "checkpoint", cell.checkpoint, checkpoint),
        ("nodes", "nodes", cell.nodes, nodes),
        ("tensor", "tensor parallel", asked.tensor, ranks.tensor),
        ("data", "data parallel attention", asked.data, ranks.data),
        ("expert", "expert parallel", asked.expert, ranks.expert),
    )
    why = recipe_rules()
    found = [f"{what}: {ours} instead of {its} ({why[rule]})." for rule, what, its, ours in rows if ours != its]
    if cell.context_limit and (context_tokens or 0) > cell.context_limit:
        found.append(f"context: {context_tokens:,} tokens instead of {cell.context_limit:,} ({why['context']}).")
    return (*found, *(_refused_on(gpu, cell.engine, cell.checkpoint, asked) if found else ()))


@lru_cache(maxsize=1024)
def _nearest(  # noqa: PLR0913, PLR0917 -- everything a recipe can differ in; hashable, so that it is cached
    engine: str, model: str, checkpoint: str, precision: str, gpu: Gpu, ranks: int, objective: Objective, spread: bool
) -> Cell | None:
    generation, order = _generation(gpu.compute_capability), STRATEGIES[objective]

    def distance(row: _Row) -> tuple[bool, bool, bool, bool, bool, bool, int, int, int]:
        cell, accelerator = row.cell, row.accelerator
        return (
            cell.accelerator != gpu.accelerator,
            accelerator.architecture != gpu.compute_capability,
            row.generation != generation,
            cell.checkpoint != checkpoint,
            row.precision != precision,
            (cell.parallelism.data > 1) != spread,
            abs(cell.ranks - ranks),
            abs((accelerator.memory_bytes or 0) - (gpu.memory_bytes or 0)),
            order.index(cell.strategy),
        )

    nearest = min(_rows(engine, model), key=distance, default=None)
    return nearest.cell if nearest else None


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


@lru_cache(maxsize=1024)
def _refused_on(gpu: Gpu, engine: str, checkpoint: str, ranks: Parallelism) -> tuple[str, ...]:
    """Return the engine's rules that the recipe as it stands would break on this GPU."""
    row = find_checkpoint(checkpoint)
    found = refusals(Case(engine, model_of(row), row, gpu, ranks, context_tokens=1))
    return tuple(f"As it stands {engine} would refuse it on this GPU: {reason.text}" for reason in found)
