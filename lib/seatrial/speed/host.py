"""Time per token with llama.cpp, which reads what is in host memory at the host's speed.

Nobody publishes a host's memory bandwidth with its name. So most constants of this model are assumed and the intervals
are wide; the report compares them with measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil

from seatrial.speed.roofline import Speed, calibration
from seatrial.speed.work import Ranks, ServingLoad, Work


@dataclass(frozen=True, slots=True)
class HostSide:
    """Part of a model in host memory, and the CPU that reads it."""

    dense_share: float  # of the dense weights
    expert_share: float  # of the routed experts
    threads: int | None  # that compute; None if unknown
    bandwidth_bytes_per_s: float | None  # of the memory; None if unknown
    tensor_split: bool = False  # the GPUs share each tensor, instead of taking turns at the layers

    def step_bytes(self, work: Work, running: int) -> float:
        """Return the bytes one step over ``running`` requests reads from host memory."""
        used = work.expert_bytes * work.expert_share(running)
        return work.dense_bytes * self.dense_share + used * self.expert_share


@dataclass(frozen=True, slots=True)
class _CpuConstants:
    """Assumed figures of a CPU; ``calibration.json`` holds the values and their sources."""

    bandwidth_share: float
    thread_bytes_per_s: float
    thread_flops: float
    memory_bytes_per_s: float
    step_s: float
    threads_unknown: int


@dataclass(frozen=True, slots=True)
class _GpuConstants:
    """Assumed shares of a GPU's peaks that llama.cpp reaches, and the transfer of host weights for a prompt."""

    bandwidth_share: float
    flops_share: float
    layer_s: float
    prefill_over_decode: float
    transfer_bytes_per_s: float
    batch_tokens: int


@cache
def _constants() -> tuple[_CpuConstants, _GpuConstants]:
    document = calibration()
    return _CpuConstants(**document["cpu"]["values"]), _GpuConstants(**document["llamacpp_gpu"]["values"])


def split_speed(work: Work, host: HostSide, ranks: Ranks | None, load: ServingLoad) -> Speed | None:
    """Return a point prediction for llama.cpp.

    Args:
        work: Work of the model.
        host: Part of the model in host memory.
        ranks: The GPUs, None without.
        load: The requests.

    Returns:
        None if a GPU has layers and its bandwidth is not known.

    """
    running = load.running
    step = _step_seconds(work, host, ranks, load, running)
    prefill = _prefill_seconds(work, host, ranks, load)
    if step is None or prefill is None:
        return None
    # Requests that arrive together wait for one another's prompts.
    first = prefill * (1 + (running - 1) / 2) + step
    waiting = (running - 1) * prefill / (2 * max(load.answer_tokens, 1))
    tpot = step + waiting
    rate = running * load.answer_tokens / (first + load.answer_tokens * tpot)
    return Speed(tpot_s=tpot, ttft_s=first, output_tokens_per_s=rate, running=running)


def _step_seconds(work: Work, host: HostSide, ranks: Ranks | None, load: ServingLoad, running: int) -> float | None:
    """Return the seconds of one step: layers follow one another, so the host's time adds to the GPUs'."""
    cpu, gpu = _constants()
    threads = host.threads or cpu.threads_unknown
    host_bytes = host.step_bytes(work, running)
    host_share = host_bytes / work.step_bytes(running)
    memory = (host.bandwidth_bytes_per_s or cpu.memory_bytes_per_s) * cpu.bandwidth_share
    step = cpu.step_s + host_bytes / min(memory, threads * cpu.thread_bytes_per_s)
    step += 2 * work.active_parameters * host_share * (running - 1) / (threads * cpu.thread_flops)
    if host_share == 1 or ranks is None:
        return step
    if ranks.bandwidth_bytes_per_s is None:
        return None
    # Layers are split over the GPUs, so one works at a time.
    read = work.step_bytes(running) - host_bytes + running * work.attention.read_bytes(load.cached_tokens)
    return step + gpu.layer_s * work.layers + read / (ranks.bandwidth_bytes_per_s * gpu.bandwidth_share)


def _prefill_seconds(work: Work, host: HostSide, ranks: Ranks | None, load: ServingLoad) -> float | None:
    """Return the seconds of one prompt; if a GPU's rate is not known, a multiple of its speed with one request."""
    cpu, gpu = _constants()
    host_share = host.step_bytes(work, load.running) / work.step_bytes(load.running)
    operations = 2 * work.active_parameters * load.prompt_tokens
    prefill = operations * host_share / ((host.threads or cpu.threads_unknown) * cpu.thread_flops)
    if host_share == 1 or ranks is None:
        return prefill
    # For prompts llama.cpp copies the host's weights to the GPU, a batch at a time.
    on_host = work.dense_bytes * host.dense_share + work.expert_bytes * host.expert_share
    batches = ceil(load.prompt_tokens / gpu.batch_tokens)
    prefill = min(prefill, batches * on_host / gpu.transfer_bytes_per_s)
    if ranks.flops:
        return prefill + operations / (ranks.flops * gpu.flops_share)
    single = _step_seconds(work, host, ranks, load, 1)
    return None if single is None else prefill + load.prompt_tokens * single / gpu.prefill_over_decode
