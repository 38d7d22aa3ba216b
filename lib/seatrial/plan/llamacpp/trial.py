"""Tries a checkpoint on one machine's GPUs and host memory together: llama.cpp, MLX and the simulator."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.catalog.engine_facts import engine_facts
from seatrial.memory import compute_footprint
from seatrial.memory.model_bytes import model_bytes_of
from seatrial.memory.types import Parallelism
from seatrial.plan.candidate import Candidate, Trial
from seatrial.plan.capacity import Pools, describe_need, llamacpp_pools, usable_gpu_bytes, visible_gpus
from seatrial.plan.llamacpp.offload import ALL_LAYERS, Offload, Split, split_layers
from seatrial.plan.load import load_of, work_of
from seatrial.plan.request import context_reason
from seatrial.plan.types import Plan, Verdict
from seatrial.plan.vendor.chat import chat_of
from seatrial.plan.vendor.limits import limit_reason, limits
from seatrial.plan.vendor.rules import Case, refusals
from seatrial.records import Reason
from seatrial.speed import HostSide, Ranks, predict_speed
from seatrial.speed.types import Prediction
from seatrial.units import counted, format_gib


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
        reasons = [*(self.refused or _memory_reasons(candidate, split, pools))]
        reasons.append(context_reason(candidate.model, request, context))
        if gpus and self.runs and engine == "llamacpp":
            reasons.append(_split_reason(split, gpus))
        if request.nodes > 1:
            idle = f"{request.nodes - 1} of the {request.nodes} asked for would stay idle"
            source = "this kit starts it as one process on one machine"
            reasons.append(Reason(f"{engine} runs on one machine: {idle}.", "derived", source))
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
            prediction=_predict(candidate, split, pools) if self.runs else None,
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
    if candidate.engine == "simulated":
        return Split(0, 0, footprint, 0)
    return Split(ALL_LAYERS if pools.gpus else 0, 0, footprint, shortfall)


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


def _memory_reasons(candidate: Candidate, split: Split, pools: Pools) -> list[Reason]:
    """Compare need and capacity of GPUs and host."""
    if candidate.engine == "simulated":
        return [Reason("Simulated: nothing is loaded and every answer is made up.", "assumed", "this kit")]
    footprint, hardware, capacity = split.footprint, candidate.request.hardware, pools.gpu_bytes + pools.host_bytes
    gpus = pools.gpus if split.gpu_layers else 0
    need = describe_need(candidate.checkpoint, footprint, footprint.total_bytes, gpus)
    pieces = [f"{format_gib(pools.gpu_bytes)} on {counted(pools.gpus, 'GPU')}"] if pools.gpus else []
    if pools.host_known and not any(gpu.unified for gpu in hardware.gpus):
        pieces.append(f"{format_gib(pools.host_bytes)} of host memory")
    usable = " and ".join(pieces) or "no memory of known size"
    if split.shortfall_bytes:
        enough = bool(pools.gpus) and footprint.total_bytes <= capacity
        whole = " host memory, since layers go to the GPUs whole" if enough else ""
        text = f"{need} but {hardware.name} has {usable} usable: {format_gib(split.shortfall_bytes)} too little{whole}."
        return [Reason(text, "derived", footprint.source)]
    spare = f": {format_gib(capacity - footprint.total_bytes)} to spare" if pools.host_known else ""
    found = [Reason(f"{need}; {hardware.name} has {usable} usable{spare}.", "derived", footprint.source)]
    if not pools.host_known and footprint.host_bytes:
        text = (
            f"The host memory of {hardware.name} is not known and taken as ample ({format_gib(pools.host_bytes)}): "
            f"at least {format_gib(footprint.host_bytes)} must be free. Give --host-memory-gib to check."
        )
        found.append(limit_reason("host_memory", text))
    return found


def _split_reason(split: Split, gpus: int) -> Reason:
    """Explain which layers are on the GPUs and whose experts are not."""
    layers = "All layers" if split.gpu_layers == ALL_LAYERS else f"{split.gpu_layers} layers"
    text = f"{layers} are on {'the GPU' if gpus == 1 else 'the GPUs'}"
    if split.cpu_expert_layers:
        on_host = f"{min(split.gpu_layers, split.cpu_expert_layers)} of them in host memory"
        text += f", but the routed experts of {on_host} ({format_gib(split.footprint.host_bytes)})"
    return Reason(f"{text}.", "derived", "llama.cpp --gpu-layers and --n-cpu-moe")
