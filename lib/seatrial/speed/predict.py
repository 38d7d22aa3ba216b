"""The expected speed of a plan, as intervals that say what they rest on."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from seatrial.records import Interval
from seatrial.speed.host import HostSide, split_speed
from seatrial.speed.roofline import CALIBRATION, Speed, gpu_speed
from seatrial.speed.types import Prediction
from seatrial.speed.work import Load, Ranks, Work
from seatrial.units import to_gb


@cache
def _calibration() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(CALIBRATION.read_text(encoding="utf-8"))
    return document


def predict_speed(
    work: Work,
    load: Load,
    *,
    ranks: Ranks | None = None,
    host: HostSide | None = None,
    engine: str = "sglang",
) -> Prediction:
    """Expected TTFT, TPOT and output tokens per second.

    Args:
        work: What the model reads and computes.
        load: The requests.
        ranks: The GPUs, None on a CPU alone.
        host: What lies in host memory, None where everything is on GPUs.
        engine: Whose speed this is; only SGLang's is calibrated on published runs.

    Returns:
        Intervals; each None where the machine's figures are not known, and then ``basis`` says so.

    """
    if host is not None:
        return _split(work, load, host, ranks)
    if ranks is None or ranks.bandwidth_bytes_per_s is None or ranks.flops is None:
        name = ranks.accelerator if ranks else None
        return _unknown(f"the memory bandwidth or the compute rate of {name or 'this GPU'} is not known")
    known = _calibration()["gpu"]
    speed = gpu_speed(work, ranks, load)
    calibrated = engine == "sglang" and ranks.accelerator in known["published"]
    spread = known["spread"] if calibrated else known["spread_unlike"]
    seen = (
        f"calibrated on {known['rows']} published SGLang runs, this GPU among them"
        if calibrated
        else f"calibrated on {known['rows']} published SGLang runs of other GPUs or another engine, hence the wide interval"
    )
    queue = (
        f" {load.concurrency - speed.running} of {load.concurrency} requests wait: {speed.running} run at once."
        if load.concurrency > speed.running
        else ""
    )
    tokens = speed.running * (1 + load.draft_tokens)
    basis = (
        f"A step reads {to_gb(work.step_bytes(tokens)):,.1f} GB of weights over {ranks.count} GPU"
        f"{'s' if ranks.count > 1 else ''}, plus fixed time for each layer; {seen}; "
        f"{_load(load)}.{queue}"
    )
    return _prediction(speed, spread, known["spread_first"] if calibrated else spread, basis)


def _split(work: Work, load: Load, host: HostSide, ranks: Ranks | None) -> Prediction:
    speed = split_speed(work, host, ranks, load)
    if speed is None:
        return _unknown(f"the memory bandwidth of {ranks.accelerator if ranks else 'this GPU'} is not known")
    on_host = work.dense_bytes * host.dense_share + work.expert_bytes * work.expert_share(1) * host.expert_share
    assumed = host.bandwidth_bytes_per_s is None and on_host > 0
    cpu = _calibration()["cpu"]
    paces = (
        "host memory bandwidth not known, assumed from the number of threads"
        if assumed
        else "host memory bandwidth known"
    )
    basis = (
        f"One token reads {to_gb(work.step_bytes(1)):,.2f} GB, of which {to_gb(on_host):,.2f} GB from host memory with "
        f"{_threads(host.threads)}; {paces}; not calibrated on this machine; {_load(load)}."
    )
    spread = cpu["spread"] if assumed else cpu["spread_bandwidth_known"]
    return _prediction(speed, spread, spread * 1.2, basis)


def _prediction(speed: Speed, spread: float, first_spread: float, basis: str) -> Prediction:
    return Prediction(
        decode_tokens_per_s=_around(speed.output_tokens_per_s, spread),
        tpot_s=_around(speed.tpot_s, spread),
        ttft_s=_around(speed.ttft_s, first_spread),
        basis=basis,
    )


def _around(value: float, spread: float) -> Interval:
    return Interval(low=value / spread, expected=value, high=value * spread)


def _load(load: Load) -> str:
    return (
        f"{load.prompt_tokens:,} prompt and {load.answer_tokens:,} answer tokens, "
        f"{load.concurrency} request{'s' if load.concurrency > 1 else ''} at once"
    )


def _threads(count: int | None) -> str:
    if count is None:
        return f"{_calibration()['cpu']['values']['threads_unknown']} threads (assumed)"
    return f"{count} thread{'s' if count > 1 else ''}"


def _unknown(why: str) -> Prediction:
    return Prediction(decode_tokens_per_s=None, tpot_s=None, ttft_s=None, basis=f"No prediction: {why}.")
