"""A plan for llama.cpp, MLX or the simulator: one machine, GPU and host memory together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seatrial.memory import compute_footprint
from seatrial.memory.subject import model_bytes_of
from seatrial.memory.types import Parallelism
from seatrial.plan.capacity import Pools, llamacpp_pools, seen_gpus, usable_gpu_bytes
from seatrial.plan.llamacpp.forecast import llamacpp_forecast
from seatrial.plan.llamacpp.offload import Placing, Split, split_layers
from seatrial.plan.llamacpp.reasons import idle_reasons, llamacpp_reasons
from seatrial.plan.load import load_of, work_of
from seatrial.plan.request import Request
from seatrial.plan.trial import Candidate, Outcome, planned
from seatrial.plan.types import Plan, Verdict
from seatrial.plan.vendor.limits import limits
from seatrial.plan.vendor.rules import Case, refusals
from seatrial.records import Reason
from seatrial.speed.types import Prediction


@dataclass(frozen=True, slots=True)
class WeighedSplit:
    """One split over GPUs and host, and whether it runs.

    Attributes:
        candidate: What is served.
        refused: Rules that refuse it; empty where none does.
        pools: Memory there is.
        split: Which layers go where, and the bytes that takes.

    """

    candidate: Candidate
    refused: list[Reason]
    pools: Pools
    split: Split

    @property
    def verdict(self) -> Verdict:
        """What the rules and the memory say."""
        return "refused" if self.refused else "does_not_fit" if self.split.shortfall_bytes else "fits"

    @property
    def runs(self) -> bool:
        """Whether the verdict says it runs."""
        return self.verdict == "fits"

    @property
    def shortfall_bytes(self) -> int:
        """Bytes too few; what is refused has none."""
        return 0 if self.refused else self.split.shortfall_bytes

    def with_load(self, request: Request) -> WeighedSplit:
        """The same for a request that differs in the load of the prediction alone."""
        return replace(self, candidate=replace(self.candidate, request=request))

    def plan(self) -> Plan:
        """The plan, with its reasons and prediction."""
        candidate, pools, split = self.candidate, self.pools, self.split
        engine, request = candidate.engine, candidate.request
        capacity = pools.gpu_bytes + pools.host_bytes
        if engine == "simulated":
            capacity = max(capacity, split.footprint.total_bytes)
        on_gpus = pools.gpus if split.gpu_layers else 0
        reasons = self.refused or llamacpp_reasons(engine, candidate.checkpoint, request, split, pools, capacity)
        plan = planned(
            candidate,
            Outcome(
                verdict=self.verdict,
                context_tokens=candidate.request.context_for(candidate.model),
                footprint=split.footprint,
                capacity_bytes=capacity,
                shortfall_bytes=self.shortfall_bytes,
                reasons=reasons + idle_reasons(engine, request),
                parallelism=Parallelism(pipeline=max(1, on_gpus)),
                nodes=1,
                gpus_per_node=on_gpus,
                prediction=_forecast(candidate, split, pools) if self.runs and engine != "mlx" else None,
                gpu_layers=split.gpu_layers if engine == "llamacpp" else None,
                cpu_expert_layers=split.cpu_expert_layers if engine == "llamacpp" else None,
            ),
        )
        return replace(plan, gpu_shares=split.gpu_shares)


def weigh_workstation(candidate: Candidate) -> WeighedSplit:
    """Whether it fits into GPU and host memory together, and which layers go where.

    Args:
        candidate: What to serve with ``llamacpp``, ``mlx`` or ``simulated``.

    """
    hardware = candidate.request.hardware
    pools = llamacpp_pools(hardware, hardware.gpus)
    return WeighedSplit(candidate, _refusals(candidate), pools, _split(candidate, pools))


def _refusals(candidate: Candidate) -> list[Reason]:
    request = candidate.request
    gpu = request.hardware.gpus[0] if request.hardware.gpus else None
    ranks = Parallelism(tensor=request.tensor_parallel or 1)
    return refusals(
        Case(
            candidate.engine,
            candidate.model,
            candidate.checkpoint,
            gpu,
            ranks,
            candidate.request.context_for(candidate.model),
        )
    )


def _split(candidate: Candidate, pools: Pools) -> Split:
    context, concurrency = candidate.request.context_for(candidate.model), candidate.request.concurrency
    if candidate.engine == "llamacpp":
        layers = int(model_bytes_of(candidate.checkpoint).config["num_hidden_layers"])
        gpus = candidate.request.hardware.gpus
        unified = any(gpu.unified for gpu in gpus)
        rooms = [usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in seen_gpus(gpus)]
        placing = Placing(candidate.checkpoint, layers, pools, rooms, context, concurrency)
        return split_layers(placing, unified=unified)
    footprint = compute_footprint(
        candidate.checkpoint, engine=candidate.engine, context_tokens=context, concurrency=concurrency
    )
    room = pools.gpu_bytes + pools.host_bytes
    return Split(0, 0, footprint, 0 if candidate.engine == "simulated" else max(0, footprint.total_bytes - room))


def _forecast(candidate: Candidate, split: Split, pools: Pools) -> Prediction:
    model, request = candidate.model, candidate.request
    load = load_of(
        model,
        candidate.engine,
        candidate.request.context_for(candidate.model),
        request,
        running_limit=request.concurrency,
    )
    work = work_of(candidate.checkpoint)
    return llamacpp_forecast(work, load, request.hardware, split, pools.gpus)
