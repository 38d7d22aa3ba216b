"""Ways to spread a checkpoint over the GPUs of a machine, the preferred first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.catalog.types import Checkpoint
from seatrial.hardware.types import Gpu
from seatrial.memory.types import Parallelism
from seatrial.plan.recipes import Cell, find_cells
from seatrial.plan.request import Request

SPREADABLE = frozenset({"9.0", "10.0", "10.3", "gfx950"})
"""GPU generations on which SGLang's verified cells deal experts out to ranks (data-parallel attention)."""
FP4_UNSPREAD = frozenset({"9.0"})
"""Generations whose FP4 experts run through Marlin kernels, which know tensor parallelism only."""


@dataclass(frozen=True, slots=True)
class Layout:
    """GPUs used and how the work is split among them; ``cell`` where a vendor ran exactly this."""

    nodes: int
    gpus_per_node: int
    parallelism: Parallelism
    cell: Cell | None = None


def layouts(engine: str, checkpoint: Checkpoint, request: Request) -> Iterator[Layout]:
    """Layouts for SGLang or vLLM: verified recipes first, then arithmetic's own."""
    gpus = request.gpus
    if not gpus:
        yield Layout(1, 0, Parallelism())
        return
    if request.recipes:
        yield from _cells(engine, checkpoint, request)
    for nodes, per_node in _counts(request):
        for parallelism in _forms(engine, checkpoint, gpus[0], nodes, per_node * nodes, request):
            yield Layout(nodes, per_node, parallelism)


def _cells(engine: str, checkpoint: Checkpoint, request: Request) -> Iterator[Layout]:
    gpus = request.gpus
    for cell in find_cells(engine, checkpoint, gpus[0].accelerator, request.objective):
        fits = cell.gpus_per_node <= len(gpus) and cell.nodes <= request.nodes
        within = (request.context_tokens or 0) <= (cell.context_limit or request.context_tokens or 0)
        if fits and within and request.tensor_parallel in {None, cell.parallelism.tensor}:
            yield Layout(cell.nodes, cell.gpus_per_node, cell.parallelism, cell)


def _counts(request: Request) -> Iterator[tuple[int, int]]:
    """Machines, and GPUs to use in each: what was asked for, or powers of two from all of them down."""
    if request.tensor_parallel is not None:
        yield from filter(None, [request.spread(request.tensor_parallel)])
        return
    count = 1 << (len(request.gpus).bit_length() - 1)
    while count:
        yield request.nodes, count
        count //= 2


def _forms(  # noqa: PLR0913, PLR0917 -- one for each thing that decides
    engine: str, checkpoint: Checkpoint, gpu: Gpu, nodes: int, ranks: int, request: Request
) -> list[Parallelism]:
    plain = Parallelism(tensor=ranks)
    if ranks == 1:
        return [plain]
    forms = [plain]
    spread = Parallelism(tensor=ranks, data=ranks, expert=ranks)
    if engine == "vllm":
        forms.append(Parallelism(tensor=ranks, expert=ranks))
        if nodes == 1:
            forms.append(spread)
    elif _deals_experts(checkpoint, gpu):
        forms = [spread, plain] if request.objective == "throughput" else [plain, spread]
    return forms + ([] if request.tensor_parallel is not None else _stages(ranks, nodes))


def _deals_experts(checkpoint: Checkpoint, gpu: Gpu) -> bool:
    """Whether SGLang deals experts out to ranks on this GPU and for this format."""
    marlin = checkpoint.precision == "fp4" and gpu.compute_capability in FP4_UNSPREAD
    return gpu.compute_capability in SPREADABLE and not marlin


def _stages(ranks: int, nodes: int) -> list[Parallelism]:
    """Pipeline stages: one a machine, which spares the network all but one hand-over, or two in one machine."""
    stages = nodes if nodes > 1 else 2
    return [] if ranks % stages else [Parallelism(tensor=ranks // stages, pipeline=stages)]
