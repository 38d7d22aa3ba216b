"""Tries a checkpoint on one machine's GPUs and host memory together: llama.cpp, MLX and the simulator."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.catalog.engine_facts import engine_facts
from seatrial.memory import compute_footprint
from seatrial.memory.subject import model_bytes_of
from seatrial.memory.types import Parallelism
from seatrial.plan.candidate import Candidate, Trial
from seatrial.plan.capacity import Pools, llamacpp_pools, usable_gpu_bytes, visible_gpus
from seatrial.plan.llamacpp.offload import ALL_LAYERS, Offload, Split, split_layers
from seatrial.plan.llamacpp.reasons import memory_reasons, single_machine_reasons, split_reason
from seatrial.plan.load import load_of, work_of
from seatrial.plan.request import context_reason
from seatrial.plan.types import Plan, Verdict
from seatrial.plan.vendor.chat import chat_of
from seatrial.plan.vendor.limits import limits
from seatrial.plan.vendor.rules import Case, refusals
from seatrial.records import Reason
from seatrial.speed import HostSide, Ranks, predict_speed
from seatrial.speed.types import Prediction


@dataclass(frozen=True, slots=True)
class LlamacppTrial(Trial):
    """One split over GPUs and host, and if it runs."""

    refused: list[Reason]  # by which rules; empty if by none
    pools: Pools
    split: Split

    def plan(self) -> Plan:
        """Return the plan, with its reasons and prediction."""
        candidate, request, pools, split = self.candidate, self.candidate.request, self.pools, self.split
        engine, context = candidate.engine, request.context_for(candidate.model)
        capacity = pools.gpu_bytes + pools.host_bytes
        gpus = pools.gpus if split.gpu_layers else 0
        reasons = [*(self.refused or memory_reasons(candidate, split, pools))]
        reasons.append(context_reason(candidate.model, request, context))
        if gpus and self.runs:
            reasons.append(split_reason(split, gpus))
        reasons += single_machine_reasons(candidate)
        return Plan(
            verdict=self.verdict,
            model=candidate.model.id,
            checkpoint=candidate.checkpoint.id,
            engine=engine,
            engine_version_min=engine_facts(engine).versions.safe,
            hardware=request.hardware,
            nodes=1,
            gpus_per_node=gpus,
            parallelism=Parallelism(pipeline=max(1, gpus)),
            context_tokens=context,
            concurrency=request.concurrency,
            objective=request.objective,
            gpu_memory_fraction=None,
            gpu_layers=split.gpu_layers if engine == "llamacpp" else None,
            cpu_expert_layers=split.cpu_expert_layers if engine == "llamacpp" else None,
            footprint=split.footprint,
            capacity_bytes=max(capacity, split.footprint.total_bytes) if engine == "simulated" else capacity,
            shortfall_bytes=self.shortfall_bytes,
            prediction=_predict(candidate, split, pools) if self.runs and engine != "mlx" else None,
            recipe=None,
            smallest_change=None,
            reasons=tuple(reasons),
            chat=chat_of(engine, candidate.model, candidate.checkpoint, context),
            gpu_shares=split.gpu_shares,
        )


def try_offload(candidate: Candidate) -> LlamacppTrial:
    """Decide if it fits into GPU and host memory together, and which layers go to the GPUs.

    Args:
        candidate: What to serve with ``llamacpp``, ``mlx`` or ``simulated``.

    """
    request, hardware = candidate.request, candidate.request.hardware
    pools = llamacpp_pools(hardware, hardware.gpus)
    gpu, ranks = next(iter(hardware.gpus), None), Parallelism(tensor=request.tensor_parallel or 1)
    context = request.context_for(candidate.model)
    refused = refusals(Case(candidate.engine, candidate.model, candidate.checkpoint, gpu, ranks, context))
    split = _split(candidate, pools)
    verdict: Verdict = "refused" if refused else "does_not_fit" if split.shortfall_bytes else "fits"
    return LlamacppTrial(candidate, verdict, 0 if refused else split.shortfall_bytes, refused, pools, split)


def _split(candidate: Candidate, pools: Pools) -> Split:
    request = candidate.request
    if candidate.engine == "llamacpp":
        layers = int(model_bytes_of(candidate.checkpoint).config["num_hidden_layers"])
        gpus = request.hardware.gpus
        usable = [usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in visible_gpus(gpus)]
        return split_layers(Offload(candidate, layers, pools, usable), unified=any(gpu.unified for gpu in gpus))
    footprint = compute_footprint(
        candidate.checkpoint,
        engine=candidate.engine,
        context_tokens=request.context_for(candidate.model),
        concurrency=request.concurrency,
    )
    shortfall = max(0, footprint.total_bytes - pools.gpu_bytes - pools.host_bytes)
    return Split(0, 0, footprint, 0 if candidate.engine == "simulated" else shortfall)


def _predict(candidate: Candidate, split: Split, pools: Pools) -> Prediction:
    request, work = candidate.request, work_of(candidate.checkpoint)
    load = load_of(candidate, request.context_for(candidate.model), running_limit=request.concurrency)
    host, on_gpu = request.hardware.host, min(split.gpu_layers, work.layers)
    host_side = HostSide(
        dense_share=0.0 if split.gpu_layers == ALL_LAYERS else 1 - on_gpu / work.layers,
        expert_share=1 - max(0, on_gpu - split.cpu_expert_layers) / work.layers,
        threads=max(1, host.cores - 1) if host.cores else None,
        bandwidth_bytes_per_s=host.bandwidth_bytes_per_s,
    )
    ranks = None
    if request.hardware.gpus and split.gpu_layers:
        gpu = request.hardware.gpus[0]
        ranks = Ranks(pools.gpus, 1, 1, gpu.accelerator, gpu.bandwidth_bytes_per_s, gpu.bf16_flops)
    return predict_speed(work, load, ranks=ranks, host=host_side, engine="llamacpp")
