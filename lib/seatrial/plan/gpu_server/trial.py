"""Tries layouts over equal GPUs for SGLang or vLLM, and makes the plan of the one that is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.catalog.engine_facts import engine_facts
from seatrial.memory.types import Parallelism
from seatrial.plan.candidate import Candidate, Trial
from seatrial.plan.gpu_server.admission import admit_requests, waiting_reasons
from seatrial.plan.gpu_server.kv_capacity import KvCapacity, LayoutMemory, fraction_needed, layout_memory
from seatrial.plan.gpu_server.kv_pool import A2A_FLAG, DELAYER_FLAG
from seatrial.plan.gpu_server.layouts import Layout, layouts, verified_instead
from seatrial.plan.gpu_server.nearest_recipe import nearest_recipe
from seatrial.plan.gpu_server.reasons import (
    cell_reason,
    fraction_reason,
    memory_reason,
    overdrawn_reasons,
    run_reasons,
    tables_reason,
    uncertain_reason,
    unchecked_reason,
)
from seatrial.plan.load import work_of
from seatrial.plan.request import context_reason
from seatrial.plan.types import Plan, Verdict
from seatrial.plan.vendor.chat import chat_of
from seatrial.plan.vendor.rules import Case, refusals, refused_anyhow
from seatrial.records import Reason
from seatrial.speed import Prediction, Ranks, ServingLoad, predict_speed
from seatrial.speed.rate import compute_rate, peak_bandwidth


@dataclass(frozen=True, slots=True)
class GpuServerTrial(Trial):
    """One layout, and if it runs."""

    memory: LayoutMemory
    least: KvCapacity  # with one request; how many fit is computed for a plan only
    refused: list[Reason]  # by which rules; empty if by none

    @property
    def ranks(self) -> int:
        """GPUs used over all machines."""
        return self.least.ranks

    @property
    def suits_objective(self) -> bool:
        """True if the recipe that it follows is the one for the objective."""
        cell = self.memory.layout.cell
        return cell is not None and cell.objective == self.candidate.request.objective

    def plan(self) -> Plan:
        """Return the plan, with its reasons and prediction."""
        candidate, request, memory, layout = self.candidate, self.candidate.request, self.memory, self.memory.layout
        capacity = memory.full_capacity(self.least)
        recipe = layout.cell.to_recipe() if layout.cell else nearest_recipe(candidate, layout)
        given = layout.cell.memory_fraction if layout.cell else capacity.fraction
        context = context_reason(candidate.model, request, memory.context_tokens)
        admission, fraction_min = None, None
        sizes = [uncertain_reason(candidate, capacity)] if candidate.unchecked else []
        reasons = [*(self.refused or sizes or [memory_reason(candidate, capacity, layout.nodes)]), context]
        if self.runs:
            admission = admit_requests(candidate, memory, capacity)
            fraction_min = fraction_needed(candidate.engine, capacity.footprint, request.gpus[0])
            reasons[1:1] = waiting_reasons(admission)
            if layout.tables_on_host:
                reasons.insert(1, tables_reason(capacity))
            if layout.cell:
                reasons.insert(
                    0, cell_reason(layout.cell, memory.context_tokens, verified_instead(candidate, layout.cell))
                )
                reasons += overdrawn_reasons(layout.cell, capacity, request.gpus[0])
                reasons += run_reasons(layout.cell)
            if fraction_min is not None:
                reasons.append(fraction_reason(candidate.engine, capacity, fraction_min, given))
        return Plan(
            verdict=self.verdict,
            model=candidate.model.id,
            architecture=candidate.model.architecture,
            checkpoint=candidate.checkpoint.id,
            engine=candidate.engine,
            engine_version_min=engine_facts(candidate.engine).versions.safe,
            hardware=request.hardware,
            nodes=layout.nodes,
            gpus_per_node=layout.gpus_per_node,
            parallelism=layout.parallelism,
            context_tokens=memory.context_tokens,
            concurrency=request.concurrency,
            objective=request.objective,
            gpu_memory_fraction=given,
            gpu_layers=None,
            cpu_expert_layers=None,
            footprint=capacity.footprint,
            capacity_bytes=capacity.capacity_bytes,
            shortfall_bytes=self.shortfall_bytes,
            prediction=_predict(candidate, layout, admission.load) if admission is not None else None,
            recipe=recipe,
            smallest_change=None,
            reasons=tuple(reasons),
            chat=chat_of(
                candidate.engine,
                candidate.model,
                candidate.checkpoint,
                memory.context_tokens,
                recipe,
            ),
            gpu_memory_fraction_min=fraction_min,
            gpu_memory_fraction_used=capacity.fraction if request.gpus else None,
            running_requests=admission.load.running if admission is not None else None,
            running_requests_full=admission.full_contexts if admission is not None else None,
        )


def best_layout(candidate: Candidate) -> GpuServerTrial:
    """Return the first layout that runs, else the one that says most about why none does.

    Args:
        candidate: What to serve with ``sglang`` or ``vllm``.

    """
    trials = try_layouts(candidate)
    best = next(trials)
    for trial in trials:
        if best.runs:
            break
        best = trial if trial.runs else _more_telling(best, trial)
    return best


def try_layouts(candidate: Candidate) -> Iterator[GpuServerTrial]:
    """Yield layouts in order of preference, whether they run or not; what a recipe runs already is not tried again.

    If no split over so many GPUs has the memory, fewer GPUs are not tried; if one is not refused, no fewer machines.
    What is refused in every split is tried once.
    """
    run_by_recipe: set[tuple[int, int, Parallelism]] = set()
    counts, fitted, machines, ended = (0, 0), True, 1, False
    for layout in layouts(candidate):
        gpus = (layout.nodes, layout.gpus_per_node)
        if layout.cell is None:
            ended = ended or (gpus != counts and layout.nodes >= machines and not fitted)
            if ended or layout.nodes < machines:
                continue
            fitted = (fitted and gpus == counts) or (*gpus, layout.parallelism) in run_by_recipe
            counts = gpus
            if (*gpus, layout.parallelism) in run_by_recipe:
                continue
        trial = _try(candidate, layout)
        if layout.cell and trial.runs:
            run_by_recipe.add((*gpus, layout.parallelism))
        if not trial.refused:
            machines = max(machines, layout.nodes)
        fitted = fitted or not trial.shortfall_bytes
        ended = ended or bool(trial.refused and candidate.unchecked and not layout.cell)
        yield trial
        if trial.refused and refused_anyhow(_case(candidate, layout, trial.memory.context_tokens)):
            return


def _try(candidate: Candidate, layout: Layout) -> GpuServerTrial:
    context = candidate.request.context_for(candidate.model, layout.cell.context_limit if layout.cell else None)
    case = _case(candidate, layout, context)
    refused, unchecked = refusals(case), candidate.unchecked
    if not refused and unchecked and not layout.cell:
        refused = [unchecked_reason(candidate, layout)]
    # Ranks that cannot be formed have no footprint of their own.
    memory = layout_memory(candidate, layout, context, None if refused else layout.parallelism)
    least = memory.least_capacity()
    shortfall = 0 if refused or unchecked else least.shortfall_bytes
    if not refused and not shortfall:
        refused = refusals(case, late=True)
    verdict: Verdict = "verified" if layout.cell is not None and layout.cell.verified else "fits"
    if refused:
        verdict = "refused"
    elif shortfall:
        verdict = "does_not_fit"
    return GpuServerTrial(candidate, verdict, shortfall, memory, least, refused)


def _case(candidate: Candidate, layout: Layout, context: int) -> Case:
    gpus = candidate.request.gpus
    gpu = gpus[0] if gpus else None
    followed = layout.cell is not None
    return Case(candidate.engine, candidate.model, candidate.checkpoint, gpu, layout.parallelism, context, followed)


def _more_telling(first: GpuServerTrial, second: GpuServerTrial) -> GpuServerTrial:
    """Return the one of two layouts that do not run which says more about why."""
    if first.verdict == "refused" and second.verdict == "does_not_fit":
        # The first was asked for by name, or would have the memory: its refusal is then the better explanation.
        asked = first.candidate.request.tensor_parallel is not None
        return first if asked or not first.least.shortfall_bytes else second
    if first.verdict == second.verdict == "does_not_fit":
        return min(first, second, key=lambda trial: trial.shortfall_bytes)
    return first


def _predict(candidate: Candidate, layout: Layout, load: ServingLoad) -> Prediction:
    if candidate.architecture.unpredicted:
        return Prediction(None, None, None, f"No speed is predicted: {candidate.architecture.unpredicted}.")
    gpu, work = candidate.request.gpus[0], work_of(candidate.checkpoint)
    rate = compute_rate(gpu.accelerator, work.precision, gpu.bf16_flops, gpu.fp8_flops)
    spread = layout.parallelism.expert > 1
    ranks = Ranks(
        count=layout.parallelism.tensor,
        nodes=layout.nodes,
        data=layout.parallelism.data,
        accelerator=gpu.accelerator,
        bandwidth_bytes_per_s=peak_bandwidth(gpu.bandwidth_bytes_per_s, gpu.bandwidth_measured_at),
        measured_at=gpu.bandwidth_measured_at,
        flops=rate.flops,
        flops_note=rate.note,
        architecture=gpu.compute_capability,
        prefill_together=DELAYER_FLAG in layout.flags,
        # SGLang spreads experts with DeepEP if the recipe names nothing else.
        deepep=candidate.engine == "sglang" and spread and layout.flags.get(A2A_FLAG, "deepep") == "deepep",
    )
    return predict_speed(work, load, ranks=ranks, engine=candidate.engine)
