"""A plan as sentences and tables: memory needed and usable, predicted speed, reasons, alternatives."""

from __future__ import annotations

from collections.abc import Callable

from seatrial.catalog import find_model
from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.errors import UnknownNameError
from seatrial.plan.types import TENSOR_PARALLEL, Chat, Plan
from seatrial.records import Interval
from seatrial.speed import Prediction
from seatrial.units import GIB, counted, format_bytes, format_gib, format_rate, format_seconds
from seatrial.view.tables.memory import COPIES, NEEDED, total_name
from seatrial.view.tables.table import Row, Table
from seatrial.view.untrusted import plain_text

VERDICTS = {
    "verified": "runs: a vendor ran exactly this",
    "fits": "fits, by arithmetic",
    "does_not_fit": "does not fit",
    "refused": "refused by the engine",
}
_FIRST = {  # what the alternatives are ordered by, for each objective
    "latency": "shortest time per output token",
    "balanced": "most output tokens",
    "throughput": "most output tokens",
}


def verdict_line(plan: Plan) -> str:
    """Return one sentence: whether the checkpoint runs on the machine, with which engine, and why or why not."""
    name = plan.checkpoint.rpartition("/")[2]
    engine = engine_facts(plan.engine).title if plan.engine in engine_ids() else plan.engine
    place = f"{plan.hardware.times(plan.nodes)} with {engine}"
    if plan.verdict == "verified":
        return f"{name} runs on {place}: a vendor ran exactly this."
    if plan.verdict == "refused":
        return f"{name} is refused on {place}."
    if plan.shortfall_bytes:
        return f"{name} does not fit {place}: {_size(plan.shortfall_bytes)} too little."
    how = "by a vendor's recipe, unverified" if plan.unchecked else "by arithmetic"
    return f"{name} fits {place}, {how}{condition(plan)}."


def condition(plan: Plan) -> str:
    """Return the condition of the verdict, as the end of a sentence; empty if it has none."""
    if not needs_unknown_host(plan):
        return ""
    return f", if {format_gib(plan.footprint.host_bytes)} of host memory are free (its host memory is not known)"


def needs_unknown_host(plan: Plan) -> bool:
    """Return True if the plan runs only with host memory, and nobody has said how much of it there is."""
    return plan.runs and plan.footprint.host_bytes > 0 and plan.hardware.host.usable_memory_bytes is None


def model_name(plan: Plan) -> str:
    """Return the name that the authors of a plan's model gave it."""
    try:
        return find_model(plan.model).name
    except UnknownNameError:  # a record of another version, or a person's own file
        return plain_text(plan.model, 40)


def chat_line(chat: Chat) -> str:
    """Return parsers, default mode and sampling in one line."""
    parsers = (("reasoning", chat.reasoning_parser), ("tool-call", chat.tool_call_parser))
    parts = [f"{of} parser {name}" for of, name in parsers if name]
    parts.append(f"{chat.default_mode.name} by default")
    parts += [f"temperature {row.temperature}, top_p {row.top_p} ({row.purpose})" for row in chat.sampling]
    return f"Chat: {'; '.join(parts)}."


def table_plan_memory(plan: Plan) -> Table:
    """Return bytes by class, together and on the fullest GPU, against the capacity."""
    footprint, ranks, need = plan.footprint, plan.ranks, plan.need_bytes
    copied = need > footprint.total_bytes
    rows: list[Row] = [
        ("weights", format_bytes(footprint.weights_bytes)),
        ("KV cache", format_bytes(footprint.kv_bytes)),
        ("state", format_bytes(footprint.state_bytes)),
        ("reserve (assumed)", format_bytes(footprint.reserve_bytes)),
        (total_name(copied=copied), _size(footprint.total_bytes)),
    ]
    if copied:
        rows.append((NEEDED, _size(need)))
    if ranks:
        place = "on the GPU" if ranks == 1 else f"on the fullest of {ranks} GPUs"
        rows.append((place, _size(footprint.per_gpu_bytes)))
    if footprint.host_bytes:
        rows.append(("part of it in host memory", _size(footprint.host_bytes)))
    rows.append(("capacity", _size(plan.capacity_bytes)))
    if plan.shortfall_bytes:
        rows.append(("too little", _size(plan.shortfall_bytes)))
        title = f"{_size(plan.shortfall_bytes)} too little"
    elif plan.runs:
        title = f"{_size(need)} needed of {_size(plan.capacity_bytes)}"
    else:
        title = f"{_size(need)} would be needed, but the engine refuses"
    note = f"{plan.context_tokens:,} tokens a request, {plan.concurrency} at once; weights: {footprint.origin}"
    if copied:
        note = f"{note}. {COPIES}"
    return Table(title, ("memory", "size>"), tuple(rows), note)


def _size(size_bytes: int) -> str:
    """Return a size in the unit of the capacity, so that figures can be compared; below 1 GiB in a smaller unit."""
    return format_gib(size_bytes) if size_bytes >= GIB else format_bytes(size_bytes)


def describe_speed(prediction: Prediction, concurrency: int) -> str:
    """Return throughput and time to first token, each with its interval: ``208 tok/s (131 to 328 tok/s), ...``.

    A prediction that follows a measurement of this machine says so.
    """
    rate, wait = prediction.decode_tokens_per_s, prediction.ttft_s
    load = f" for {concurrency:,} requests" if concurrency > 1 else ""
    measured = f", by what was measured here on {prediction.measured_at[:10]}" if prediction.measured_at else ""
    return f"{_span(rate, format_rate)}{load}, first token in {_span(wait, format_seconds)}{measured}"


def _span(interval: Interval | None, form: Callable[[float], str]) -> str:
    if interval is None:
        return "unknown"
    low, high = form(interval.low), form(interval.high)
    return f"{form(interval.expected)} ({low.removesuffix(f' {high.split()[-1]}')} to {high})"


def table_plan_speed(plan: Plan) -> Table:
    """Return the predicted speed as intervals."""
    prediction = plan.prediction
    if prediction is None:
        return Table("No speed: it does not run", ("prediction", "low>", "expected>", "high>"), ())
    rows = (
        _interval("output tokens, all requests", prediction.decode_tokens_per_s, format_rate),
        _interval("time to first token (TTFT)", prediction.ttft_s, format_seconds),
        _interval("time per output token (TPOT)", prediction.tpot_s, format_seconds),
    )
    return Table("Predicted, not measured", ("prediction", "low>", "expected>", "high>"), rows, prediction.basis)


def table_plan_reasons(plan: Plan) -> Table:
    """Return the reasons, each with its origin and source."""
    return Table(
        "Why",
        ("reason", "origin"),
        tuple((reason.text, reason.origin) for reason in plan.reasons),
        details=tuple(f"source: {reason.source}" for reason in plan.reasons),
    )


def spread(plan: Plan) -> str:
    """Return how a plan is split over GPUs, as the end of a sentence: ``, tensor parallel 4``; empty on one GPU."""
    ranks = plan.parallelism
    axes = (("tensor", ranks.tensor), ("data", ranks.data), ("expert", ranks.expert), ("pipeline", ranks.pipeline))
    return "".join(f", {name} parallel {count}" for name, count in axes if count > 1)


def _split_text(plan: Plan) -> str:
    """Return tensor (TP), data (DP), expert (EP) and pipeline (PP) ranks: ``TP4 DP4``; empty on one GPU."""
    if plan.engine not in TENSOR_PARALLEL and plan.parallelism.tensor == 1:
        return ""
    ranks = plan.parallelism
    named = (("TP", ranks.tensor), ("DP", ranks.data), ("EP", ranks.expert), ("PP", ranks.pipeline))
    return " ".join(f"{name}{count}" for name, count in named if count > 1)


def table_plan_alternatives(plan: Plan, most: int | None = None) -> Table:
    """Return the alternatives that run, the best for the objective first.

    Args:
        plan: A plan made with alternatives.
        most: How many to show; None for all.

    """
    shown = plan.alternatives[:most]
    title = f"{counted(len(plan.alternatives), 'alternative')} on {plan.hardware.name}, {_FIRST[plan.objective]} first"
    if len(shown) < len(plan.alternatives):
        title = f"{title}; the first {len(shown)}, --why shows all"
    heads = ("checkpoint", "engine", "verdict", "needs>", "output>", "TPOT>")
    note = "Speeds are predictions at this concurrency; intervals overlap."
    return Table(title, heads, tuple(map(_alternative_row, shown)), note)


def _alternative_row(plan: Plan) -> Row:
    speed = plan.prediction.decode_tokens_per_s if plan.prediction else None
    pace = plan.prediction.tpot_s if plan.prediction else None
    return (
        plan.checkpoint,
        f"{plan.engine} {_split_text(plan)}".strip(),
        plan.verdict,
        format_gib(plan.need_bytes),
        format_rate(speed.expected) if speed else "unknown",
        format_seconds(pace.expected if pace else None),
    )


def _interval(name: str, interval: Interval | None, form: Callable[[float | None], str]) -> Row:
    if interval is None:
        return (name, "unknown", "unknown", "unknown")
    return (name, form(interval.low), form(interval.expected), form(interval.high))
