"""Time per token with llama.cpp: what lies in host memory is read at the host's pace.

Nobody publishes a host's memory bandwidth with its name, so most constants here are assumed and
the intervals are wide; the report sets them against what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil

from seatrial.speed.roofline import Speed, calibration
from seatrial.speed.work import Ranks, ServingLoad, Work


@dataclass(frozen=True, slots=True)
class HostSide:
    """The part of a model that lies in host memory, and the CPU that reads it.

    Attributes:
        dense_share: Share of the dense weights in host memory.
        expert_share: Share of the routed experts in host memory.
        threads: Threads that compute, None where not known.
        bandwidth_bytes_per_s: Memory bandwidth, None where not known.

    """

    dense_share: float
    expert_share: float
    threads: int | None
    bandwidth_bytes_per_s: float | None


@dataclass(frozen=True, slots=True)
class CpuConstants:
    """Assumed figures of a CPU; ``calibration.json`` holds the values and where they come from."""

    bandwidth_share: float
    thread_bytes_per_s: float
    thread_flops: float
    memory_bytes_per_s: float
    step_s: float
    threads_unknown: int


@dataclass(frozen=True, slots=True)
class GpuConstants:
    """Assumed shares of a GPU's peaks that llama.cpp reaches, and how it brings host weights to a prompt."""

    bandwidth_share: float
    flops_share: float
    layer_s: float
    prefill_over_decode: float
    transfer_bytes_per_s: float
    batch_tokens: int


@cache
def _constants() -> tuple[CpuConstants, GpuConstants]:
    document = calibration()
    return CpuConstants(**document["cpu"]["values"]), GpuConstants(**document["llamacpp_gpu"]["values"])


def split_speed(work: Work, host: HostSide, ranks: Ranks | None, load: ServingLoad) -> Speed | None:
    """Point prediction for llama.cpp.

    Args:
        work: The model.
        host: What lies in host memory.
        ranks: The GPUs, None without.
        load: The requests.

    Returns:
        None where a GPU takes part whose bandwidth is not known.

    """
    step = _step_seconds(work, host, ranks, load, load.running)
    prefill = _prefill_seconds(work, host, ranks, load)
    if step is None or prefill is None:
        return None
    running = load.running
    # Requests that arrive together wait for one another's prompts.
    first = prefill * (1 + (running - 1) / 2) + step
    waiting = (running - 1) * prefill / (2 * max(load.answer_tokens, 1))
    tpot = step + waiting
    rate = running * load.answer_tokens / (first + load.answer_tokens * tpot)
    return Speed(tpot_s=tpot, ttft_s=first, output_tokens_per_s=rate, running=running)


def _host_bytes(work: Work, host: HostSide, running: int) -> float:
    """Bytes one step over ``running`` requests reads from host memory."""
    touched = work.expert_bytes * work.expert_share(running)
    return work.dense_bytes * host.dense_share + touched * host.expert_share


def _threads(host: HostSide) -> int:
    return host.threads or _constants()[0].threads_unknown


def _step_seconds(work: Work, host: HostSide, ranks: Ranks | None, load: ServingLoad, running: int) -> float | None:
    """Seconds of one step: the host's part after the GPUs' part, since layers follow one another."""
    cpu, gpu = _constants()
    host_bytes = _host_bytes(work, host, running)
    host_share = host_bytes / work.step_bytes(running)
    memory = (host.bandwidth_bytes_per_s or cpu.memory_bytes_per_s) * cpu.bandwidth_share
    step = cpu.step_s + host_bytes / min(memory, _threads(host) * cpu.thread_bytes_per_s)
    step += 2 * work.active_parameters * host_share * (running - 1) / (_threads(host) * cpu.thread_flops)
    if host_share == 1 or ranks is None:
        return step
    if ranks.bandwidth_bytes_per_s is None:
        return None
    # Layers are split over the GPUs, so one works at a time.
    read = work.step_bytes(running) - host_bytes + running * work.attention.read_bytes(load.cached_tokens)
    return step + gpu.layer_s * work.layers + read / (ranks.bandwidth_bytes_per_s * gpu.bandwidth_share)


def _prefill_seconds(work: Work, host: HostSide, ranks: Ranks | None, load: ServingLoad) -> float | None:
    """Seconds one prompt takes; where a GPU's rate is not known, a multiple of its pace with one request."""
    cpu, gpu = _constants()
    host_share = _host_bytes(work, host, load.running) / work.step_bytes(load.running)
    operations = 2 * work.active_parameters * load.prompt_tokens
    prefill = operations * host_share / (_threads(host) * cpu.thread_flops)
    if host_share == 1 or ranks is None:
        return prefill
    # For prompts llama.cpp brings the host's weights to the GPU, a batch at a time.
    lying = work.dense_bytes * host.dense_share + work.expert_bytes * host.expert_share
    batches = ceil(load.prompt_tokens / gpu.batch_tokens)
    prefill = min(prefill, batches * lying / gpu.transfer_bytes_per_s)
    if ranks.flops:
        return prefill + operations / (ranks.flops * gpu.flops_share)
    alone = _step_seconds(work, host, ranks, load, 1)
    return None if alone is None else prefill + load.prompt_tokens * alone / gpu.prefill_over_decode
