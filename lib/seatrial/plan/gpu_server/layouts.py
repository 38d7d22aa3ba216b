"""Ways to spread a checkpoint over the GPUs of a machine, the preferred first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from seatrial.catalog import find_checkpoint
from seatrial.hardware.accelerators import accelerators
from seatrial.memory.types import Parallelism
from seatrial.plan.candidate import Candidate
from seatrial.plan.request import Request
from seatrial.plan.vendor.default_fraction import default_fraction
from seatrial.plan.vendor.recipes import Cell, cells, find_cells
from seatrial.units import format_gib, from_gib


@dataclass(frozen=True, slots=True)
class Layout:
    """GPUs used, and how the work is split among them."""

    nodes: int
    gpus_per_node: int
    parallelism: Parallelism
    cell: Cell | None = None  # if a vendor ran exactly this
    tables_on_host: bool = False  # the Engram tables of V4.1 are in host memory, not on the GPUs

    @property
    def flags(self) -> Mapping[str, str | None]:
        """Flags of the recipe; empty without one."""
        return self.cell.flags if self.cell else {}


def layouts(candidate: Candidate) -> Iterator[Layout]:
    """Yield the layouts for SGLang or vLLM: recipes first, then every split that arithmetic allows.

    A verified recipe may leave GPUs idle; one that is not comes last then, if no split over all of them runs.
    """
    request = candidate.request
    if not request.gpus:
        yield Layout(1, 0, Parallelism())
        return
    cells = list(_usable_cells(candidate)) if request.recipes else []
    first = [cell for cell in cells if cell.verified or cell.ranks == request.ranks]
    yield from map(_layout_of, first)
    for nodes, per_node in _gpu_counts(request):
        splits = _splits(candidate, nodes, per_node * nodes)
        for parallelism in splits:
            yield Layout(nodes, per_node, parallelism)
        # Ranks share one copy of the tables, which they cannot across machines.
        if candidate.engine == "sglang" and nodes == 1 and candidate.model.config.get("engram_layer_ids"):
            for parallelism in splits:
                yield Layout(nodes, per_node, parallelism, tables_on_host=True)
    yield from (_layout_of(cell) for cell in cells if cell not in first)


def verified_instead(candidate: Candidate, chosen: Cell) -> Cell | None:
    """Return the verified recipe for another objective if the chosen one is not verified; None if there is none."""
    return None if chosen.verified else next((cell for cell in _usable_cells(candidate) if cell.verified), None)


def _layout_of(cell: Cell) -> Layout:
    return Layout(cell.nodes, cell.gpus_per_node, cell.parallelism, cell)


def _usable_cells(candidate: Candidate) -> Iterator[Cell]:
    """Yield the recipes for this GPU that hold for what is asked, best first."""
    request, gpu = candidate.request, candidate.request.gpus[0]
    for cell in find_cells(candidate.engine, candidate.checkpoint, gpu.accelerator, request.objective):
        fits = cell.gpus_per_node <= len(request.gpus) and cell.nodes <= request.nodes
        within = (request.context_tokens or 0) <= (cell.context_limit or request.context_tokens or 0)
        asked = request.tensor_parallel in {None, cell.parallelism.tensor}
        if fits and within and asked and lacking(cell, request) is None:
            yield cell


def lacking(cell: Cell, request: Request) -> str | None:
    """Return which memory a recipe asks for and a measured machine has not, as a difference; None if it has all."""
    gpu = request.gpus[0]
    memory, free = gpu.memory_bytes or 0, gpu.memory_free_bytes
    # vLLM's share is of the whole GPU, and vLLM refuses to start if less than that is free.
    if cell.engine == "vllm" and free is not None:
        share = cell.memory_fraction or default_fraction(cell.engine, gpu, cell.parallelism, cell.flags) or 0.0
        if free < int(memory * share):
            of_all = f"{format_gib(free)} of {format_gib(memory)}"
            return f"memory: it takes {share:.0%} of each GPU, and only {of_all} are free"
    host = request.hardware.host.usable_memory_bytes if cell.host_memory_gib else None
    if cell.host_memory_gib and host is not None and host < from_gib(cell.host_memory_gib):
        return f"host memory: {format_gib(host)} instead of {cell.host_memory_gib:,.0f} GiB"
    return None


def _gpu_counts(request: Request) -> Iterator[tuple[int, int]]:
    """Yield machines and GPUs to use in each: what was asked for; else all machines, then powers of two.

    The most GPUs come first, and of equally many those in fewer machines.
    """
    if request.tensor_parallel is not None:
        yield from filter(None, [request.nodes_for(request.tensor_parallel)])
        return

    def powers_of_two(most: int) -> list[int]:
        return [1 << power for power in range(most.bit_length())]

    machines = {request.nodes, *powers_of_two(request.nodes)}
    places = [(nodes, count) for nodes in machines for count in powers_of_two(len(request.gpus))]
    yield from sorted(places, key=lambda place: (-place[0] * place[1], place[0]))


def _splits(candidate: Candidate, nodes: int, ranks: int) -> list[Parallelism]:
    request, tensor = candidate.request, Parallelism(tensor=ranks)
    if ranks == 1:
        return [tensor]
    splits = [tensor]
    if candidate.engine == "vllm":
        splits.append(Parallelism(tensor=ranks, expert=ranks))
        if nodes == 1:
            splits.append(Parallelism(tensor=ranks, data=ranks, expert=ranks))
    else:
        experts = _replicas_split_experts(request.gpus[0].compute_capability, candidate.checkpoint.precision)
        if experts is not None:
            replicas = Parallelism(tensor=ranks, data=ranks, expert=ranks if experts else 1)
            splits = [replicas, tensor] if request.objective == "throughput" else [tensor, replicas]
    return splits


@cache
def _replicas_split_experts(architecture: str | None, precision: str) -> bool | None:
    """Return True if SGLang's recipes with attention replicas use expert parallelism; None if none has replicas.

    Recipes for this architecture and format count, or for the architecture if there are none for the format. Hopper's
    FP4 experts run through Marlin kernels, which know tensor parallelism only, and AMD's recipes split every expert.
    """
    same_gpu = [
        cell
        for cell in cells()
        if cell.engine == "sglang" and accelerators()[cell.accelerator].architecture == architecture
    ]
    same_format = [cell for cell in same_gpu if find_checkpoint(cell.checkpoint).precision == precision]
    found = [cell.parallelism.expert > 1 for cell in same_format or same_gpu if cell.parallelism.data > 1]
    return any(found) if found else None
