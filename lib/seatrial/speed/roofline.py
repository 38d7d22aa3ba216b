"""Time per token on GPUs: bytes over bandwidth, plus what published runs show on top of it.

A step reads the dense weights, the experts its tokens touch and the KV cache, and pays a fixed
time for every layer (kernel launches, collectives). That fixed part rules at low concurrency: a
pure weight-bandwidth roofline is at least five times too fast there.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from seatrial.speed.work import Load, Ranks, Work

CALIBRATION = Path(__file__).with_name("calibration.json")


@dataclass(frozen=True, slots=True)
class Constants:
    """What the published rows were fitted with; ``calibration.json`` holds the values.

    Attributes:
        layer_s: Fixed time of a step for each layer.
        draft_share: Longer step for each drafted token, as a share of the fixed time.
        data_layer_s: More time a layer where attention is data parallel.
        slow_host: Factor on the fixed time where the host is a Grace CPU.
        network: Factor on the fixed time over several nodes.
        bandwidth_share: Share of the peak memory bandwidth that is reached.
        request_bytes: Bytes moved for each running request in a step (KV cache, activations).
        token_layer_s: Time of a step for each token and layer.
        accepted_1: Tokens a step yields with one drafted token.
        accepted_3: Tokens a step yields with three drafted tokens.
        prefill_share: Share of the peak FLOPS that prefill reaches.
        data_prefill: Factor on prefill time where attention is data parallel.
        interference: How much of the other requests' prefill delays decode.
        first_s: Fixed part of the time to first token.
        first_slow_host: Factor on it where the host is a Grace CPU.
        first_wait: Share of another request's prefill a new request waits for.
        queue_share: Mean share of a full turn that a queued request waits.
        tail: Throughput of a whole run against its steady part (ramp-up and last answers).

    """

    layer_s: float
    draft_share: float
    data_layer_s: float
    slow_host: float
    network: float
    bandwidth_share: float
    request_bytes: float
    token_layer_s: float
    accepted_1: float
    accepted_3: float
    prefill_share: float
    data_prefill: float
    interference: float
    first_s: float
    first_slow_host: float
    first_wait: float
    queue_share: float
    tail: float

    def accepted(self, draft_tokens: int) -> float:
        """Tokens a step yields; between and beyond the fitted points it grows in a straight line."""
        slope = (self.accepted_3 - self.accepted_1) / 2
        if draft_tokens == 0:
            return 1.0
        return min(self.accepted_1 + slope * (draft_tokens - 1), self.accepted_3)

    def to_dict(self) -> dict[str, float]:
        """Names and values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Speed:
    """A point prediction: seconds, and output tokens per second over all requests."""

    tpot_s: float
    ttft_s: float
    output_tokens_per_s: float
    running: int


@cache
def constants() -> Constants:
    """The fitted constants."""
    return Constants(**json.loads(CALIBRATION.read_text(encoding="utf-8"))["gpu"]["values"])


@cache
def slow_hosts() -> frozenset[str]:
    """Accelerators that sit beside a Grace CPU."""
    return frozenset(json.loads(CALIBRATION.read_text(encoding="utf-8"))["gpu"]["slow_hosts"])


def step_seconds(work: Work, ranks: Ranks, running: int, draft_tokens: int, fit: Constants) -> float:
    """Seconds of one decode step over ``running`` requests."""
    assert ranks.bandwidth_bytes_per_s is not None  # noqa: S101 -- the caller has looked
    tokens = running * (1 + draft_tokens)
    experts = work.expert_bytes * work.expert_share(tokens) / ranks.count
    dense = work.dense_bytes / (1 if ranks.data > 1 else ranks.count)
    requests = running * (fit.request_bytes + work.kv_bytes_per_request) / ranks.data
    fixed = fit.layer_s * work.layers * (1 + fit.draft_share * draft_tokens)
    if ranks.accelerator in slow_hosts():
        fixed *= fit.slow_host
    if ranks.nodes > 1:
        fixed *= fit.network
    if ranks.data > 1:
        fixed += fit.data_layer_s * work.layers
    reading = (experts + dense + requests) / (ranks.bandwidth_bytes_per_s * fit.bandwidth_share)
    return fixed + reading + fit.token_layer_s * tokens / ranks.data * work.layers


def gpu_speed(work: Work, ranks: Ranks, load: Load, fit: Constants | None = None) -> Speed:
    """Point prediction on GPUs under continuous batching.

    Args:
        work: The model.
        ranks: The GPUs; bandwidth and FLOPS must be known.
        load: The requests.
        fit: Constants; by default the published calibration.

    """
    fit = fit or constants()
    assert ranks.flops is not None  # noqa: S101 -- the caller has looked
    running = max(1, min(load.concurrency, load.running_limit))
    prefill = 2 * work.active_parameters * load.prompt_tokens / (ranks.count * ranks.flops * fit.prefill_share)
    if ranks.data > 1:
        prefill *= fit.data_prefill
    step = step_seconds(work, ranks, running, load.draft_tokens, fit)
    waiting = (running - 1) * prefill * fit.interference / load.answer_tokens
    tpot = step / fit.accepted(load.draft_tokens) + waiting
    first = fit.first_s * (fit.first_slow_host if ranks.accelerator in slow_hosts() else 1.0)
    first += prefill * (1 + fit.first_wait * (running - 1))
    turn = first + load.answer_tokens * tpot
    rate = running * load.answer_tokens / turn * (1.0 if running == 1 else fit.tail)
    if load.concurrency > running:
        first += fit.queue_share * (load.concurrency * load.answer_tokens / rate - turn)
    return Speed(tpot_s=tpot, ttft_s=first, output_tokens_per_s=rate, running=running)
