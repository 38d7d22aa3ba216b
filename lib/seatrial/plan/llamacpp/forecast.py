"""The speed a plan for llama.cpp is expected to have."""

from __future__ import annotations

from seatrial.hardware.types import Hardware
from seatrial.plan.llamacpp.offload import ALL_LAYERS, Split
from seatrial.speed import HostSide, Prediction, Ranks, ServingLoad, Work, predict_speed


def llamacpp_forecast(work: Work, load: ServingLoad, hardware: Hardware, split: Split, gpus: int) -> Prediction:
    """Prediction for llama.cpp with its layers split as planned."""
    layers = work.layers
    on_gpu = min(split.gpu_layers, layers)
    dense_share = 0.0 if split.gpu_layers == ALL_LAYERS else 1 - on_gpu / layers
    expert_share = 1 - max(0, on_gpu - split.cpu_expert_layers) / layers
    cores = hardware.host.cores
    host = HostSide(
        dense_share=dense_share,
        expert_share=expert_share,
        threads=max(1, cores - 1) if cores else None,
        bandwidth_bytes_per_s=hardware.host.bandwidth_bytes_per_s,
    )
    gpu = hardware.gpus[0] if hardware.gpus and split.gpu_layers else None
    ranks = Ranks(gpus, 1, 1, gpu.accelerator, gpu.bandwidth_bytes_per_s, gpu.bf16_flops) if gpu is not None else None
    return predict_speed(work, load, ranks=ranks, host=host, engine="llamacpp")
