"""Time per token on GPUs: bytes over bandwidth and prompts over FLOPS, plus the overheads of published runs.

A step reads the dense weights and the experts its tokens use, and takes a fixed time for every layer (kernel launches,
collectives). That fixed time dominates at low concurrency: a roofline of weights and bandwidth only is at least five
times too fast there. At high concurrency prompts dominate: while the server reads one, every other request waits for its
next token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import pi, sqrt
from pathlib import Path
from typing import Any

from seatrial.json_text import parse_json
from seatrial.speed.acceptance import accepted_tokens
from seatrial.speed.work import Prompt, Ranks, ServingLoad, Work

CALIBRATION = Path(__file__).with_name("calibration.json")


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants fitted to the published rows, except the last two; ``calibration.json`` holds the values."""

    layer_s: float  # fixed time of a step, for each layer
    draft_share: float  # longer step for each drafted token, as a share of the fixed time
    slow_host_s: float  # longer step if the host is a Grace CPU
    network: float  # factor on the fixed time over several nodes
    data_share: float  # of the fixed time that remains with data-parallel attention, which needs no collectives
    deepep_s: float  # longer step if tokens reach the experts of other ranks through DeepEP
    token_layer_s: float  # time of a step for each token and layer
    prefill_share: float  # of the peak FLOPS
    replicated: float  # share of the prefill work that tensor parallelism does not split
    prefill_layer_s: float  # fixed time of a prompt for each layer
    data_fill: float  # overlap of attention replicas that read prompts: 0 one by one, 1 all together
    data_layer_s: float  # fixed time of a prompt for each layer, with data-parallel attention
    first_s: float  # shortest time to first token, for any prompt: tokenizer, scheduler, launches
    launch_share: float  # part of first_s in which the server can read no other prompt
    slow_host: float  # factor on the fixed times of a prompt and a first token if the host is a Grace CPU
    dspark_first: float  # factor on first_s if a DSpark drafter reads the prompt too
    first_wait: float  # share of every other request's prefill a new request waits for
    capacity_error: float  # of the number of requests that run at once: a shorter queue may not be one
    bandwidth_share: float  # of the peak memory bandwidth


@dataclass(frozen=True, slots=True)
class Speed:
    """A point prediction."""

    tpot_s: float
    ttft_s: float
    output_tokens_per_s: float  # over all requests
    running: int  # requests that run at once
    tpot_prefill_s: float = 0.0  # part of tpot_s in which others' prompts are read
    ttft_prefill_s: float = 0.0  # part of ttft_s in which prompts are read


@cache
def calibration() -> dict[str, Any]:
    """Load calibration.json: every constant, with its origin."""
    document: dict[str, Any] = parse_json(CALIBRATION.read_bytes())
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
        raise ValueError("gpu_speed needs bandwidth and FLOPS")
    return figure


def prefill_seconds(work: Work, ranks: Ranks, prompt: Prompt, fit: Constants, *, together: bool = False) -> float:
    """Return the seconds the GPUs spend on one prompt, in which they decode nothing.

    With data-parallel attention a single rank reads a prompt's dense part. The others idle, unless they have a
    prompt of their own at that moment.

    Args:
        work: The model.
        ranks: The GPUs.
        prompt: The prompt.
        fit: Constants.
        together: All attention replicas read a prompt at the same time.

    """
    layer_s, filled = fit.prefill_layer_s, 1.0
    if ranks.data > 1:
        layer_s = fit.data_layer_s
        filled = ranks.data if together or ranks.prefill_together else 1 + (ranks.data - 1) * fit.data_fill
        parameters = (work.active_parameters - work.routed_parameters) / filled + work.routed_parameters / ranks.count
    else:
        parameters = work.active_parameters * (fit.replicated + (1 - fit.replicated) / ranks.count)
    # Every rank of a replica scores the whole prompt: the indexer is not split.
    operations = 2 * prompt.tokens * parameters + work.attention.pair_flops * prompt.pairs / filled
    return operations / (_known(ranks.flops) * fit.prefill_share) + _host(ranks, fit) * layer_s * work.layers / filled


def _host(ranks: Ranks, fit: Constants) -> float:
    """Return the factor on what the host does for a prompt."""
    return fit.slow_host if _has_slow_host(ranks) else 1.0


def step_seconds(work: Work, ranks: Ranks, running: int, load: ServingLoad, fit: Constants) -> tuple[float, float]:
    """Return the seconds of one decode step over ``running`` requests, and the part fewer requests do not shorten."""
    tokens = running * (1 + load.draft_tokens)
    experts = work.expert_bytes * work.expert_share(tokens) / ranks.count
    dense = work.dense_bytes / (1 if ranks.data > 1 else ranks.count)
    # There is one KV head, which every rank of a replica reads.
    cache_bytes = running * work.attention.read_bytes(load.cached_tokens) / ranks.data
    fixed = fit.layer_s * work.layers * (1 + fit.draft_share * load.draft_tokens)
    if _has_slow_host(ranks):
        fixed += fit.slow_host_s
    if ranks.nodes > 1:
        fixed *= fit.network
    if ranks.data > 1:
        fixed = fixed * fit.data_share + (fit.deepep_s if ranks.deepep else 0.0)
    reading = (experts + dense + cache_bytes) / (_known(ranks.bandwidth_bytes_per_s) * fit.bandwidth_share)
    return fixed + reading + fit.token_layer_s * tokens / ranks.data * work.layers, fixed + reading / 2


def accepted_of(load: ServingLoad) -> float:
    """Return the tokens a step yields: those given, else those of random text."""
    return load.accepted or accepted_tokens(load.draft_tokens, load.draft_method, model=load.draft_model)


def gpu_speed(work: Work, ranks: Ranks, load: ServingLoad, fit: Constants | None = None) -> Speed:
    """Return a point prediction on GPUs under continuous batching.

    The time to first token is that of a prompt of the full length, among others of the mean length.

    Args:
        work: The model.
        ranks: The GPUs; bandwidth and FLOPS must be known.
        load: The requests.
        fit: Constants; by default the published calibration.

    """
    fit = fit or constants()
    running, answer = load.running, load.mean_answer
    prefill = burst = prefill_seconds(work, ranks, load.others_prompt, fit)
    if ranks.data > 1:
        burst = prefill_seconds(work, ranks, load.others_prompt, fit, together=True)
    # A run that ends begins with a burst, whose prompts replicas read together; a request meets those after its own.
    in_burst = running / load.requests if load.requests else 0.0
    later = (1 - in_burst) * prefill
    step, constant_part = step_seconds(work, ranks, running, load, fit)
    decode = answer / accepted_of(load) * step
    launch = fit.first_s * _host(ranks, fit) * (fit.dspark_first if _reads_twice(load) else 1.0)
    waiting = load.concurrency > running
    each = in_burst * burst + later
    turn = decode + (running - 1) * each + (each if waiting else max(launch, prefill))
    seconds = turn / running
    if load.requests:
        seconds += _drain_tokens(load) / answer * decode * constant_part / step / load.requests
    ttft = max(launch, prefill_seconds(work, ranks, load.own_prompt, fit))
    if running > 1:
        # A prompt that arrives among others waits for some of them, and each takes at least its launches.
        ttft += step + fit.first_wait * (running - 1) * max(prefill, fit.launch_share * launch)
    reading = ttft - (step if running > 1 else 0.0)
    if waiting:
        queued = _median_place(load, fit) * turn / running
        ttft, reading = ttft + queued, reading + queued * (1 - decode / turn)
    others = (running - 1) * (in_burst * burst / 2 + later) / answer
    return Speed(decode / answer + others, ttft, answer / seconds, running, others, reading)


def _reads_twice(load: ServingLoad) -> bool:
    """Return True if a drafter of its own reads each prompt too."""
    return load.draft_tokens > 0 and load.draft_method == "dspark"


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


def _median_place(load: ServingLoad, fit: Constants) -> float:
    """Return the number of requests the median one finds before it in the queue.

    How many run at once is known to some per cent only. A queue that is short beside that error hardly counts.
    """
    last = load.concurrency if load.requests is None else min(load.requests / 2, load.concurrency)
    place = max(0.0, last - load.running)
    return place and place**3 / (place**2 + (fit.capacity_error * load.running) ** 2)
