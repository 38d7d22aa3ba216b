"""Memory over context length: need of each precision, usable memory, and the largest context that fits."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.catalog import find_checkpoint, find_model
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.plan.fits import CONTEXTS, Fit, available_bytes, checkpoint_plans, fits_on
from seatrial.plan.request import Request
from seatrial.plan.types import Plan
from seatrial.units import GIB, format_gib
from seatrial.view.chart.chart import Chart
from seatrial.view.chart.data import Highlight, Reference, Series
from seatrial.view.tables.fits import describe_largest_context
from seatrial.view.tables.plans import needs_unknown_host

_MOST = 6  # lines a reader can tell apart


def fit_chart(hardware: str = "auto", model: str = "flash", *, concurrency: int = 1) -> Chart:
    """Return the memory needed against context, for the checkpoints of a model that one engine serves on a machine.

    A plan for this machine chooses the engine. Each number is the planner's own.

    Args:
        hardware: ``auto``, or a named machine such as ``h200x4``.
        model: ``flash`` or ``pro``.
        concurrency: Requests at once.

    Raises:
        UnknownNameError: If there is no such machine or model.
        UsageError: If no machine has such a number.

    """
    request = Request(detect_hardware(hardware), concurrency=concurrency)
    engine = make_plan(model, hardware=request.hardware, concurrency=concurrency).engine
    every = [fit for fit in fits_on(request, model) if fit.plan.engine == engine and fit.plan.verdict != "refused"]
    fits = _one_of_each(every)
    highlights = tuple(_highlight(fit.at_largest, place) for place, fit in enumerate(fits) if fit.at_largest)
    plans = [plan for plan in (fit.at_largest or fit.plan for fit in fits) if plan.capacity_bytes]
    per_gpu = any(_per_gpu(plan) for plan in plans)
    requests = f"{request.concurrency:,} requests at once" if request.concurrency > 1 else "One request"
    served_by = f" with {engine}" if fits else ""
    return Chart(
        title=f"On {request.hardware.name} {_finding(fits, model)}",
        subtitle=f"{requests}{served_by}. A ring marks the largest context that fits; a line ends where requests would wait",
        x_label="Context of each request (tokens)",
        y_label="Memory on the fullest GPU (GiB)" if per_gpu else "Memory, host and GPUs (GiB)",
        series=tuple(_line(fit, request) for fit in fits),
        references=_limits(plans),
        log_x=True,
        x_ticks=CONTEXTS,
        highlights=highlights,
    )


def _finding(fits: Sequence[Fit], model: str) -> str:
    """Return the longest context that fits; if nothing fits, the smallest need and the usable memory."""
    if not fits:
        return f"no engine loads a checkpoint of {find_model(model).name}"
    if any(fit.plan.runs for fit in fits):
        best = max(fits, key=lambda fit: fit.largest_context_tokens)
        return f"{_short(best.plan)} {describe_largest_context(best)}"
    plan = min((fit.plan for fit in fits), key=lambda plan: plan.shortfall_bytes)
    return f"nothing fits: {_short(plan)} needs {format_gib(plan.need_bytes)} of {format_gib(available_bytes(plan))}"


def _one_of_each(fits: Sequence[Fit]) -> list[Fit]:
    """Return the best of each precision, largest first; of many, some of all sizes."""
    by_kind: dict[str, Fit] = {}
    for fit in fits:
        precision = find_checkpoint(fit.plan.checkpoint).precision
        by_kind[precision] = max(by_kind.get(precision, fit), fit, key=_preference)
    kinds = sorted(by_kind.values(), key=lambda fit: fit.plan.footprint.weights_bytes)
    if len(kinds) > _MOST:
        kinds = [kinds[round(place * (len(kinds) - 1) / (_MOST - 1))] for place in range(_MOST)]
    return kinds[::-1]


def _preference(fit: Fit) -> tuple[bool, bool, bool]:
    default, name = find_model(fit.plan.model).default_checkpoint, fit.plan.checkpoint
    return not find_checkpoint(name).base, name == default, default.rpartition("-")[2] in name


def _line(fit: Fit, request: Request) -> Series:
    up_to = f"to {fit.largest_context_tokens:,}" if fit.largest_context_tokens else describe_largest_context(fit)
    plans = list(checkpoint_plans(request, find_checkpoint(fit.plan.checkpoint), fit.plan.engine))
    if fit.at_largest:
        plans = sorted(
            {plan.context_tokens: plan for plan in (*plans, fit.at_largest)}.values(),
            key=lambda plan: plan.context_tokens,
        )
    return Series(
        name=f"{_short(fit.plan)}: {up_to}",
        x=tuple(plan.context_tokens for plan in plans),
        y=tuple(_height(plan) / GIB if _is_shown(plan, fit) else None for plan in plans),
        origin="derived",
    )


def _highlight(plan: Plan, place: int) -> Highlight:
    name = f"{_short(plan)}: largest context {plan.context_tokens:,} tokens"
    return Highlight(name, place, plan.context_tokens, _height(plan) / GIB)


def _limits(plans: Sequence[Plan]) -> tuple[Reference, ...]:
    """Return the usable memory: recipes give engines different shares, so there may be two limits."""
    sizes = sorted({plan.capacity_bytes / (plan.ranks if _per_gpu(plan) else 1) / GIB for plan in plans})
    if not sizes:
        return ()
    low, high = sizes[0], sizes[-1]
    assumed = "host memory assumed: " if any(map(needs_unknown_host, plans)) else ""
    name = f"{assumed}usable {high:,.1f} GiB" if low == high else f"{assumed}usable {low:,.1f} to {high:,.1f} GiB"
    return tuple(Reference(name if size == high else "", size) for size in dict.fromkeys((low, high)))


def _short(plan: Plan) -> str:
    """Return a short name: ``V4-Flash-0731 (FP4)``."""
    name = plan.checkpoint.rpartition("/")[2].removeprefix("DeepSeek-")
    precision = find_checkpoint(plan.checkpoint).precision
    return name if precision.casefold() in name.casefold() else f"{name} ({precision.upper()})"


def _is_shown(plan: Plan, fit: Fit) -> bool:
    """Return True if all requests run at once, or the checkpoint runs nowhere and its need is above the limit."""
    comparable = plan.footprint.concurrency >= plan.concurrency or not fit.plan.runs
    return comparable and (plan.runs or plan.need_bytes > plan.capacity_bytes)


def _height(plan: Plan) -> float:
    return plan.need_bytes / (plan.ranks if _per_gpu(plan) else 1)


def _per_gpu(plan: Plan) -> bool:
    return plan.gpu_layers is None and plan.ranks > 0
