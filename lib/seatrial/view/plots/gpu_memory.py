"""A plan's memory as a bar for each GPU and one for the host, each against the memory the engine may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from seatrial.catalog import find_checkpoint, find_model
from seatrial.errors import SeatrialError, UnknownNameError
from seatrial.plan.capacity import llamacpp_pools, usable_gpu_bytes, visible_gpus
from seatrial.plan.llamacpp.tensor_split import drafter_layers, with_output
from seatrial.plan.types import Plan
from seatrial.plan.vendor.limits import limits
from seatrial.units import GIB, format_gib
from seatrial.view.chart.chart import Chart
from seatrial.view.chart.data import Reference, Series
from seatrial.view.plots.plan_memory import finding
from seatrial.view.tables.plans import needs_unknown_host

_PARTS = ("Weights", "Weights copied on each GPU", "KV cache", "State", "Reserve, assumed", "Drafter")
_COLORS = (0, 1, 2, 5, 6, 3)
_KEYS = ("weights_sharded", "weights_replicated", "kv", "state", "reserve", "drafter")
_MOST_BARS = 8  # of more GPUs one bar stands for all


@dataclass(frozen=True, slots=True)
class MemoryBar:
    """Bytes on one GPU or in host memory, and the bytes the engine may use there."""

    name: str  # "GPU 0", "Host"
    parts: tuple[float, ...]  # bytes of each of _PARTS
    usable_bytes: float | None  # None if unknown

    @property
    def total_bytes(self) -> float:
        """Bytes of all parts together."""
        return sum(self.parts)


def gpu_memory_chart(plan: Plan) -> Chart:
    """Return a bar for each GPU and for host memory in use: weights, caches and reserve against the capacity."""
    bars = memory_bars(plan)
    shown = [place for place in range(len(_PARTS)) if any(bar.parts[place] for bar in bars)]
    return Chart(
        title=_finding(plan, bars),
        subtitle="Derived from the sizes of all tensors; the reserve is assumed. The upright line: what the engine may use",
        x_label="Memory (GiB)",
        y_label="",
        kind="bars",
        compact=True,
        series=tuple(
            Series(_PARTS[place], (), tuple(bar.parts[place] / GIB for bar in bars), "derived", color=_COLORS[place])
            for place in shown
        ),
        bars=tuple(bar.name for bar in bars),
        references=tuple(
            Reference(f"usable {format_gib(bar.usable_bytes)}", bar.usable_bytes / GIB, place)
            for place, bar in enumerate(bars)
            if bar.usable_bytes
        ),
    )


def memory_bars(plan: Plan) -> list[MemoryBar]:
    """Return a bar for each GPU of one machine and for its host memory; their sums are those of the plan's footprint."""
    footprint = plan.footprint
    ranks = plan.ranks
    serving = ranks > 0 and (plan.gpu_layers is None or plan.parallelism.tensor > 1)
    if plan.verdict == "refused":  # a refused plan has no split
        return [MemoryBar("All memory", _undivided(plan), plan.capacity_bytes or None)]
    if not serving and any(gpu.unified for gpu in plan.hardware.gpus):
        return [MemoryBar("CPU and GPU", _undivided(plan), plan.capacity_bytes)]
    pools = llamacpp_pools(plan.hardware, plan.hardware.gpus)
    host_usable = pools.host_bytes if pools.host_known and pools.host_bytes else None
    if not ranks:
        return [MemoryBar("Host", _undivided(plan), host_usable)]
    if serving:
        found = [MemoryBar(name, _one_gpu(plan), plan.capacity_bytes / ranks) for name in _names(plan)]
        host = (footprint.host_bytes, *(0.0,) * (len(_PARTS) - 1))
        return [*found, MemoryBar("Host", host, host_usable)] if footprint.host_bytes else found
    gpus = _llamacpp_gpus(plan, ranks)
    usable = [usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in visible_gpus(plan.hardware.gpus)]
    found = [MemoryBar(f"GPU {place}", *bar) for place, bar in enumerate(zip(gpus, usable, strict=True))]
    if len(found) > _MOST_BARS:
        found = [replace(min(found, key=_spare), name=f"fullest of {ranks} GPUs")]
    if footprint.host_bytes:
        found.append(MemoryBar("Host", _in_host(plan, gpus), host_usable))
    return found


def _finding(plan: Plan, bars: list[MemoryBar]) -> str:
    """Return how much of the fullest GPU, or of the only memory, stays free; if the plan does not run, why not."""
    gpus = [bar for bar in bars if "GPU" in bar.name and bar.usable_bytes] or bars
    tightest = min(gpus, key=_spare)
    usable, name = tightest.usable_bytes, tightest.name
    if not plan.runs or not usable or needs_unknown_host(plan):
        return finding(plan)
    spare = format_gib(max(_spare(tightest), 0.0))
    equal = len({(bar.parts, bar.usable_bytes) for bar in gpus}) == 1
    place = "" if name in {"Host", "CPU and GPU"} else " on each GPU" if equal and len(gpus) > 1 else f" on {name}"
    return f"{finding(plan)}: {spare} of {format_gib(usable)} usable{place} stay free"


def _spare(bar: MemoryBar) -> float:
    return (bar.usable_bytes or 0) - bar.total_bytes


def _undivided(plan: Plan) -> tuple[float, ...]:
    footprint, drafter = plan.footprint, _drafter(plan)
    weights, kv = footprint.weights_bytes - drafter.weights, footprint.kv_bytes - drafter.kv
    return weights, 0.0, kv, footprint.state_bytes, footprint.reserve_bytes - drafter.buffers, sum(drafter)


class _Drafter(NamedTuple):
    """Bytes of the file that drafts for a plan; 0 without, a draft inside the checkpoint being part of its weights."""

    weights: float
    kv: float
    buffers: float


def _drafter(plan: Plan) -> _Drafter:
    footprint = plan.footprint
    if "drafter_buffer" not in footprint.reserve_by_part:
        return _Drafter(0, 0, 0)
    buffers = footprint.reserve_by_part["drafter_buffer"].expected
    return _Drafter(footprint.by_class["draft"], footprint.kv_by_class["draft"], buffers)


def _drafter_on(plan: Plan, shares: Sequence[float]) -> list[float]:
    """Return the drafter's bytes on each GPU."""
    if plan.drafter is None or not plan.gpu_layers:
        return [0.0] * len(shares)
    try:
        layers = int(find_checkpoint(plan.drafter).config["num_hidden_layers"])
    except SeatrialError:  # a record of another version, or a file that is gone
        layers = 1
    drafter, counts = _drafter(plan), drafter_layers(with_output([round(share) for share in shares]), layers)
    with_layers = sum(count > 0 for count in counts)
    each = (drafter.weights + drafter.kv) / layers
    return [count * each + (drafter.buffers / with_layers if count else 0.0) for count in counts]


def _one_gpu(plan: Plan) -> tuple[float, ...]:
    """Return the parts on the fullest rank of SGLang or vLLM."""
    parts = plan.footprint.per_gpu_by_part
    return tuple(float(parts.get(name, 0)) for name in _KEYS)


def _llamacpp_gpus(plan: Plan, gpus: int) -> list[tuple[float, ...]]:
    """Return the parts on each GPU: whole layers, the last ones of the model, each with its caches and maybe its experts."""
    footprint, layers = plan.footprint, _layers(plan)
    offloaded = min(plan.gpu_layers or 0, layers)
    shares = plan.gpu_shares or (offloaded / gpus,) * gpus
    experts = footprint.by_class.get("experts", 0) / layers
    light = max(0.0, offloaded - max(0, layers - (plan.cpu_expert_layers or 0)))
    drafter = _drafter(plan)
    kv_bytes, reserve = footprint.kv_bytes - drafter.kv, footprint.reserve_bytes - drafter.buffers
    caches = (kv_bytes + footprint.state_bytes) / layers
    on_gpus = footprint.total_bytes - footprint.host_bytes - reserve - sum(drafter)
    rest = (on_gpus - (offloaded - light) * experts) / offloaded - caches
    found: list[tuple[float, ...]] = []
    before = 0.0
    for share, drafted in zip(shares, _drafter_on(plan, shares), strict=True):
        heavy = share - min(share, max(0.0, light - before))
        before += share
        kv, state = kv_bytes * share / layers, footprint.state_bytes * share / layers
        found.append((share * rest + heavy * experts, 0.0, kv, state, reserve / gpus, drafted))
    return found


def _in_host(plan: Plan, gpus: list[tuple[float, ...]]) -> tuple[float, ...]:
    """Return the caches that do not lie on the GPUs, and weights for the rest."""
    footprint = plan.footprint
    kv = round(footprint.kv_bytes - _drafter(plan).kv - sum(parts[2] for parts in gpus))
    state = round(footprint.state_bytes - sum(parts[3] for parts in gpus))
    return footprint.host_bytes - kv - state, 0.0, kv, state, 0.0, 0.0


def _names(plan: Plan) -> list[str]:
    count = plan.gpus_per_node
    machines = f" of each of {plan.nodes} machines" if plan.nodes > 1 else ""
    if count > _MOST_BARS:
        return [f"each of {count} GPUs{machines}"]
    return [f"GPU {place}{machines}" for place in range(count)]


def _layers(plan: Plan) -> int:
    try:
        config = find_model(plan.model).config
    except UnknownNameError:  # a record of another version, or a person's own file
        config = {}
    return int(config.get("num_hidden_layers", 1))
