"""The room a layout over equal GPUs leaves for requests, and the fraction of GPU memory that takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil, floor

from seatrial.hardware.types import Gpu
from seatrial.memory import compute_footprint
from seatrial.memory.options import Options
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan.bisection import largest
from seatrial.plan.capacity import Pool, pool_of, usable_gpu_bytes, window_share
from seatrial.plan.gpu_server.layouts import Layout
from seatrial.plan.request import Request
from seatrial.plan.trial import Candidate
from seatrial.plan.vendor.default_fraction import default_fraction
from seatrial.plan.vendor.limits import limits, running_limit
from seatrial.plan.vendor.recipes import Cell


@dataclass(frozen=True, slots=True)
class KvCapacity:
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


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of one GPU an engine may take.

    Attributes:
        given: The one it is given, or takes where it is given none; ``usable`` in bytes.
        usable: Bytes of it.
        most: The largest it starts with.
        highest: Bytes of the largest a plan gives it.

    """

    given: float
    usable: int
    most: float
    highest: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A layout as it is offered to requests: all that does not hang on how many there are.

    Attributes:
        candidate: What is served.
        layout: GPUs used.
        context_tokens: Tokens of each request.
        parallelism: How the work is split; None where the ranks cannot be formed and only the bytes matter.
        running: Requests the engine lets run at once.
        options: Its settings that change bytes.
        shares: What it may take of a GPU.

    """

    candidate: Candidate
    layout: Layout
    context_tokens: int
    parallelism: Parallelism | None
    running: int
    options: Options
    shares: Shares

    @property
    def most(self) -> int:
        """Requests that come into question at once."""
        return min(self.candidate.request.concurrency, self.running)

    def first(self) -> KvCapacity:
        """The room with one request, which decides whether it runs; with all where only the bytes matter."""
        return self._measured(1 if self.parallelism else self.most)

    def room(self, first: KvCapacity) -> KvCapacity:
        """The room with as many of the requests as fit, at least one.

        More requests than the KV cache holds wait for a place: that is slower, and still runs.

        Args:
            first: What ``first`` found.

        """
        if self.parallelism is None:
            return first
        if first.shortfall_bytes:
            return replace(first, held=0)
        room = first if self.most == 1 else self._measured(self.most)
        if room.shortfall_bytes:
            near = self._near(first.footprint, room.footprint, self.parallelism.data)
            held = largest(self.most - 1, lambda count: not self._measured(count).shortfall_bytes, near)
            room = self._measured(held)
        return self._within_pool(room, self.parallelism)

    def _near(self, one: Footprint, whole: Footprint, replicas: int) -> tuple[int, ...]:
        """Where the number of requests that fit is looked for first: bytes grow evenly with those of one replica."""
        limit = self.shares.usable if self.layout.cell else self.shares.highest
        share = (limit - one.per_gpu_bytes) / max(1, whole.per_gpu_bytes - one.per_gpu_bytes)
        count = replicas * int(1 + share * (ceil(self.most / replicas) - 1))
        return count, count + 1, count - replicas

    def _measured(self, count: int) -> KvCapacity:
        footprint = compute_footprint(
            self.candidate.checkpoint,
            engine=self.candidate.engine,
            context_tokens=self.context_tokens,
            concurrency=count,
            parallelism=self.parallelism or Parallelism(),
            options=self.options,
        )
        fraction, usable = self._fraction(footprint)
        return KvCapacity(footprint, count, fraction, usable, self.layout.nodes * self.layout.gpus_per_node)

    def _within_pool(self, room: KvCapacity, parallelism: Parallelism) -> KvCapacity:
        """The room with no more requests than their windows allow; fewer may do with a smaller share of the GPU."""
        cell, gpus = self.layout.cell, self.candidate.request.gpus
        while gpus:
            pool = pool_of(
                self.candidate.engine,
                room.footprint,
                gpu=gpus[0],
                usable=room.usable,
                ranks=parallelism,
                flags=cell.flags if cell else {},
                drafting=cell is not None and cell.draft_tokens > 0,
            )
            held = pool.requests(self.context_tokens) * parallelism.data
            if held >= room.held:
                return KvCapacity(room.footprint, room.held, room.fraction, room.usable, room.ranks, pool)
            room = self._measured(held)
        return room

    def _fraction(self, footprint: Footprint) -> tuple[float, int]:
        """The fraction flag, and the bytes of one GPU a plan may count on."""
        gpus, shares, need = self.candidate.request.gpus, self.shares, footprint.per_gpu_bytes
        if self.layout.cell:
            # A vendor ran it: what its own fraction does not cover lies in the memory beside the pool.
            overdrawn = footprint.concurrency == 1 and need > shares.usable
            return shares.given, shares.highest if overdrawn else shares.usable
        if shares.usable < need <= shares.highest and gpus[0].memory_bytes:
            # The smallest share, in hundredths, that holds it.
            fraction = min(ceil(need / gpus[0].memory_bytes * 100) / 100, shares.most)
            return fraction, usable_gpu_bytes(gpus[0], fraction)
        return shares.given, shares.usable


def offer_of(candidate: Candidate, layout: Layout, context_tokens: int, parallelism: Parallelism | None) -> Offer:
    """What a layout offers.

    Args:
        candidate: What to serve.
        layout: GPUs used.
        context_tokens: Tokens of each request.
        parallelism: How the work is split; None where the ranks cannot be formed and only the bytes matter.

    """
    cell, checkpoint = layout.cell, candidate.checkpoint
    running = requests_at_once(layout, candidate.request)
    drafting = cell is not None and cell.draft_tokens > 0
    options = Options(
        max_running_requests=running,
        speculative=(checkpoint.draft or "none") if drafting else "none",
        swa_ratio=window_share(cell.flags if cell else {}),
        batched_tokens=cell.batched_tokens if cell else None,
    )
    return Offer(candidate, layout, context_tokens, parallelism, running, options, _shares(candidate, layout))


def requests_at_once(layout: Layout, request: Request) -> int:
    """Requests the engine lets run at once."""
    if layout.cell:
        return layout.cell.running_limit or limits().running_requests
    return running_limit(request.concurrency)


def _shares(candidate: Candidate, layout: Layout) -> Shares:
    gpus, engine = candidate.request.gpus, candidate.engine
    if not gpus:
        return Shares(limits().gpu_fraction, 0, 0.0, 0)
    gpu, most = gpus[0], _most(engine, gpus[0])
    given = min(limits().gpu_fraction, most)
    if layout.cell:
        given = layout.cell.memory_fraction or _own(engine, gpu, layout.cell)
    highest = usable_gpu_bytes(gpu, min(limits().gpu_fraction_highest, most))
    return Shares(given, usable_gpu_bytes(gpu, given), most, highest)


def _own(engine: str, gpu: Gpu, cell: Cell) -> float:
    """What the engine takes where a recipe leaves it to the engine."""
    return default_fraction(engine, gpu, cell.parallelism, cell.flags) or limits().gpu_fraction


def _most(engine: str, gpu: Gpu) -> float:
    """The largest share an engine starts with: vLLM's is of the whole GPU, and refused where less than it is free."""
    if engine != "vllm" or not gpu.memory_bytes or gpu.memory_free_bytes is None:
        return 1.0
    return floor(gpu.memory_free_bytes / gpu.memory_bytes * 100) / 100
