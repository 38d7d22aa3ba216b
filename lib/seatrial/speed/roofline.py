"""Time per token on GPUs: bytes over bandwidth and prompts over FLOPS, plus what published runs show on top.

A step reads the dense weights and the experts its tokens touch, and pays a fixed time for every
layer (kernel launches, collectives). That fixed part rules at low concurrency: a pure
weight-bandwidth roofline is at least five times too fast there. At high concurrency the prompts
rule: while one is read, every other request waits for its next token.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from math import pi, sqrt
from pathlib import Path
from typing import Any

from seatrial.speed.work import Ranks, ServingLoad, Work

_CALIBRATION = Path(__file__).with_name("calibration.json")
_LONGEST = sqrt(pi) / 2
"""Of the expected longest of R remaining answers of random length: 1 - LONGEST / sqrt(R + 3/4)."""


@dataclass(frozen=True, slots=True)
class Constants:
    """What the published rows were fitted with; ``calibration.json`` holds the values.

    Attributes:
        layer_s: Fixed time of a step for each layer.
        draft_share: Longer step for each drafted token, as a share of the fixed time.
        slow_host: Factor on the fixed time where the host is a Grace CPU.
        network: Factor on the fixed time over several nodes.
        token_layer_s: Time of a step for each token and layer.
        prefill_share: Share of the peak FLOPS that prefill reaches.
        replicated: Share of the prefill work that tensor parallelism does not split.
        data_fill: How far attention replicas read prompts at the same time: 0 one by one, 1 all together.
        data_layer_s: Fixed time of a prompt for each layer where attention is data parallel.
        first_s: Shortest time to first token, however short the prompt's work: tokenizer, scheduler, launches.
        first_slow_host: Factor on it where the host is a Grace CPU.
        first_wait: Share of every other request's prefill a new request waits for.
        seen_share: Part of the prefill left where the prompt lies in the prefix cache.
        bandwidth_share: Share of the peak memory bandwidth that is reached (not fitted).
        acceptance: Chance that a drafted token is accepted (not fitted).
        launch_share: Part of ``first_s`` in which the server can read no other prompt (not fitted).

    """

    layer_s: float
    draft_share: float
    slow_host: float
    network: float
    token_layer_s: float
    prefill_share: float
    replicated: float
    data_fill: float
    data_layer_s: float
    first_s: float
    first_slow_host: float
    first_wait: float
    seen_share: float
    bandwidth_share: float
    acceptance: float
    launch_share: float

    def accepted(self, draft_tokens: int) -> float:
        """Tokens a step yields: 1 + a + a^2 + ..., a drafted token counting only after those before it."""
        return (1 - self.acceptance ** (draft_tokens + 1)) / (1 - self.acceptance)

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
def calibration() -> dict[str, Any]:
    """The document with every constant and its origin."""
    document: dict[str, Any] = json.loads(_CALIBRATION.read_text(encoding="utf-8"))
    return document


@cache
def constants() -> Constants:
    """The fitted constants."""
    known = calibration()["gpu"]
    return Constants(**known["values"], **{name: row["value"] for name, row in known["fixed"].items()})


@cache
def _slow_hosts() -> frozenset[str]:
    """Accelerators that sit beside a Grace CPU."""
    return frozenset(calibration()["gpu"]["slow_hosts"])


def prefill_seconds(work: Work, ranks: Ranks, load: ServingLoad, fit: Constants) -> float:
    """Seconds the GPUs spend on one prompt, in which they decode nothing.

    With data-parallel attention one rank reads a prompt's dense part alone while the others idle,
    unless they have a prompt of their own at that moment.
    """
    assert ranks.flops is not None  # noqa: S101 -- the caller has looked
    if ranks.data > 1:
        together = ranks.data if ranks.prefill_together else 1 + (ranks.data - 1) * fit.data_fill
        dense = work.active_parameters - work.routed_parameters
        parameters = dense / together + work.routed_parameters / ranks.count
        fixed = fit.data_layer_s * work.layers / together
    else:
        parameters = work.active_parameters * (fit.replicated + (1 - fit.replicated) / ranks.count)
        fixed = 0.0
    # Every rank of a replica scores the whole prompt: the indexer is not split.
    operations = 2 * load.mean_prompt * parameters + work.attention.pair_flops * load.prompt_pairs
    seconds = operations / (ranks.flops * fit.prefill_share) + fixed
    return seconds * fit.seen_share if load.prompts_seen else seconds


def step_seconds(work: Work, ranks: Ranks, running: int, load: ServingLoad, fit: Constants) -> tuple[float, float]:
    """Seconds of one decode step over ``running`` requests, and the part that does not shrink with fewer."""
    assert ranks.bandwidth_bytes_per_s is not None  # noqa: S101 -- the caller has looked
    tokens = running * (1 + load.draft_tokens)
    experts = work.expert_bytes * work.expert_share(tokens) / ranks.count
    dense = work.dense_bytes / (1 if ranks.data > 1 else ranks.count)
    # There is one KV head, which every rank of a replica reads.
    cache_bytes = running * work.attention.read_bytes(load.cached_tokens) / ranks.data
    fixed = fit.layer_s * work.layers * (1 + fit.draft_share * load.draft_tokens)
    if ranks.accelerator in _slow_hosts():
        fixed *= fit.slow_host
    if ranks.nodes > 1:
        fixed *= fit.network
    reading = (experts + dense + cache_bytes) / (ranks.bandwidth_bytes_per_s * fit.bandwidth_share)
    return fixed + reading + fit.token_layer_s * tokens / ranks.data * work.layers, fixed + reading / 2


def gpu_speed(work: Work, ranks: Ranks, load: ServingLoad, fit: Constants | None = None) -> Speed:
    """Point prediction on GPUs under continuous batching.

    Args:
        work: The model.
        ranks: The GPUs; bandwidth and FLOPS must be known.
        load: The requests.
        fit: Constants; by default the published calibration.

    """
    fit = fit or constants()
    running, answer = load.running, load.mean_answer
    prefill = prefill_seconds(work, ranks, load, fit)
    step, lasting = step_seconds(work, ranks, running, load, fit)
    steps = answer / fit.accepted(load.draft_tokens)
    # Prompts read while a request decodes; in a run that ends, the first and the last meet fewer.
    met = (running - 1) * (1 - running / (2 * load.requests) if load.requests else 1)
    tpot = (steps * step + met * prefill) / answer
    first = max(prefill, fit.first_s * (fit.first_slow_host if ranks.accelerator in _slow_hosts() else 1.0))
    waiting = load.concurrency > running
    turn = steps * step + (running - 1) * prefill + (prefill if waiting else first)
    seconds = turn / running
    if load.requests:
        seconds += _drain_tokens(load) / answer * steps * lasting / load.requests
    # A prompt that arrives among others waits for some of theirs, and those take their launches at least.
    others = fit.first_wait * (running - 1) * max(prefill, fit.launch_share * first)
    ttft = first + (0.0 if running == 1 else step + others)
    if waiting:
        ttft += _median_place(load) * turn / running
    return Speed(tpot_s=tpot, ttft_s=ttft, output_tokens_per_s=answer / seconds, running=running)


def _drain_tokens(load: ServingLoad) -> float:
    """Tokens the longest of the last requests has left beyond the mean, when nothing more is sent.

    Of answers drawn evenly from 1 to L, what is left at a random moment has mean L/3, and the largest of
    R has L (1 - 0.886 / sqrt(R + 0.75)). Of equal answers L the two are L/2 and L R / (R + 1).
    """
    running = load.running
    if running == 1:
        return 0.0
    if load.random_lengths:
        return load.answer_tokens * (2 / 3 - _LONGEST / sqrt(running + 0.75))
    return load.answer_tokens * (running / (running + 1) - 0.5)


def _median_place(load: ServingLoad) -> float:
    """How many requests the median one finds before it in the queue."""
    last = load.concurrency if load.requests is None else min(load.requests / 2, load.concurrency)
    return max(0.0, last - load.running)
