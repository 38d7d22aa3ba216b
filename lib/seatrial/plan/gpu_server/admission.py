"""How many of the requests run at once, and why the others wait."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.plan.candidate import Candidate
from seatrial.plan.gpu_server.kv_capacity import KvCapacity, LayoutMemory
from seatrial.plan.gpu_server.kv_pool import DELAYER_FLAG, WINDOW_FLAG, decoding_requests, window_share
from seatrial.plan.gpu_server.layouts import Layout
from seatrial.plan.load import lengths_of, load_of
from seatrial.plan.vendor.limits import limit_reason
from seatrial.records import Reason
from seatrial.speed import ServingLoad


@dataclass(frozen=True, slots=True)
class Admission:
    """Requests that run at once: of the predicted lengths, and with full contexts; both come from the same pool."""

    load: ServingLoad  # what the prediction is for; its limit is what runs of requests of these lengths
    full_contexts: int  # requests that run at once if each fills its context
    context_tokens: int
    why: str  # the others wait, as part of a sentence
    limit: str | None  # name of the figure in limits.json that `why` rests on; None if it follows from bytes only


def admit_requests(candidate: Candidate, memory: LayoutMemory, capacity: KvCapacity) -> Admission:
    """Return how many requests run at once: at most what the engine lets run and what the KV cache holds."""
    layout, limit, context = memory.layout, memory.running_limit, capacity.footprint.context_tokens
    lengths = lengths_of(candidate.request, candidate.model, candidate.engine, context)
    length, cell = sum(lengths) / 2 + 1, layout.cell  # the mean: both are drawn from 1 on
    count = capacity.max_concurrent
    if capacity.pool:
        count = max(count, capacity.pool.requests(length) * layout.parallelism.data)
    load = load_of(
        candidate,
        context,
        running_limit=decoding_requests(min(limit, count), layout.flags),
        draft_tokens=cell.draft_tokens if cell else 0,
        draft_method=cell.draft_method if cell else "mtp",
    )
    # If all predicted requests run, or the engine's limit stops them, only full contexts lack memory.
    waiting_length = length if load.running < load.concurrency and count < limit else context
    why, figure = _why_waiting(layout, capacity, limit, waiting_length, engine_limits=count >= limit)
    full = min(load.concurrency, decoding_requests(capacity.max_concurrent, layout.flags))
    return Admission(load, full, context, why, figure)


def _why_waiting(
    layout: Layout, capacity: KvCapacity, limit: int, length: float, *, engine_limits: bool
) -> tuple[str, str | None]:
    """Return why requests of this length wait, and the name of the figure this rests on."""
    if DELAYER_FLAG in layout.flags:
        return f"replicas wait for one another's prompts ({DELAYER_FLAG})", "delayed_running"
    causes, figure = [f"the engine runs {limit} at once"] if engine_limits else [], None
    if capacity.max_concurrent < limit:
        if capacity.pool and capacity.pool.lacks_windows(length):
            pool = f"SGLang's pool for sliding windows ({WINDOW_FLAG} {window_share(layout.flags):g})"
            causes, figure = [*causes, f"{pool} holds no more prompts"], "window_oversubscription"
        else:
            causes.append("the KV cache holds no more")
    return " and ".join(causes), figure


def waiting_reasons(admission: Admission) -> list[Reason]:
    """Explain how many requests run and why others wait, if any do: at the predicted lengths and at full context."""
    load, full = admission.load, admission.full_contexts
    if full >= load.concurrency:
        return []
    up_to = "up to " if load.random_lengths else ""
    lengths = f"of {up_to}{load.prompt_tokens:,} prompt and {load.answer_tokens:,} answer tokens"
    filling = f"of as many that fill their {admission.context_tokens:,} tokens of context"
    if load.running == full:
        text = f"{full} of {load.concurrency} requests run at once, the others wait: {admission.why}."
    elif load.running < load.concurrency:
        text = (
            f"Of {load.concurrency} requests {lengths} {load.running} run at once, {filling} {full}; "
            f"the others wait: {admission.why}."
        )
    else:
        text = (
            f"All {load.concurrency} requests {lengths} run at once; {filling} {full} do, "
            f"the others wait: {admission.why}."
        )
    if admission.limit:
        return [limit_reason(admission.limit, text)]
    return [Reason(text, "derived", "KV cache capacity and the engine's limit")]
