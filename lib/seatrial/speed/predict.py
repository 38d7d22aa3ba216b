"""Predicts the speed of a plan, as intervals that name their basis."""

from __future__ import annotations

from dataclasses import replace

from seatrial.records import Interval
from seatrial.speed.acceptance import Acceptance, find_acceptances
from seatrial.speed.host import HostSide, assumed_host, split_speed
from seatrial.speed.roofline import Speed, accepted_of, calibration, gpu_speed
from seatrial.speed.types import Prediction
from seatrial.speed.work import Ranks, ServingLoad, Work
from seatrial.units import counted, to_gb


def predict_speed(
    work: Work,
    load: ServingLoad,
    *,
    ranks: Ranks | None = None,
    host: HostSide | None = None,
    engine: str = "sglang",
) -> Prediction:
    """Return the expected TTFT, TPOT and output tokens per second.

    Args:
        work: Bytes the model reads and operations it computes.
        load: The requests.
        ranks: The GPUs, None if there is only a CPU.
        host: Part of the model in host memory, None if everything is on GPUs.
        engine: Engine id; only SGLang's speed is calibrated on published runs.

    Returns:
        Intervals; all None if the machine's figures are not known, and then ``basis`` says so.

    """
    if host is not None:
        return _split(work, load, host, ranks, engine)
    if ranks is None:
        return _unknown("neither GPUs nor a host that computes were given")
    if ranks.bandwidth_bytes_per_s is None:
        return _unknown(f"the memory bandwidth of {_named(ranks)} is not known")
    if ranks.flops is None:
        return _unknown(f"the compute rate of {_named(ranks)} is not known ({ranks.flops_note or 'no figure given'})")
    return _on_gpus(work, load, ranks, engine)


def _on_gpus(work: Work, load: ServingLoad, ranks: Ranks, engine: str) -> Prediction:
    known = calibration()["gpu"]
    speed = gpu_speed(work, ranks, load)
    calibrated = (
        engine == "sglang"
        and ranks.architecture in known["architectures"]
        and not ranks.flops_note
        and (ranks.nodes == 1 or ranks.accelerator in known["linked"])
    )
    tokens = speed.running * (1 + load.draft_tokens)
    reading = (
        f"A step reads {to_gb(work.step_bytes(tokens)):,.1f} GB of weights over "
        f"{counted(ranks.count, 'GPU')}, plus fixed time for each layer; {_calibration(ranks, calibrated=calibrated)}; {_load(load)}."
    )
    rate = f"For this GPU {ranks.flops_note}." if ranks.flops_note else ""
    measured = f"{_gpu_bandwidth(ranks)}." if ranks.measured_at else ""
    basis = " ".join(filter(None, (reading, measured, _queue(load, speed), _drafts(work, ranks, load), rate)))
    spread = known["spread"] if calibrated else known["spread_unlike"]
    return _prediction(speed, spread, spread, basis)


def _calibration(ranks: Ranks, *, calibrated: bool) -> str:
    known = calibration()["gpu"]
    runs = f"calibrated on {known['rows']} published SGLang runs"
    if not calibrated:
        return f"{runs} of other GPUs, another engine or one machine, hence the wide interval"
    if ranks.accelerator in known["published"]:
        return f"{runs}, this GPU among them"
    return f"{runs} of its generation, which carried to GPUs left out of the fit"


def _queue(load: ServingLoad, speed: Speed) -> str:
    waiting = load.concurrency - speed.running
    return f"{waiting} of {load.concurrency} requests wait: {speed.running} run at once." if waiting > 0 else ""


def _drafts(work: Work, ranks: Ranks, load: ServingLoad) -> str:
    """Return what a step yields on random text, and the speed on text that people write."""
    if not load.draft_tokens:
        return ""
    text = f"With {counted(load.draft_tokens, 'drafted token')} a step yields {accepted_of(load):.2f} on random text, as in those runs"
    rates = []
    for row in find_acceptances(load.draft_method, workload="code", model=load.draft_model):
        accepted = row.tokens(load.draft_tokens)
        rate = gpu_speed(work, ranks, replace(load, accepted=accepted)).output_tokens_per_s
        thinking = f" with thinking {row.thinking}" if row.thinking else ""
        rates.append(f"{accepted:.2f}{thinking}{_of_another(row, load)}: about {rate:,.0f} tokens/s")
    return f"{text}; on code {', '.join(rates)}." if rates else f"{text}."


def _of_another(row: Acceptance, load: ServingLoad) -> str:
    """Name the release a row was measured with if it is of another model."""
    return "" if row.model in {load.draft_model, None} else f" (measured with {row.measured_with.partition(',')[0]})"


def _split_drafts(load: ServingLoad) -> str:
    """Return what a step of llama.cpp yields, by the kind of text."""
    if not load.draft_tokens:
        return ""
    rows = find_acceptances(load.draft_method, model=load.draft_model, engine="llamacpp")
    rates = " and ".join(
        f"{row.tokens(load.draft_tokens):.2f} on {row.workload}{_of_another(row, load)}" for row in rows
    )
    return f"With {counted(load.draft_tokens, 'drafted token')} a step yields {rates}, as published for llama.cpp; the first counts here."


def _named(ranks: Ranks | None) -> str:
    return (ranks and ranks.accelerator) or "this GPU"


def _split(work: Work, load: ServingLoad, host: HostSide, ranks: Ranks | None, engine: str) -> Prediction:
    speed = split_speed(work, host, ranks, load)
    if speed is None:
        return _unknown(f"the memory bandwidth of {_named(ranks)} is not known")
    on_host = host.step_bytes(work, 1)
    threads = counted(host.threads or assumed_host(host.memory_bytes).threads, "thread")
    from_host = f", of which {to_gb(on_host):,.2f} GB from host memory with {threads}" if on_host else ""
    other_engine = "" if engine == "llamacpp" else f" with llama.cpp, whose figures count for {engine} too"
    parts = (
        f"One token reads {to_gb(work.step_bytes(1)):,.2f} GB{from_host}",
        _host_bandwidth(host) if on_host else "",
        _gpu_bandwidth(ranks),
        f"calibrated on published runs of other machines{other_engine}",
        _load(load),
    )
    cpu = calibration()["cpu"]
    only_measured = host.decode_bytes_per_s and host.has_all
    spread = cpu["spread_measured"] if only_measured else cpu["spread"]
    basis = " ".join(filter(None, ("; ".join(filter(None, parts)) + ".", _split_drafts(load))))
    return _prediction(speed, spread, spread * cpu["spread_first"], basis)


def _host_bandwidth(host: HostSide) -> str:
    """Explain where the speed of the host's memory comes from."""
    day = host.measured_at[:10] if host.measured_at else ""
    if host.decode_bytes_per_s:
        return f"llama.cpp's threads multiply {to_gb(host.decode_bytes_per_s):,.1f} GB/s of weights here, measured on {day}"
    if host.bandwidth_bytes_per_s:
        known = f"host memory is read with {to_gb(host.bandwidth_bytes_per_s):,.1f} GB/s"
        return f"{known}, measured here on {day}" if day else f"{known}, by its data sheet"
    rate = to_gb(assumed_host(host.memory_bytes).memory_bytes_per_s)
    return f"host memory bandwidth not known: {rate:,.0f} GB/s are assumed for its size, seatrial detect --measure reads it"


def _gpu_bandwidth(ranks: Ranks | None) -> str:
    if ranks is None or ranks.measured_at is None:
        return ""
    return f"GPU memory bandwidth measured here on {ranks.measured_at[:10]}"


def _prediction(speed: Speed, spread: float, first_spread: float, basis: str) -> Prediction:
    def around(value: float, spread: float) -> Interval:
        return Interval(low=value / spread, expected=value, high=value * spread)

    rate, tpot = around(speed.output_tokens_per_s, spread), around(speed.tpot_s, spread)
    first = around(speed.ttft_s, first_spread)
    return Prediction(rate, tpot, first, basis, speed.tpot_prefill_s, speed.ttft_prefill_s)


def _load(load: ServingLoad) -> str:
    upto = "up to " if load.random_lengths else ""
    text = (
        f"{upto}{load.prompt_tokens:,} prompt and {load.answer_tokens:,} answer tokens, "
        f"{counted(load.concurrency, 'request')} at once"
    )
    if not load.requests:
        return text
    drawn = ", lengths drawn evenly" if load.random_lengths else ""
    return f"{text}, {load.requests:,} in all{drawn}; the time to first token is the median of prompts of full length"


def _unknown(why: str) -> Prediction:
    return Prediction(None, None, None, basis=f"No prediction: {why}.")
