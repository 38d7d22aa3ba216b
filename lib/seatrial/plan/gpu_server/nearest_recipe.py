"""The recipe nearest to a plan that no recipe matches: how the two differ, which rule that breaks, what is kept."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from seatrial.catalog import find_checkpoint, model_of
from seatrial.catalog.base_model import base_model_of
from seatrial.catalog.types import Checkpoint
from seatrial.hardware.accelerators import Accelerator, accelerators
from seatrial.hardware.types import Gpu
from seatrial.memory.types import Parallelism
from seatrial.plan.gpu_server.layouts import Layout
from seatrial.plan.request import Request
from seatrial.plan.types import Objective, Recipe
from seatrial.plan.vendor.recipes import STRATEGIES, Cell, cells
from seatrial.plan.vendor.rules import Case, recipe_rules, refusals


def nearest_recipe(engine: str, checkpoint: Checkpoint, layout: Layout, request: Request) -> Recipe | None:
    """The nearest recipe with its differences, and of its flags those that hold here; None where there is none.

    Args:
        engine: ``sglang`` or ``vllm``.
        checkpoint: What is served.
        layout: GPUs used and how the work is split; no recipe matches it.
        request: Machine and wishes.

    """
    gpu = request.gpus[0]
    spread = layout.parallelism.data > 1
    near = nearest_cell(engine, checkpoint, gpu, layout.nodes * layout.gpus_per_node, request.objective, spread=spread)
    if near is None:
        return None
    beyond = near.context_limit is not None and (request.context_tokens or 0) > near.context_limit
    asked = request.context_tokens if beyond else None
    return _near(near, checkpoint.id, checkpoint.precision, gpu, layout.nodes, layout.parallelism, asked)


@lru_cache(maxsize=4096)
def _near(  # noqa: PLR0913, PLR0917 -- what differences are told of
    cell: Cell, checkpoint: str, precision: str, gpu: Gpu, nodes: int, ranks: Parallelism, context_tokens: int | None
) -> Recipe:
    told = differences(cell, checkpoint, gpu, nodes, ranks, context_tokens)
    told = told or ("Its memory fraction and limits are not used.",)
    there = accelerators()[cell.accelerator]
    alike = (there.architecture, cell.parallelism.data > 1) == (gpu.compute_capability, ranks.data > 1)
    return cell.to_recipe(told, carried=alike and find_checkpoint(cell.checkpoint).precision == precision)


def nearest_cell(  # noqa: PLR0913 -- what a recipe is near to
    engine: str,
    checkpoint: Checkpoint,
    gpu: Gpu,
    ranks: int,
    objective: Objective = "balanced",
    *,
    spread: bool = False,
) -> Cell | None:
    """The recipe that differs least: same model, then GPU, generation, checkpoint, form, ranks, memory, objective.

    Args:
        engine: ``sglang`` or ``vllm``.
        checkpoint: What is served.
        gpu: One of the GPUs.
        ranks: How many there are.
        objective: What the plan should be best at.
        spread: Attention is replicated and the experts are dealt out: kernels and batch sizes hang on it.

    """
    return _nearest(
        engine, base_model_of(checkpoint), checkpoint.id, checkpoint.precision, gpu, ranks, objective, spread
    )


def differences(  # noqa: PLR0913, PLR0917 -- what differences are told of
    cell: Cell, checkpoint: str, gpu: Gpu, nodes: int, ranks: Parallelism, context_tokens: int | None
) -> tuple[str, ...]:
    """How a plan differs from ``cell`` and which rule each difference breaks, one sentence each."""
    asked = cell.parallelism
    rows = (
        ("gpu", "GPU", cell.accelerator, gpu.accelerator or gpu.name),
        ("checkpoint", "checkpoint", cell.checkpoint, checkpoint),
        ("nodes", "nodes", cell.nodes, nodes),
        ("tensor", "tensor parallel", asked.tensor, ranks.tensor),
        ("data", "data parallel attention", asked.data, ranks.data),
        ("expert", "expert parallel", asked.expert, ranks.expert),
        ("pipeline", "pipeline parallel", asked.pipeline, ranks.pipeline),
    )
    why = recipe_rules()
    told = [f"{what}: {here} instead of {there} ({why[rule]})." for rule, what, there, here in rows if here != there]
    if cell.context_limit and (context_tokens or 0) > cell.context_limit:
        told.append(f"context: {context_tokens:,} tokens instead of {cell.context_limit:,} ({why['context']}).")
    return (*told, *(_refused_here(cell.engine, cell.checkpoint, asked, gpu) if told else ()))


@lru_cache(maxsize=1024)
def _nearest(  # noqa: PLR0913, PLR0917 -- what a recipe is near to
    engine: str, model: str, checkpoint: str, precision: str, gpu: Gpu, ranks: int, objective: Objective, spread: bool
) -> Cell | None:
    kin, order = _generation(gpu.compute_capability), STRATEGIES[objective]

    def distance(place: _Place) -> tuple[bool, bool, bool, bool, bool, bool, int, int, int]:
        cell, there = place.cell, place.accelerator
        return (
            cell.accelerator != gpu.accelerator,
            there.architecture != gpu.compute_capability,
            place.generation != kin,
            cell.checkpoint != checkpoint,
            place.precision != precision,
            (cell.parallelism.data > 1) != spread,
            abs(cell.ranks - ranks),
            abs((there.memory_bytes or 0) - (gpu.memory_bytes or 0)),
            order.index(cell.strategy),
        )

    nearest = min(_places(engine, model), key=distance, default=None)
    return nearest.cell if nearest else None


class _Place(NamedTuple):
    """A recipe, and what its GPU and checkpoint are."""

    cell: Cell
    accelerator: Accelerator
    generation: str
    precision: str


@cache
def _places(engine: str, model: str) -> list[_Place]:
    return [
        _Place(cell, there, _generation(there.architecture), find_checkpoint(cell.checkpoint).precision)
        for cell in cells()
        if (cell.engine, cell.model) == (engine, model)
        for there in (accelerators()[cell.accelerator],)
    ]


def _generation(architecture: str | None) -> str:
    """Architecture without its minor number: 12.0 and 12.1 are kin."""
    return (architecture or "").partition(".")[0]


@lru_cache(maxsize=1024)
def _refused_here(engine: str, checkpoint_id: str, ranks: Parallelism, gpu: Gpu) -> tuple[str, ...]:
    """The engine's rules that the recipe as it stands would break on another GPU."""
    row = find_checkpoint(checkpoint_id)
    found = refusals(Case(engine, model_of(row), row, gpu, ranks, context_tokens=1))
    return tuple(f"As it stands {engine} would refuse it here: {reason.text}" for reason in found)
