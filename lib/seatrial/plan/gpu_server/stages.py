"""The speed of pipeline stages: groups of requests follow one another through the machine."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from seatrial.hardware.types import Gpu
from seatrial.memory.types import Parallelism
from seatrial.plan.gpu_server.forecast import gpu_forecast
from seatrial.plan.vendor.limits import limits
from seatrial.records import Interval
from seatrial.speed import Prediction, ServingLoad, Work


def staged_forecast(  # noqa: PLR0913 -- everything a speed depends on
    work: Work, load: ServingLoad, gpu: Gpu, ranks: Parallelism, *, engine: str, nodes: int
) -> Prediction:
    """Prediction for several stages, which no published run has: cautious, and with a wider interval.

    Stages work on as many groups of requests at a time; a token passes all of them, one after another. In one
    machine they are taken to be no faster than tensor parallelism over the same GPUs.

    Args:
        work: What the model reads and computes.
        load: The requests.
        gpu: One of the equal GPUs.
        ranks: How the work is split.
        engine: Engine id.
        nodes: Machines.

    """
    groups = min(ranks.pipeline, load.concurrency)
    one = replace(
        load,
        concurrency=ceil(load.concurrency / groups),
        running_limit=max(1, load.running_limit // ranks.pipeline),
        requests=load.requests and max(load.requests // groups, ceil(load.concurrency / groups)),
    )
    # The one hand-over between machines is nothing beside the collectives that a network slows.
    found = gpu_forecast(work, one, gpu, replace(ranks, pipeline=1), engine=engine, nodes=1)
    rate = _times(found.decode_tokens_per_s, groups)
    how = f"That is one group of requests; {ranks.pipeline} pipeline stages work on {groups} at a time"
    if nodes == 1:
        whole = Parallelism(tensor=ranks.tensor * ranks.pipeline)
        together = gpu_forecast(work, load, gpu, whole, engine=engine, nodes=1)
        if found.tpot_s and together.tpot_s and found.tpot_s.expected < together.tpot_s.expected:
            found, rate = together, together.decode_tokens_per_s
            how = f"{ranks.pipeline} pipeline stages are taken to be no faster than tensor parallelism"
    return replace(
        found,
        decode_tokens_per_s=_wider(rate),
        tpot_s=_wider(found.tpot_s),
        ttft_s=_wider(found.ttft_s),
        basis=f"{found.basis} {how}; no published run has stages, hence the wider interval.",
    )


def _times(interval: Interval | None, count: int) -> Interval | None:
    return interval and Interval(interval.low * count, interval.expected * count, interval.high * count)


def _wider(interval: Interval | None) -> Interval | None:
    spread = limits().stage_spread
    return interval and Interval(interval.low / spread, interval.expected, interval.high * spread)
