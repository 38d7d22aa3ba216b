"""The room a layout over equal GPUs leaves for requests, and the fraction of GPU memory that takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil, floor

from seatrial.hardware.types import Gpu
from seatrial.memory import compute_footprint
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.candidate import Candidate
from seatrial.plan.capacity import Pool, pool_of, usable_gpu_bytes, window_share
from seatrial.plan.layouts import Layout
from seatrial.plan.limits import limits, running_limit
from seatrial.plan.own_fraction import own_fraction
from seatrial.plan.request import Request
from seatrial.plan.search import largest


@dataclass(frozen=True, slots=True)
class Room:
    """What a layout needs and what there is for it.

    Attributes:
        footprint: Bytes with ``held`` requests.
        held: Requests that run at once where each fills its context; 0 where not even one fits.
        pool: What one attention replica's KV cache holds; None where nothing fits.
        fraction: Share of GPU memory the engine is given, or takes where it is given none.
        usable: Bytes of one GPU a plan may count on.
        ranks: GPUs over all nodes.
        shortfall_bytes: Bytes too few.

    """

    footprint: Footprint
    held: int
    fraction: float
    usable: int
    ranks: int
    pool: Pool | None = None
    shortfall_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        """Weigh once what is asked for many times."""
        object.__setattr__(self, "shortfall_bytes", max(0, self.need_bytes - self.capacity_bytes))

    @property
    def capacity_bytes(self) -> int:
        """Over all GPUs."""
        return self.usable * self.ranks

    @property
    def need_bytes(self) -> int:
        """Over all GPUs, what lies on every rank counted as often."""
        return max(self.footprint.total_bytes, self.footprint.per_gpu_bytes * self.ranks)


def room_of(candidate: Candidate, layout: Layout, context: int, parallelism: Parallelism | None) -> Room:
    """The room with as many of the requests as fit, at least one.

    More requests than the KV cache holds wait for a place: that is slower, and still runs.

    Args:
        candidate: What to serve.
        layout: GPUs used.
        context: Tokens of each request.
        parallelism: How the work is split; None where the ranks cannot be formed and only the bytes matter.

    """
    request = candidate.request
    running = requests_at_once(layout, request)

    def measure(count: int) -> Room:
        return _measured(candidate, layout, context, parallelism, count, running)

    most = min(request.concurrency, running)
    whole = measure(most)
    if parallelism is None:
        return whole
    if not whole.shortfall_bytes:
        return _within_pool(whole, parallelism, measure)
    held = largest(most - 1, lambda count: not measure(count).shortfall_bytes)
    one = measure(max(1, held))
    return _within_pool(one, parallelism, measure) if held else replace(one, held=0, pool=None)


def _measured(  # noqa: PLR0913, PLR0917 -- everything the room depends on
    candidate: Candidate, layout: Layout, context: int, parallelism: Parallelism | None, count: int, running: int
) -> Room:
    checkpoint, cell, gpus = candidate.checkpoint, layout.cell, candidate.request.gpus
    flags = cell.flags if cell else {}
    drafting = cell is not None and cell.draft_tokens > 0
    footprint = compute_footprint(
        checkpoint,
        engine=candidate.engine,
        context_tokens=context,
        concurrency=count,
        parallelism=parallelism or Parallelism(),
        options={
            "max_running_requests": running,
            "speculative": (checkpoint.draft or "none") if drafting else "none",
            "swa_ratio": window_share(flags),
        },
    )
    fraction, usable = _fraction(candidate, layout, footprint)
    pool = None
    if parallelism is not None and gpus:
        pool = pool_of(
            candidate.engine,
            footprint,
            gpu=gpus[0],
            usable=usable,
            ranks=parallelism,
            flags=flags,
            drafting=drafting,
        )
    return Room(footprint, count, fraction, usable, layout.nodes * layout.gpus_per_node, pool)


def _within_pool(room: Room, parallelism: Parallelism, measure: Callable[[int], Room]) -> Room:
    """The room with no more requests than their windows allow; fewer may do with a smaller share of the GPU."""
    while room.pool and (held := room.pool.requests(room.footprint.context_tokens) * parallelism.data) < room.held:
        room = measure(held)
    return room


def requests_at_once(layout: Layout, request: Request) -> int:
    """Requests the engine lets run at once."""
    if layout.cell:
        return layout.cell.running_limit or limits().running_requests
    return running_limit(request.concurrency)


def _fraction(candidate: Candidate, layout: Layout, footprint: Footprint) -> tuple[float, int]:
    """The fraction flag, and the bytes of one GPU a plan may count on."""
    gpus = candidate.request.gpus
    if not gpus:
        return limits().gpu_fraction, 0
    gpu, most = gpus[0], _most(candidate.engine, gpus[0])
    highest = usable_gpu_bytes(gpu, min(limits().gpu_fraction_highest, most))
    if layout.cell:
        given = layout.cell.memory_fraction or _own(candidate.engine, gpu, layout)
        usable = usable_gpu_bytes(gpu, given)
        # A vendor ran it: what its own fraction does not cover lies in the memory beside the pool.
        overdrawn = footprint.concurrency == 1 and footprint.per_gpu_bytes > usable
        return given, highest if overdrawn else usable
    fraction = min(limits().gpu_fraction, most)
    usable = usable_gpu_bytes(gpu, fraction)
    if usable < footprint.per_gpu_bytes <= highest and gpu.memory_bytes:
        # The smallest share, in hundredths, that holds it.
        fraction = min(ceil(footprint.per_gpu_bytes / gpu.memory_bytes * 100) / 100, most)
        usable = usable_gpu_bytes(gpu, fraction)
    return fraction, usable


def _own(engine: str, gpu: Gpu, layout: Layout) -> float:
    """What the engine takes where a recipe leaves it to the engine."""
    flags = layout.cell.flags if layout.cell else {}
    return own_fraction(engine, gpu, layout.parallelism, flags) or limits().gpu_fraction


def _most(engine: str, gpu: Gpu) -> float:
    """The largest share an engine starts with: vLLM's is of the whole GPU, and refused where less than it is free."""
    if engine != "vllm" or not gpu.memory_bytes or gpu.memory_free_bytes is None:
        return 1.0
    return floor(gpu.memory_free_bytes / gpu.memory_bytes * 100) / 100
