"""Plans as stacked bars: the need of each, by class, against the usable memory."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.plan.types import Plan
from seatrial.units import GIB, format_gib
from seatrial.view.chart.chart import Chart
from seatrial.view.chart.data import Reference, Series
from seatrial.view.tables.plans import model_name, needs_unknown_host
from seatrial.view.untrusted import plain_text

_GREY = 6
_RESERVE = "Reserve, assumed"
_PARTS = ("Expert weights", "Other weights", "KV cache and state", _RESERVE)


def memory_chart(plans: Sequence[Plan] | Plan) -> Chart:
    """Return the memory per GPU against its capacity; if host memory is used too, all memory together."""
    every = [plans] if isinstance(plans, Plan) else list(plans)
    per_gpu = bool(every) and all(plan.ranks and not plan.footprint.host_bytes for plan in every)
    parts = [_per_gpu(plan) if per_gpu else _together(plan) for plan in every]
    limits = [plan.capacity_bytes / (plan.ranks if per_gpu else 1) for plan in every]
    segments = tuple(
        Series(
            name, (), tuple(row[place] / GIB for row in parts), "predicted", color=_GREY if name == _RESERVE else place
        )
        for place, name in enumerate(_PARTS)
        if any(row[place] for row in parts)
    )
    label = "Memory on each GPU (GiB)" if per_gpu else "Memory, host and GPUs together (GiB)"
    return Chart(
        title="; ".join(finding(plan) for plan in every) or "No plan was made",
        subtitle="Derived from the sizes of all tensors; the reserve is assumed",
        x_label=label,
        y_label="",
        kind="bars",
        series=segments,
        bars=tuple(_name(plan) for plan in every),
        references=tuple(
            Reference(
                f"{'host memory assumed: ' if needs_unknown_host(plan) else ''}usable {limit / GIB:,.1f} GiB",
                limit / GIB,
                bar,
            )
            for bar, (plan, limit) in enumerate(zip(every, limits, strict=True))
            if limit
        ),
    )


def _together(plan: Plan) -> tuple[float, ...]:
    """Return the parts over all memory, copies included, so that the bar is as long as the plan's need."""
    if plan.need_bytes > plan.footprint.total_bytes:
        return tuple(part * plan.ranks for part in _per_gpu(plan))
    return _once(plan)


def _once(plan: Plan) -> tuple[float, ...]:
    footprint = plan.footprint
    experts = footprint.by_class.get("experts", 0)
    return (
        experts,
        max(footprint.weights_bytes - experts, 0),
        footprint.kv_bytes + footprint.state_bytes,
        footprint.reserve_bytes,
    )


def _per_gpu(plan: Plan) -> tuple[float, ...]:
    """Return the parts on the fullest GPU: experts are spread over all ranks, other weights may lie on each."""
    footprint, parts = plan.footprint, plan.footprint.per_gpu_by_part
    experts, _, caches, reserve = (part / plan.ranks for part in _once(plan))
    if "kv" in parts:  # llama.cpp's caches lie with their layers, so other engines' even share does not hold
        caches = parts["kv"] + parts["state"]
    return experts, max(footprint.per_gpu_bytes - experts - caches - reserve, 0.0), caches, reserve


def _name(plan: Plan) -> str:
    machine = plain_text(plan.hardware.times(plan.nodes), 50)
    checkpoint = plain_text(plan.checkpoint, 60).rpartition("/")[2]
    model = model_name(plan)
    what = checkpoint if checkpoint.startswith(model) else f"{model}, {checkpoint}"
    return f"{what.removeprefix('DeepSeek-')}, {plan.engine} on {machine}"  # the title names the model in full


def finding(plan: Plan) -> str:
    """Return whether a plan fits, as the title of its picture."""
    name = model_name(plan)
    if plan.verdict == "refused":
        return f"{name} is refused on {plain_text(plan.hardware.name, 40)}"
    if plan.verdict == "does_not_fit":
        return f"{name} needs {format_gib(plan.shortfall_bytes)} more"
    if needs_unknown_host(plan):
        return f"{name} fits, if {format_gib(plan.footprint.host_bytes)} of host memory are free"
    return f"{name} fits"
