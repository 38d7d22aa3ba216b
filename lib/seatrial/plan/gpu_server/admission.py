"""How many of the requests run at once, and why the others wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from seatrial.plan.capacity import DELAYER_FLAG, WINDOW_FLAG, decoding, window_share
from seatrial.plan.gpu_server.kv_capacity import KvCapacity, requests_at_once
from seatrial.plan.gpu_server.layouts import Layout
from seatrial.plan.load import load_of
from seatrial.plan.trial import Candidate
from seatrial.plan.vendor.limits import limit_reason
from seatrial.records import Reason
from seatrial.speed import ServingLoad


@dataclass(frozen=True, slots=True)
class Admission:
    """Requests that run at once on a layout: both figures come from the same pool, so more short ones than long.

    Attributes:
        load: What the prediction is for; its limit is what runs of requests of that length.
        full: Requests that run at once where each fills its context.
        context_tokens: Context of each request.
        why: What keeps the others waiting, as part of a sentence.
        origin: Name of the figure in ``limits.json`` it rests on, None where it follows from bytes alone.

    """

    load: ServingLoad
    full: int
    context_tokens: int
    why: str
    origin: str | None


def running_of(candidate: Candidate, layout: Layout, room: KvCapacity) -> Admission:
    """No more requests at once than the engine runs and the KV cache holds, of the predicted and of the full length."""
    limit, cell = requests_at_once(layout, candidate.request), layout.cell
    flags = cell.flags if cell else {}
    load = load_of(
        candidate.model,
        candidate.engine,
        room.footprint.context_tokens,
        candidate.request,
        running_limit=limit,
        draft_tokens=cell.draft_tokens if cell else 0,
    )
    length = load.mean_prompt + load.mean_answer
    held = room.held
    if room.pool:
        held = max(held, room.pool.requests(length) * layout.parallelism.data)
    load = replace(load, running_limit=decoding(min(limit, held), flags))
    # Where all predicted requests run, or the engine's limit keeps them, only full contexts lack room.
    lacking = length if load.running < load.concurrency and held < limit else room.footprint.context_tokens
    why, origin = _why(room, held, limit, lacking, flags)
    return Admission(
        load, min(load.concurrency, decoding(room.held, flags)), room.footprint.context_tokens, why, origin
    )


def _why(
    room: KvCapacity, held: int, limit: int, length: float, flags: Mapping[str, str | None]
) -> tuple[str, str | None]:
    """What keeps requests of this length waiting, and the name of the figure that rests on."""
    if DELAYER_FLAG in flags:
        return f"replicas wait for one another's prompts ({DELAYER_FLAG})", "delayed_running"
    found, origin = [f"the engine runs {limit} at once"] if held >= limit else [], None
    if room.held < limit:
        if room.pool and room.pool.lacks_windows(length):
            pool = f"SGLang's pool for sliding windows ({WINDOW_FLAG} {window_share(flags):g})"
            found, origin = [*found, f"{pool} holds no more prompts"], "window_room"
        else:
            found.append("the KV cache holds no more")
    return " and ".join(found), origin


def waiting_reasons(running: Admission) -> list[Reason]:
    """That requests wait, where some do, with how many run: of the predicted lengths, and of the full context."""
    load, full = running.load, running.full
    if full >= load.concurrency:
        return []
    filling = f"of as many that fill their {running.context_tokens:,} tokens of context"
    if load.running == full:
        text = f"{full} of {load.concurrency} requests run at once, the others wait: {running.why}."
    elif load.running < load.concurrency:
        text = (
            f"Of {load.concurrency} requests {_lengths(load)} {load.running} run at once, {filling} {full}; "
            f"the others wait: {running.why}."
        )
    else:
        text = (
            f"All {load.concurrency} requests {_lengths(load)} run at once; {filling} {full} do, "
            f"the others wait: {running.why}."
        )
    if running.origin:
        return [limit_reason(running.origin, text)]
    return [Reason(text, "derived", "KV cache room and the engine's limit")]


def _lengths(load: ServingLoad) -> str:
    upto = "up to " if load.random_lengths else ""
    return f"of {upto}{load.prompt_tokens:,} prompt and {load.answer_tokens:,} answer tokens"
