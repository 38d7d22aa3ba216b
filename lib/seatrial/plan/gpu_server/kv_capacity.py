"""How many requests fit on a layout over equal GPUs, and the fraction of GPU memory they take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor

from seatrial.hardware.types import Gpu
from seatrial.memory import compute_footprint
from seatrial.memory.options import Options
from seatrial.memory.types import Footprint, Parallelism
from seatrial.memory.v41_caches import kv_layout_on
from seatrial.plan.bisection import largest
from seatrial.plan.candidate import Candidate
from seatrial.plan.capacity import usable_gpu_bytes, usable_host_bytes
from seatrial.plan.gpu_server.kv_pool import KvPool, pool_of, window_share
from seatrial.plan.gpu_server.layouts import Layout
from seatrial.plan.vendor.default_fraction import default_fraction
from seatrial.plan.vendor.limits import default_running_limit, limits, running_limit


@dataclass(frozen=True, slots=True)
class KvCapacity:
    """Memory that a layout needs with so many requests, and memory that its GPUs have."""

    footprint: Footprint  # with `max_concurrent` requests
    max_concurrent: int  # requests at once if each fills its context; 0 if not even one fits
    fraction: float  # share of GPU memory the engine is given, or takes by its own rule
    usable_bytes: int  # of one GPU
    ranks: int  # GPUs over all nodes
    need_bytes: int  # over all GPUs, copies included
    host_lacking_bytes: int = 0  # of host memory, if the engine keeps weights there and its size is known
    pool: KvPool | None = None  # of one attention replica; None if not even one request fits

    @property
    def capacity_bytes(self) -> int:
        """Usable bytes over all GPUs."""
        return self.usable_bytes * self.ranks

    @property
    def shortfall_bytes(self) -> int:
        """Bytes too few over all GPUs and in host memory; 0 if it fits."""
        return max(0, self.need_bytes - self.capacity_bytes) + self.host_lacking_bytes


@dataclass(frozen=True, slots=True)
class _Fractions:
    """Fractions of one GPU's memory that an engine may take, each also in bytes."""

    default: float  # given, or taken by the engine's own rule
    default_bytes: int
    startable: float  # the largest the engine starts with
    highest_bytes: int  # of the largest a plan gives


@dataclass(frozen=True, slots=True)
class LayoutMemory:
    """All that the memory of a layout depends on, except the number of requests."""

    candidate: Candidate
    layout: Layout
    context_tokens: int
    parallelism: Parallelism | None  # None if the ranks cannot be formed and only the bytes matter
    running_limit: int  # requests the engine lets run at once
    options: Options
    fractions: _Fractions

    @property
    def most(self) -> int:
        """Most requests that can run at once, whatever the memory."""
        return min(self.candidate.request.concurrency, self.running_limit)

    def least_capacity(self) -> KvCapacity:
        """Return the capacity with one request, which decides if it runs; with all if only the bytes matter."""
        return self._measure(1 if self.parallelism else self.most)

    def full_capacity(self, least: KvCapacity) -> KvCapacity:
        """Return the capacity with as many of the requests as fit, at least one.

        More requests than the KV cache holds wait for a place: that is slower, and still runs.

        Args:
            least: Result of ``least_capacity``.

        """
        if self.parallelism is None:
            return least
        if least.shortfall_bytes:
            return replace(least, max_concurrent=0)
        full = least if self.most == 1 else self._measure(self.most)
        if full.shortfall_bytes:
            guesses = self._guess(least.footprint, full.footprint, self.layout.parallelism.data)
            full = self._measure(
                largest(self.most - 1, lambda count: not self._measure(count).shortfall_bytes, guesses)
            )
        return self._limit_to_pool(full)

    def _guess(self, one: Footprint, full: Footprint, replicas: int) -> tuple[int, ...]:
        """Return likely numbers of requests that fit: bytes grow evenly with the requests of one replica."""
        usable = self.fractions.default_bytes if self.layout.cell else self.fractions.highest_bytes
        share = (usable - one.per_gpu_bytes) / max(1, full.per_gpu_bytes - one.per_gpu_bytes)
        count = replicas * int(1 + share * (ceil(self.most / replicas) - 1))
        return count, count + 1, count - replicas

    def _measure(self, count: int) -> KvCapacity:
        footprint = compute_footprint(
            self.candidate.checkpoint,
            engine=self.candidate.engine,
            context_tokens=self.context_tokens,
            concurrency=count,
            parallelism=self.parallelism or Parallelism(),
            options=self.options,
        )
        fraction, usable = self._fraction(footprint)
        ranks = self.layout.nodes * self.layout.gpus_per_node
        need = max(footprint.total_bytes - footprint.host_bytes, footprint.per_gpu_bytes * ranks)
        host = usable_host_bytes(self.candidate.request.hardware) if footprint.host_bytes else None
        lacking = 0 if host is None else max(0, footprint.host_bytes - host)
        return KvCapacity(footprint, count, fraction, usable, ranks, need, lacking)

    def _limit_to_pool(self, capacity: KvCapacity) -> KvCapacity:
        """Return the capacity with no more requests than their windows allow; fewer may need a smaller fraction."""
        while self.candidate.request.gpus:
            pool = pool_of(self.candidate, self.layout, capacity.footprint, capacity.usable_bytes)
            count = pool.requests(self.context_tokens) * self.layout.parallelism.data
            if count >= capacity.max_concurrent:
                return replace(capacity, pool=pool)
            capacity = self._measure(count)
        return capacity

    def _fraction(self, footprint: Footprint) -> tuple[float, int]:
        """Return the fraction of GPU memory, and the bytes of one GPU a plan may count on."""
        gpus, fractions, need = self.candidate.request.gpus, self.fractions, footprint.per_gpu_bytes
        if self.layout.cell:
            # A vendor ran it: what its own fraction does not cover lies in the memory beside the pool.
            overdrawn = footprint.concurrency == 1 and need > fractions.default_bytes
            return fractions.default, fractions.highest_bytes if overdrawn else fractions.default_bytes
        if fractions.default_bytes < need <= fractions.highest_bytes and gpus[0].memory_bytes:
            # The smallest fraction, in hundredths, that is enough.
            fraction = min(ceil(need / gpus[0].memory_bytes * 100) / 100, fractions.startable)
            return fraction, usable_gpu_bytes(gpus[0], fraction)
        return fractions.default, fractions.default_bytes


def layout_memory(
    candidate: Candidate, layout: Layout, context_tokens: int, parallelism: Parallelism | None
) -> LayoutMemory:
    """Return what the memory of a layout depends on.

    Args:
        candidate: What to serve.
        layout: GPUs used.
        context_tokens: Tokens of each request.
        parallelism: How the work is split; None if the ranks cannot be formed and only the bytes matter.

    """
    cell, draft = layout.cell, candidate.checkpoint.draft
    gpu = next(iter(candidate.request.gpus), None)
    running = cell.running_limit if cell else None
    if running is None and cell is None and candidate.engine == "sglang":
        running = running_limit(candidate.request.concurrency)
    if running is None:
        running = default_running_limit(candidate.engine, gpu, layout.parallelism.data)
    options = Options(
        max_running_requests=running,
        speculative=draft or "none" if cell is not None and cell.draft_tokens > 0 else "none",
        swa_ratio=window_share(layout.flags),
        batched_tokens=cell.batched_tokens if cell else None,
        engram="host" if layout.tables_on_host else None,
        cpu_offload_gib=cell.cpu_offload_gib if cell else 0,
        kv_layout=kv_layout_on(gpu.compute_capability if gpu else None),
    )
    return LayoutMemory(candidate, layout, context_tokens, parallelism, running, options, _fractions(candidate, layout))


def _fractions(candidate: Candidate, layout: Layout) -> _Fractions:
    gpus, engine, cell = candidate.request.gpus, candidate.engine, layout.cell
    if not gpus:
        return _Fractions(limits().gpu_fraction, 0, 0.0, 0)
    gpu, startable = gpus[0], 1.0
    if engine == "vllm" and gpu.memory_bytes and gpu.memory_free_bytes is not None:
        # vLLM's fraction is of the whole GPU, and vLLM refuses to start if less than that is free.
        startable = floor(gpu.memory_free_bytes / gpu.memory_bytes * 100) / 100
    default = min(limits().gpu_fraction, startable)
    if cell:
        own = cell.memory_fraction or default_fraction(engine, gpu, cell.parallelism, cell.flags)
        default = own or limits().gpu_fraction
    highest = usable_gpu_bytes(gpu, min(limits().gpu_fraction_highest, startable))
    return _Fractions(default, usable_gpu_bytes(gpu, default), startable, highest)


def fraction_needed(engine: str, footprint: Footprint, gpu: Gpu) -> float | None:
    """Return the smallest fraction, in hundredths, that holds ``footprint``; None if none does or memory is unknown.

    Args:
        engine: ``sglang`` or ``vllm``.
        footprint: Bytes with all requests that run at once.
        gpu: One of the equal GPUs.

    """
    memory, need = gpu.memory_bytes or 0, footprint.per_gpu_bytes
    if engine == "sglang":
        reserve = footprint.per_gpu_by_part["reserve"]
        gpus = max(1, footprint.reserve_bytes // reserve) if reserve else 1
        # The most the context may take: a fraction too small does not start, one too large leaves memory unused.
        context = int(footprint.reserve_by_part["cuda_context"].high / gpus)
        free = memory if gpu.memory_free_bytes is None else min(memory, gpu.memory_free_bytes)
        need, memory = need - reserve, free - context
    fraction = ceil(need / memory * 100) / 100 if memory > 0 else 1.0
    return fraction if fraction < 1 else None
