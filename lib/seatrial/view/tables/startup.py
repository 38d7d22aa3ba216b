"""A start as tables: its phases so far, and the share of the time that each took."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.server import Event
from seatrial.server.startup.watch import ALREADY_RUNNING, FAILED, READY
from seatrial.server.state import PhaseTime
from seatrial.units import format_seconds
from seatrial.view.tables.badges import kind_label
from seatrial.view.tables.table import Row, Table

OVER = (READY, FAILED, ALREADY_RUNNING)


def table_startup(event: Event) -> Table:
    """Return the phases so far, and how long each took."""
    rows: list[Row] = [(time.name, format_seconds(time.seconds)) for time in event.passed]
    if event.phase == ALREADY_RUNNING:
        rows.append((event.phase, "nothing was started"))
    elif event.phase not in OVER:
        rows.append((startup_phase(event), "under way"))
    return Table(startup_title(event), ("phase", "took>"), tuple(rows), note=startup_note(event))


def table_phases(phases: Sequence[PhaseTime]) -> Table:
    """Return how long each phase of a start took, and its share of the whole."""
    total_s = sum(time.seconds for time in phases)
    rows = tuple((time.name, format_seconds(time.seconds), f"{time.seconds / (total_s or 1.0):.0%}") for time in phases)
    return Table(f"The start took {format_seconds(total_s)}", ("phase", "took>", "share>"), rows)


def startup_title(event: Event) -> str:
    """Return model, engine and how long the start takes so far, or took."""
    engine = engine_facts(event.engine).title if event.engine in engine_ids() else event.engine
    what = f"{event.model} with {engine}" if event.model else "The engine"
    what += kind_label(stand_in=event.stand_in, simulated=event.simulated)
    took = format_seconds(event.elapsed_s)
    if event.phase == ALREADY_RUNNING:
        return f"{what}: {event.text}"
    if event.phase == READY:
        return f"{what}: ready after {took}"
    return f"{what}: failed after {took}" if event.phase == FAILED else f"{what}: starting for {took}"


def startup_phase(event: Event) -> str:
    """Return the phase under way, with its step and what is counted in it."""
    counted = f"{event.done:,} of {event.total:,}" if event.done is not None and event.total else ""
    return ", ".join(filter(None, (event.phase, event.step, counted, event.detail)))


def startup_note(event: Event) -> str:
    """Return why the start failed, or the time left; empty if both are unknown."""
    if event.phase == FAILED:
        return event.text
    left = event.left.to_text() if event.left else ""
    return left[:1].upper() + left[1:]
