"""The speed a plan for SGLang or vLLM is expected to have."""

from __future__ import annotations

from seatrial.hardware.types import Gpu
from seatrial.memory.types import Parallelism
from seatrial.speed import Prediction, Ranks, ServingLoad, Work, predict_speed
from seatrial.speed.rate import compute_rate


def gpu_forecast(  # noqa: PLR0913 -- everything a speed depends on
    work: Work,
    load: ServingLoad,
    gpu: Gpu,
    parallelism: Parallelism,
    *,
    engine: str,
    nodes: int,
    prefill_together: bool = False,
) -> Prediction:
    """Prediction for SGLang or vLLM."""
    rate = compute_rate(gpu.accelerator, work.precision, gpu.bf16_flops, gpu.fp8_flops)
    ranks = Ranks(
        count=parallelism.tensor * parallelism.pipeline,
        nodes=nodes,
        data=parallelism.data,
        accelerator=gpu.accelerator,
        bandwidth_bytes_per_s=gpu.bandwidth_bytes_per_s,
        flops=rate.flops,
        flops_note=rate.note,
        architecture=gpu.compute_capability,
        prefill_together=prefill_together,
    )
    return predict_speed(work, load, ranks=ranks, engine=engine)
