"""Tries a checkpoint on one machine's GPUs and host memory together: llama.cpp, MLX and the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.catalog.engine_facts import engine_facts
from seatrial.memory import compute_footprint
from seatrial.memory.types import Parallelism
from seatrial.plan.candidate import Candidate, Trial
from seatrial.plan.capacity import Pools, llamacpp_pools
from seatrial.plan.llamacpp.drafting import drafter_for
from seatrial.plan.llamacpp.offers import offers
from seatrial.plan.llamacpp.offload import ALL_LAYERS, Split
from seatrial.plan.llamacpp.placement import Placed, place
from seatrial.plan.llamacpp.reasons import drafter_reasons, limit_reasons, memory_reasons, split_reason
from seatrial.plan.llamacpp.tensor_parallel import tensor_problems
from seatrial.plan.load import load_of, work_of
from seatrial.plan.request import context_reason
from seatrial.plan.types import Plan, Verdict
from seatrial.plan.vendor.chat import chat_of
from seatrial.plan.vendor.rules import Case, refusals
from seatrial.records import Reason
from seatrial.speed import HostSide, Ranks, predict_speed
from seatrial.speed.rate import peak_bandwidth
from seatrial.speed.types import Prediction


@dataclass(frozen=True, slots=True)
class LlamacppTrial(Trial):
    """One split over GPUs and host, and if it runs."""

    refused: list[Reason]  # by which rules; empty if by none
    placed: Placed

    @property
    def ranks(self) -> int:
        """GPUs used."""
        return self.placed.pools.gpus

    def plan(self) -> Plan:
        """Return the plan, with its reasons and prediction."""
        candidate, request, placed = self.candidate, self.candidate.request, self.placed
        split, capacity, gpus = placed.split, placed.capacity_bytes, self._gpus
        engine, context = candidate.engine, request.context_for(candidate.model)
        return Plan(
            verdict=self.verdict,
            model=candidate.model.id,
            architecture=candidate.model.architecture,
            checkpoint=candidate.checkpoint.id,
            engine=engine,
            engine_version_min=_oldest_version(engine, placed),
            hardware=request.hardware,
            nodes=1,
            gpus_per_node=gpus,
            parallelism=Parallelism(tensor=split.tensor, pipeline=max(1, gpus // split.tensor)),
            context_tokens=context,
            concurrency=request.concurrency,
            objective=request.objective,
            gpu_memory_fraction=None,
            gpu_layers=split.gpu_layers if engine == "llamacpp" else None,
            cpu_expert_layers=split.cpu_expert_layers if engine == "llamacpp" else None,
            footprint=split.footprint,
            capacity_bytes=max(capacity, split.footprint.total_bytes) if engine == "simulated" else capacity,
            shortfall_bytes=self.shortfall_bytes,
            prediction=_predict(candidate, placed) if self.runs else None,
            recipe=None,
            smallest_change=None,
            reasons=tuple(self._reasons(context)),
            chat=chat_of(engine, candidate.model, candidate.checkpoint, context),
            gpu_shares=split.gpu_shares,
            drafter=placed.drafter.id if placed.drafter else None,
            draft_tokens=placed.draft_tokens or None,
        )

    def offers(self) -> Iterator[Reason]:
        """Yield what would make it faster by published runs."""
        if self.runs and self.candidate.engine == "llamacpp":
            yield from offers(self.candidate, self.placed)

    @property
    def _gpus(self) -> int:
        """GPUs that have layers."""
        return self.placed.pools.gpus if self.placed.split.gpu_layers else 0

    def _reasons(self, context: int) -> Iterator[Reason]:
        candidate, placed, request = self.candidate, self.placed, self.candidate.request
        yield from self.refused or memory_reasons(candidate, placed)
        if not self.refused and candidate.engine == "llamacpp":
            yield from limit_reasons(candidate, placed)
        yield context_reason(candidate.model, request, context)
        if self.runs and candidate.engine == "llamacpp":
            if self._gpus:
                yield split_reason(placed.split, self._gpus)
            yield from drafter_reasons(placed)
        if request.nodes > 1:
            idle = f"{request.nodes - 1} of the {request.nodes} asked for would stay idle"
            source = "this kit starts it as one process on one machine"
            yield Reason(f"{candidate.engine} runs on one machine: {idle}.", "derived", source)


def _oldest_version(engine: str, placed: Placed) -> str | None:
    """Return the oldest version that runs this safely: a drafter and a tensor split need newer ones."""
    facts = engine_facts(engine)
    if facts.tensor_split and placed.split.tensor > 1:
        return facts.tensor_split.since
    return facts.drafting.since if facts.drafting and placed.drafter else facts.versions.safe


def try_offload(candidate: Candidate) -> LlamacppTrial:
    """Decide if it fits into GPU and host memory together, and which layers go to the GPUs.

    Args:
        candidate: What to serve with ``llamacpp``, ``mlx`` or ``simulated``.

    """
    request, hardware = candidate.request, candidate.request.hardware
    gpu, ranks = next(iter(hardware.gpus), None), request.tensor_parallel or 1
    context = request.context_for(candidate.model)
    case = Case(candidate.engine, candidate.model, candidate.checkpoint, gpu, Parallelism(tensor=ranks), context)
    refused = refusals(case)
    pools = llamacpp_pools(hardware, hardware.gpus)
    drafter = drafter_for(candidate)
    refused += drafter.problems if drafter else ()
    row = drafter.checkpoint if drafter and not drafter.problems else None
    if candidate.engine != "llamacpp":
        return _trial(candidate, refused, Placed(_undivided(candidate, pools), pools, row, request.draft_tokens or 0))
    if ranks > 1:
        refused += tensor_problems(candidate, ranks)
    return _trial(candidate, refused, place(candidate, pools, row, tensor=ranks > 1 and not refused))


def _trial(candidate: Candidate, refused: list[Reason], placed: Placed) -> LlamacppTrial:
    lacking = placed.split.shortfall_bytes
    verdict: Verdict = "refused" if refused else "does_not_fit" if lacking else "fits"
    return LlamacppTrial(candidate, verdict, 0 if refused else lacking, refused, placed)


def _undivided(candidate: Candidate, pools: Pools) -> Split:
    """Return all of it in one memory, for MLX and the simulator."""
    request = candidate.request
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


def _predict(candidate: Candidate, placed: Placed) -> Prediction:
    request, split, work = candidate.request, placed.split, work_of(candidate.checkpoint)
    context = request.context_for(candidate.model)
    # No run tells how many tokens MLX accepts: its prediction is without a draft, and the plan says so.
    drafted = placed.draft_tokens if candidate.engine == "llamacpp" else 0
    load = load_of(candidate, context, running_limit=request.concurrency, draft_tokens=drafted, draft_method="dspark")
    host, on_gpu = request.hardware.host, min(split.gpu_layers, work.layers)
    host_side = HostSide(
        dense_share=0.0 if split.gpu_layers == ALL_LAYERS else 1 - on_gpu / work.layers,
        expert_share=1 - max(0, on_gpu - split.cpu_expert_layers) / work.layers,
        threads=host.llamacpp_threads,
        bandwidth_bytes_per_s=host.bandwidth_bytes_per_s,
        memory_bytes=host.usable_memory_bytes or placed.pools.host_bytes,
        decode_bytes_per_s=host.decode_bytes_per_s,
        prompt_flops=host.prompt_flops,
        measured_at=host.bandwidth_measured_at,
        tensor_split=split.tensor > 1,
    )
    ranks = None
    if request.hardware.gpus and split.gpu_layers:
        gpu = request.hardware.gpus[0]
        bandwidth, day = peak_bandwidth(gpu.bandwidth_bytes_per_s, gpu.bandwidth_measured_at), gpu.bandwidth_measured_at
        ranks = Ranks(placed.pools.gpus, 1, 1, gpu.accelerator, bandwidth, gpu.bf16_flops, measured_at=day)
    return predict_speed(work, load, ranks=ranks, host=host_side, engine=candidate.engine)
