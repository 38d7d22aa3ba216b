"""Time per token with llama.cpp, which reads what is in host memory at the host's speed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import ceil

from seatrial.hardware.accelerators import accelerators
from seatrial.speed.roofline import Speed, accepted_of, calibration
from seatrial.speed.work import Ranks, ServingLoad, Work
from seatrial.units import GIB


@dataclass(frozen=True, slots=True)
class HostSide:
    """Part of a model in host memory, and the CPU that reads it."""

    dense_share: float  # of the dense weights
    expert_share: float  # of the routed experts
    threads: int | None  # that compute; None if unknown
    bandwidth_bytes_per_s: float | None  # of the memory; None if unknown
    memory_bytes: int | None = None  # of the host; None if unknown
    decode_bytes_per_s: float | None = None  # weights all threads multiply with one vector; None if not measured
    prompt_flops: float | None = None  # of all threads with many vectors; None if not measured
    measured_at: str | None = None  # when these figures were measured; None if they were not
    tensor_split: bool = False  # the GPUs share each tensor, instead of taking turns at the layers

    @property
    def has_all(self) -> bool:
        """True if the whole model is in host memory."""
        return self.dense_share == self.expert_share == 1

    def step_bytes(self, work: Work, tokens: float) -> float:
        """Return the bytes one step over ``tokens`` tokens reads from host memory."""
        used = work.expert_bytes * work.expert_share(tokens)
        return work.dense_bytes * self.dense_share + used * self.expert_share


@dataclass(frozen=True, slots=True)
class AssumedHost:
    """Host of a size about which nothing else is known."""

    memory_gib_most: float | None  # None: any larger one
    memory_bytes_per_s: float
    threads: int


@dataclass(frozen=True, slots=True)
class _CpuConstants:
    """Figures of a CPU; ``calibration.json`` holds the values and their sources."""

    read_share: float
    attention_share: float
    thread_bytes_per_s: float
    thread_flops: float
    step_s: float
    barrier_s: float
    experts_barriers: float


@dataclass(frozen=True, slots=True)
class _GpuConstants:
    """Shares of a GPU's peaks that llama.cpp reaches, and what it spends besides."""

    bandwidth_share: float
    flops_share: float
    layer_s: float
    unified_layer_s: float
    draft_share: float
    tensor_gain: float
    tensor_prompt_gain: float
    prefill_over_decode: float
    transfer_bytes_per_s: float
    batch_tokens: int


@dataclass(frozen=True, slots=True)
class LlamacppConstants:
    """Constants of the prediction for llama.cpp."""

    cpu: _CpuConstants
    gpu: _GpuConstants
    hosts: tuple[AssumedHost, ...]  # by size of their memory, ascending


@cache
def llamacpp_constants() -> LlamacppConstants:
    """Return the constants of calibration.json."""
    cpu, gpu = calibration()["cpu"], calibration()["llamacpp_gpu"]
    hosts = tuple(AssumedHost(**row) for row in cpu["hosts"])
    return LlamacppConstants(_CpuConstants(**cpu["values"]), _GpuConstants(**gpu["values"]), hosts)


def assumed_host(memory_bytes: int | None, fit: LlamacppConstants | None = None) -> AssumedHost:
    """Return what is assumed of a host with so much memory: more than a desktop takes is a server's."""
    rows = (fit or llamacpp_constants()).hosts
    size = (memory_bytes or 0) / GIB
    return next(row for row in rows if row.memory_gib_most is None or size <= row.memory_gib_most)


@dataclass(frozen=True, slots=True)
class _Cpu:
    """Speed of the threads that compute on a host."""

    bytes_per_s: float  # of weights, with one vector
    flops: float  # with many
    threads: int
    constants: _CpuConstants

    def step_seconds(self, work: Work, host: HostSide, load: ServingLoad) -> float:
        """Return the seconds of the host's part of one step."""
        cpu, running = self.constants, load.running
        tokens = running * (1 + load.draft_tokens)
        weights = host.step_bytes(work, tokens)
        share = weights / work.step_bytes(tokens)
        cached = host.dense_share * running * work.attention.read_bytes(load.cached_tokens)
        reading = (weights + cached / cpu.attention_share) / self.bytes_per_s
        computing = 2 * work.active_parameters * share * (tokens - 1) / self.flops
        only_experts = max(0.0, host.expert_share - host.dense_share)
        barriers = work.layers * (host.dense_share + only_experts * cpu.experts_barriers)
        waiting = barriers * cpu.barrier_s * self.threads if self.threads > 1 else 0.0
        return cpu.step_s + reading + computing + waiting


def _cpu(host: HostSide, fit: LlamacppConstants) -> _Cpu:
    """Return the speed of a host: measured with llama.cpp's kernel, else by its bandwidth, else assumed from its size."""
    cpu, assumed = fit.cpu, assumed_host(host.memory_bytes, fit)
    threads = host.threads or assumed.threads
    memory = cpu.read_share * host.bandwidth_bytes_per_s if host.bandwidth_bytes_per_s else assumed.memory_bytes_per_s
    reads = host.decode_bytes_per_s or min(memory, threads * cpu.thread_bytes_per_s)
    return _Cpu(reads, host.prompt_flops or threads * cpu.thread_flops, threads, cpu)


def split_speed(
    work: Work, host: HostSide, ranks: Ranks | None, load: ServingLoad, fit: LlamacppConstants | None = None
) -> Speed | None:
    """Return a point prediction for llama.cpp.

    Args:
        work: Work of the model.
        host: Part of the model in host memory.
        ranks: The GPUs, None without.
        load: The requests.
        fit: Constants; by default those of calibration.json.

    Returns:
        None if a GPU has layers and its bandwidth is not known.

    """
    running, fit = load.running, fit or llamacpp_constants()
    step = _step_seconds(work, host, ranks, load, fit)
    prefill = _prefill_seconds(work, host, ranks, load, fit)
    if step is None or prefill is None:
        return None
    # Requests that arrive together wait for one another's prompts.
    first = prefill * (1 + (running - 1) / 2) + step
    waiting = (running - 1) * prefill / (2 * max(load.answer_tokens, 1))
    tpot = step / accepted_of(load) + waiting
    rate = running * load.answer_tokens / (first + load.answer_tokens * tpot)
    return Speed(tpot, first, rate, running, tpot_prefill_s=waiting, ttft_prefill_s=first - step)


def _step_seconds(
    work: Work, host: HostSide, ranks: Ranks | None, load: ServingLoad, fit: LlamacppConstants
) -> float | None:
    """Return the seconds of one step: layers follow one another, so the host's time adds to the GPUs'."""
    gpu, running = fit.gpu, load.running
    tokens = running * (1 + load.draft_tokens)
    host_bytes = host.step_bytes(work, tokens)
    step = _cpu(host, fit).step_seconds(work, host, load)
    if host.has_all or ranks is None:
        return step
    if ranks.bandwidth_bytes_per_s is None:
        return None
    read = work.step_bytes(tokens) - host_bytes
    read += (1 - host.dense_share) * running * work.attention.read_bytes(load.cached_tokens)
    fixed = work.layers * (gpu.unified_layer_s if _is_unified(ranks) else gpu.layer_s)
    fixed *= 1 + gpu.draft_share * load.draft_tokens
    # Layers divided over several GPUs follow one another; only tensors divided over them are computed at once.
    gain = gpu.tensor_gain if host.tensor_split else 1.0
    return step + (fixed + read / (ranks.bandwidth_bytes_per_s * gpu.bandwidth_share)) / gain


def _is_unified(ranks: Ranks) -> bool:
    row = accelerators().get(ranks.accelerator or "")
    return row is not None and row.unified_memory


def _prefill_seconds(
    work: Work, host: HostSide, ranks: Ranks | None, load: ServingLoad, fit: LlamacppConstants
) -> float | None:
    """Return the seconds of one prompt; if a GPU's rate is not known, a multiple of its speed with one request."""
    gpu = fit.gpu
    host_share = host.step_bytes(work, load.running) / work.step_bytes(load.running)
    operations = 2 * work.active_parameters * load.prompt_tokens
    prefill = operations * host_share / _cpu(host, fit).flops
    if host.has_all or ranks is None:
        return prefill
    # For prompts llama.cpp copies the host's weights to the GPU, a batch at a time.
    on_host = work.dense_bytes * host.dense_share + work.expert_bytes * host.expert_share
    batches = ceil(load.prompt_tokens / gpu.batch_tokens)
    prefill = min(prefill, batches * on_host / gpu.transfer_bytes_per_s)
    gain = max(1.0, ranks.count * gpu.tensor_prompt_gain) if host.tensor_split else 1.0
    if ranks.flops:
        return prefill + operations / (ranks.flops * gpu.flops_share * gain)
    plain = load.running == 1 and not load.draft_tokens
    single = _step_seconds(work, host, ranks, load if plain else replace(load, concurrency=1, draft_tokens=0), fit)
    return None if single is None else prefill + load.prompt_tokens * single / gpu.prefill_over_decode / gain
