"""A footprint as tables: the whole need, the weights by class, the caches."""

from __future__ import annotations

from seatrial.memory import Footprint
from seatrial.units import counted, format_bytes
from seatrial.view.tables.table import Table

_NAMES = {
    "experts": "routed experts",
    "shared": "shared experts",
    "scales": "block scales",
    "hash_tables": "hash routing tables",
    "hyper_connections": "hyper-connections",
    "output_head": "output head",
    "draft": "draft head",
}  # classes whose names people write in another way

NEEDED = "on all GPUs, copies included"
COPIES = (
    "Tensor parallelism gives each GPU a copy of the KV cache, the state and the smaller weights; "
    "the need counts every copy."
)


def footprint_table(footprint: Footprint, name: str, need_bytes: int | None = None) -> Table:
    """Return what a model needs while it is served: weights, KV cache, state, reserve and their sum.

    Args:
        footprint: Bytes of each part.
        name: Name of the model or checkpoint.
        need_bytes: Bytes over all GPUs, copies included; None for the sum of the parts.

    """
    need = footprint.total_bytes if need_bytes is None else need_bytes
    copied = need > footprint.total_bytes
    interval = footprint.reserve_interval
    span = f" ({format_bytes(interval.low)} to {format_bytes(interval.high)})" if interval else ""
    parts = [
        ("weights", footprint.weights_bytes, f"{footprint.origin}: {footprint.source}"),
        ("KV cache", footprint.kv_bytes, "derived from the engine's layout"),
        ("state", footprint.state_bytes, "derived from the engine's layout"),
        ("reserve", footprint.reserve_bytes, f"assumed{span}"),
        (total_name(copied=copied), footprint.total_bytes, ""),
    ]
    if copied:
        parts.append((NEEDED, need, "derived from how it is split"))
    if footprint.per_gpu_bytes:
        parts.append(("fullest GPU", footprint.per_gpu_bytes, ""))
    if footprint.host_bytes:
        parts.append(("host memory", footprint.host_bytes, ""))
    rows = tuple((what, f"{size:,}", format_bytes(size), origin) for what, size, origin in parts)
    load = f"{counted(footprint.concurrency, 'request')} of {footprint.context_tokens:,} tokens"
    title = f"{name} needs {format_bytes(need)} for {load} on {footprint.engine}"
    notes = [*footprint.notes, COPIES] if copied else footprint.notes
    return Table(title, ("part", "bytes>", "size>", "origin"), rows, " ".join(notes))


def total_name(*, copied: bool) -> str:
    """Return the name of the sum of the parts, which is not the need if GPUs hold copies."""
    return "everything, counted once" if copied else "needed"


def weights_table(footprint: Footprint) -> Table:
    """Return weight bytes by tensor class, heaviest first."""
    ordered = sorted(footprint.by_class.items(), key=lambda item: -item[1])
    rows = tuple(
        (
            _NAMES.get(name, name).replace("_", " "),
            f"{size:,}",
            format_bytes(size),
            f"{size / footprint.weights_bytes:.1%}",
        )
        for name, size in ordered
    )
    heaviest = _NAMES.get(ordered[0][0], ordered[0][0]).replace("_", " ")
    title = f"{ordered[0][1] / footprint.weights_bytes:.0%} of the weights are {heaviest}"
    if len(ordered) == 1:
        title = "The classes of these weights are unknown"
    return Table(title, ("class", "bytes>", "size>", "share>"), rows, _parameters(footprint))


def caches_table(footprint: Footprint) -> Table:
    """Return the bytes of each cache, by the name the engine gives it."""
    rows = tuple((name, f"{size:,}", format_bytes(size)) for name, size in footprint.kv_by_class.items())
    share = (footprint.kv_bytes + footprint.state_bytes) / footprint.weights_bytes
    title = f"Caches and state come to {share:.1%} of the weights"
    return Table(title, ("cache", "bytes>", "size>"), rows)


def _parameters(footprint: Footprint) -> str:
    if footprint.parameters_total is None or footprint.parameters_active is None:
        return ""
    return (
        f"{footprint.parameters_total:,} parameters without draft head, "
        f"{footprint.parameters_active:,} of them used for one token."
    )
