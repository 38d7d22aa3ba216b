"""Time per token on GPUs: bytes over bandwidth and prompts over FLOPS, plus the overheads of published runs.

A step reads the dense weights and the experts its tokens use, and takes a fixed time for every layer (kernel launches,
collectives). That fixed time dominates at low concurrency: a roofline of weights and bandwidth only is at least five
times too fast there. At high concurrency prompts dominate: while the server reads one, every other request waits for its
next token.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from math import pi, sqrt
from pathlib import Path
from typing import Any

from seatrial.speed.work import Ranks, ServingLoad, Work


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants fitted to the published rows; ``calibration.json`` holds the values. The last three are not fitted."""

    layer_s: float  # fixed time of a step, for each layer
    draft_share: float  # longer step for each drafted token, as a share of the fixed time
    slow_host: float  # factor on the fixed time if the host is a Grace CPU
    network: float  # factor on the fixed time over several nodes
    token_layer_s: float  # time of a step for each token and layer
    prefill_share: float  # of the peak FLOPS
    replicated: float  # share of the prefill work that tensor parallelism does not split
    data_fill: float  # overlap of attention replicas that read prompts: 0 one by one, 1 all together
    data_layer_s: float  # fixed time of a prompt for each layer, with data-parallel attention
    first_s: float  # shortest time to first token, for any prompt: tokenizer, scheduler, launches
    first_slow_host: float  # factor on first_s if the host is a Grace CPU
    first_wait: float  # share of every other request's prefill a new request waits for
    seen_share: float  # share of the prefill left if the prefix cache holds the prompt
    bandwidth_share: float  # of the peak memory bandwidth
    acceptance: float  # chance that a drafted token is accepted
    launch_share: float  # part of first_s in which the server can read no other prompt

    def accepted(self, draft_tokens: int) -> float:
        """Return the tokens a step yields: 1 + a + a^2 + ..., since a drafted token counts only after those before it."""
        return (1 - self.acceptance ** (draft_tokens + 1)) / (1 - self.acceptance)


@dataclass(frozen=True, slots=True)
class Speed:
    """A point prediction."""

    tpot_s: float
    ttft_s: float
    output_tokens_per_s: float  # over all requests
    running: int  # requests that run at once


@cache
def calibration() -> dict[str, Any]:
    """Load calibration.json: every constant, with its origin."""
    document: dict[str, Any] = json.loads(Path(__file__).with_name("calibration.json").read_text(encoding="utf-8"))
    return document


@cache
def constants(column: str = "values") -> Constants:
    """Return the fitted constants, or with ``start`` those a fit begins with."""
    known = calibration()["gpu"]
    return Constants(**known[column], **{name: row["value"] for name, row in known["fixed"].items()})


def _has_slow_host(ranks: Ranks) -> bool:
    """Return True if the GPUs' host is a Grace CPU."""
    return ranks.accelerator in calibration()["gpu"]["slow_hosts"]


def _known(figure: float | None) -> float:
    """Return a figure of the GPUs, which the caller has found to be known."""
    if figure is None:
        raise ValueError("predict_speed answers for GPUs whose figures are unknown")
    return figure


def prefill_seconds(work: Work, ranks: Ranks, load: ServingLoad, fit: Constants) -> float:
    """Return the seconds the GPUs spend on one prompt, in which they decode nothing.

    With data-parallel attention a single rank reads a prompt's dense part. The others idle, unless they have a
    prompt of their own at that moment.
    """
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
    seconds = operations / (_known(ranks.flops) * fit.prefill_share) + fixed
    return seconds * fit.seen_share if load.prompts_seen else seconds


def step_seconds(work: Work, ranks: Ranks, running: int, load: ServingLoad, fit: Constants) -> tuple[float, float]:
    """Return the seconds of one decode step over ``running`` requests, and the part fewer requests do not shorten."""
    tokens = running * (1 + load.draft_tokens)
    experts = work.expert_bytes * work.expert_share(tokens) / ranks.count
    dense = work.dense_bytes / (1 if ranks.data > 1 else ranks.count)
    # There is one KV head, which every rank of a replica reads.
    cache_bytes = running * work.attention.read_bytes(load.cached_tokens) / ranks.data
    fixed = fit.layer_s * work.layers * (1 + fit.draft_share * load.draft_tokens)
    if _has_slow_host(ranks):
        fixed *= fit.slow_host
    if ranks.nodes > 1:
        fixed *= fit.network
    reading = (experts + dense + cache_bytes) / (_known(ranks.bandwidth_bytes_per_s) * fit.bandwidth_share)
    return fixed + reading + fit.token_layer_s * tokens / ranks.data * work.layers, fixed + reading / 2


def gpu_speed(work: Work, ranks: Ranks, load: ServingLoad, fit: Constants | None = None) -> Speed:
    """Return a point prediction on GPUs under continuous batching.

    Args:
        work: The model.
        ranks: The GPUs; bandwidth and FLOPS must be known.
        load: The requests.
        fit: Constants; by default the published calibration.

    """
    fit = fit or constants()
    running, answer = load.running, load.mean_answer
    prefill = prefill_seconds(work, ranks, load, fit)
    step, constant_part = step_seconds(work, ranks, running, load, fit)
    steps = answer / fit.accepted(load.draft_tokens)
    # Prompts read while one request decodes; in a run that ends, the first and the last requests meet fewer.
    met = (running - 1) * (1 - running / (2 * load.requests) if load.requests else 1)
    tpot = (steps * step + met * prefill) / answer
    first = max(prefill, fit.first_s * (fit.first_slow_host if _has_slow_host(ranks) else 1.0))
    waiting = load.concurrency > running
    round_s = steps * step + (running - 1) * prefill + (prefill if waiting else first)
    seconds = round_s / running
    if load.requests:
        seconds += _drain_tokens(load) / answer * steps * constant_part / load.requests
    # A prompt that arrives among others waits for some of them, and each takes at least its launches.
    others = fit.first_wait * (running - 1) * max(prefill, fit.launch_share * first)
    ttft = first + (0.0 if running == 1 else step + others)
    if waiting:
        ttft += _median_place(load) * round_s / running
    return Speed(tpot_s=tpot, ttft_s=ttft, output_tokens_per_s=answer / seconds, running=running)


def _drain_tokens(load: ServingLoad) -> float:
    """Return the tokens the longest of the last requests has left beyond the mean, when no more requests come.

    Of answers drawn evenly from 1 to L, the remainder at a random moment has mean L/3, and the largest of R remainders
    is L (1 - sqrt(pi)/2 / sqrt(R + 0.75)). Of equal answers L the two are L/2 and L R / (R + 1).
    """
    running = load.running
    if running == 1:
        return 0.0
    if load.random_lengths:
        return load.answer_tokens * (2 / 3 - sqrt(pi) / 2 / sqrt(running + 0.75))
    return load.answer_tokens * (running / (running + 1) - 0.5)


def _median_place(load: ServingLoad) -> float:
    """Return the number of requests the median one finds before it in the queue."""
    last = load.concurrency if load.requests is None else min(load.requests / 2, load.concurrency)
    return max(0.0, last - load.running)
