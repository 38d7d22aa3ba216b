"""Ways to spread a checkpoint over the GPUs of a machine, the preferred first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from seatrial.catalog import find_checkpoint
from seatrial.catalog.types import Checkpoint
from seatrial.hardware.accelerators import accelerators
from seatrial.hardware.types import Gpu
from seatrial.memory.types import Parallelism
from seatrial.plan.request import Request
from seatrial.plan.vendor.recipes import Cell, cells, find_cells


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
    """Machines, and GPUs to use in each: what was asked for, or all of them, then powers of two, the most GPUs first.

    Of as many GPUs those in fewer machines come first.
    """
    if request.tensor_parallel is not None:
        yield from filter(None, [request.nodes_for(request.tensor_parallel)])
        return
    machines = {request.nodes, *_powers(request.nodes)}
    places = [(nodes, count) for nodes in machines for count in _powers(len(request.gpus))]
    yield from sorted(places, key=lambda place: (-place[0] * place[1], place[0]))


def _powers(most: int) -> list[int]:
    """Powers of two up to ``most``."""
    return [1 << power for power in range(most.bit_length())]


def _forms(  # noqa: PLR0913, PLR0917 -- one for each thing that decides
    engine: str, checkpoint: Checkpoint, gpu: Gpu, nodes: int, ranks: int, request: Request
) -> list[Parallelism]:
    plain = Parallelism(tensor=ranks)
    if ranks == 1:
        return [plain]
    forms = [plain]
    if engine == "vllm":
        forms.append(Parallelism(tensor=ranks, expert=ranks))
        if nodes == 1:
            forms.append(Parallelism(tensor=ranks, data=ranks, expert=ranks))
    elif (dealt := _deals_experts(gpu.compute_capability, checkpoint.precision)) is not None:
        spread = Parallelism(tensor=ranks, data=ranks, expert=ranks if dealt else 1)
        forms = [spread, plain] if request.objective == "throughput" else [plain, spread]
    return forms + ([] if request.tensor_parallel is not None else _stages(ranks, nodes))


@cache
def _deals_experts(architecture: str | None, precision: str) -> bool | None:
    """Whether SGLang's recipes with attention replicas deal the experts out to them; None where none has replicas.

    Those for this architecture and format count, or for the architecture where none is for the format. Hopper's FP4
    experts run through Marlin kernels, which know tensor parallelism only, and AMD's recipes split every expert.
    """
    there = [
        cell
        for cell in cells()
        if cell.engine == "sglang" and accelerators()[cell.accelerator].architecture == architecture
    ]
    alike = [cell for cell in there if find_checkpoint(cell.checkpoint).precision == precision]
    dealt = [cell.parallelism.expert > 1 for cell in alike or there if cell.parallelism.data > 1]
    return any(dealt) if dealt else None


def _stages(ranks: int, nodes: int) -> list[Parallelism]:
    """Pipeline stages: one a machine, which spares the network all but one hand-over, or two in one machine."""
    stages = nodes if nodes > 1 else 2
    return [] if ranks % stages else [Parallelism(tensor=ranks // stages, pipeline=stages)]
