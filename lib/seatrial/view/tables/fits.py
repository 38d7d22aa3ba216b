"""Tables of what fits: the checkpoints of a model for one machine, and one checkpoint over context lengths."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.hardware import detect_hardware
from seatrial.plan.fits import Fit, available_bytes, context_of, fits_on, left_out
from seatrial.plan.request import Request
from seatrial.plan.types import Plan
from seatrial.units import counted, format_gib, format_rate, to_gb
from seatrial.view.tables.badges import VERDICT_BADGES, verdict_text
from seatrial.view.tables.plans import needs_unknown_host
from seatrial.view.tables.table import Row, Table

_HEADS = ("checkpoint", "verdict", "engine", "GB>", "each GPU>", "host>", "context up to>", "output>")
_BAR = 20
_FULL, _EMPTY = "█", "░"


def table_fits(
    hardware: str = "auto", model: str = "flash", *, context_tokens: int | None = None, concurrency: int = 1
) -> Table:
    """Return the checkpoints of a model on one machine: verdict, engine, bytes, largest context, predicted speed.

    The rows are all checkpoints of known size that an engine loads there; the note names the others, with the reason.

    Args:
        hardware: ``auto``, or a named machine such as ``h200x4``.
        model: ``flash`` or ``pro``.
        context_tokens: Context of each request.
        concurrency: Requests at once.

    Raises:
        UnknownNameError: If there is no such machine or model.
        UsageError: If no machine has such a number.

    """
    request = Request(detect_hardware(hardware), context_tokens=context_tokens, concurrency=concurrency)
    return fits_table(fits_on(request, model), request, model)


def fits_table(fits: Sequence[Fit], request: Request, model: str) -> Table:
    """Return the checkpoints that ``fits_on`` found, a row each."""
    running = sum(fit.plan.runs for fit in fits)
    context, requests = context_of(request, model), request.concurrency
    load = f"{context:,} tokens x {counted(requests, 'request')}"
    hosted = any(needs_unknown_host(fit.plan) for fit in fits)
    notes = (
        f"Verdict, need and speed at {load}; GB = 1e9 bytes of weights. Each GPU, host: derived, the reserve assumed.",
        "Context up to: the longest at which no request waits. Output: predicted, for all requests, low to high.",
        "Nobody has said how large the host memory is: the bytes under host must be free." if hosted else "",
        *(f"Not shown ({why}): {', '.join(names)}." for why, names in left_out(request, model).items()),
    )
    rows = [tuple(_unbroken(cell) for cell in _fit_row(fit)) for fit in fits]
    filled = [place for place in range(len(_HEADS)) if any(row[place] for row in rows)] or [0]
    return Table(
        f"{running} of {len(fits)} checkpoints of {model} run on {request.hardware.times(request.nodes)}",
        tuple(_unbroken(_HEADS[place]) for place in filled),
        tuple(tuple(row[place] for place in filled) for row in rows),
        " ".join(filter(None, notes)),
    )


def contexts_table(plans: Sequence[Plan], fit: Fit) -> Table:
    """Return one checkpoint over context lengths: needed against usable memory, as figures and as a bar."""
    first = plans[0]
    rows = tuple(
        (
            f"{plan.context_tokens:,}",
            _concurrency(plan),
            *(("", "", "") if plan.verdict == "refused" else _memory(plan)),
        )
        for plan in plans
    )
    reason = "" if fit.largest_context_tokens else fit.plan.reasons[0].text
    note = "Over all GPUs, and host memory if it is used. Derived from the engine's own layout; the reserve is assumed."
    requests = f"{first.concurrency:,} requests at once" if first.concurrency > 1 else "one request"
    return Table(
        f"{first.checkpoint} with {first.engine} on {first.hardware.times(first.nodes)}, {requests}: {describe_largest_context(fit)}",
        ("context tokens>", "verdict", "needs>", "usable>", "of the usable memory"),
        rows,
        " ".join(filter(None, (reason, note))),
    )


def describe_largest_context(fit: Fit) -> str:
    """Return up to which context a checkpoint fits."""
    if fit.largest_context_tokens:
        return f"fits up to {fit.largest_context_tokens:,} tokens"
    if fit.plan.runs:
        return "runs, but never all requests at once"
    return "refused" if fit.plan.verdict == "refused" else "does not fit"


def _fit_row(fit: Fit) -> Row:
    plan = fit.plan
    speed = plan.prediction.decode_tokens_per_s if plan.prediction else None
    unknown = "unknown" if plan.runs else ""
    footprint, known = plan.footprint, plan.verdict != "refused"
    return (
        plan.checkpoint,
        _verdict(plan),
        plan.engine,
        f"{to_gb(footprint.weights_bytes):,.1f}",
        format_gib(footprint.per_gpu_bytes) if known and footprint.per_gpu_bytes else "",
        format_gib(footprint.host_bytes) if known and footprint.host_bytes else "",
        f"{fit.largest_context_tokens:,}" if fit.largest_context_tokens else "fewer at once" if plan.runs else "",
        f"{format_rate(speed.low).removesuffix(' tok/s')} to {format_rate(speed.high)}" if speed else unknown,
    )


def _unbroken(cell: str) -> str:
    """Return a short cell with spaces at which a browser breaks no line."""
    return cell.replace(" ", "\u00a0")


def _verdict(plan: Plan) -> str:
    sign = VERDICT_BADGES[plan.verdict].sign
    return f"{sign} {format_gib(plan.shortfall_bytes)} short" if plan.shortfall_bytes else verdict_text(plan.verdict)


def _concurrency(plan: Plan) -> str:
    """Return the verdict; if requests wait, how many run at once."""
    waiting = plan.runs and plan.footprint.concurrency < plan.concurrency
    return f"{VERDICT_BADGES[plan.verdict].sign} {plan.footprint.concurrency:,} at once" if waiting else _verdict(plan)


def _memory(plan: Plan) -> Row:
    """Return needed and usable bytes, and the share as a bar: ``█████░░░░░ 46%``."""
    need, usable = plan.need_bytes, available_bytes(plan)
    if not usable:
        return format_gib(need), "nothing", ""
    full = min(_BAR, round(need / usable * _BAR))
    return format_gib(need), format_gib(usable), f"{_FULL * full}{_EMPTY * (_BAR - full)} {need / usable:.0%}"
