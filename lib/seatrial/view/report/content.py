"""Prepares plain values, tables and charts of one run for the report's template."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from seatrial.measure.types import Point
from seatrial.plan.types import Plan
from seatrial.units import format_bytes, format_seconds
from seatrial.view.chart.chart import Chart
from seatrial.view.plots import measurements
from seatrial.view.plots.plan_memory import memory_chart
from seatrial.view.report.card import card_of, card_svg
from seatrial.view.report.comparison import Level, answers_table, cost_table, predictions_table
from seatrial.view.report.figures import figures_table
from seatrial.view.report.find import head_of
from seatrial.view.report.run_record import RunRecord
from seatrial.view.tables.commands import command_text
from seatrial.view.tables.hardware import tables_hardware
from seatrial.view.tables.lessons import table_plans
from seatrial.view.tables.measurements import describe_load, describe_rate, table_measurement, table_self_check
from seatrial.view.tables.plans import model_name, needs_unknown_host, table_plan_reasons
from seatrial.view.tables.startup import table_phases
from seatrial.view.tables.table import Row, Table

_VERDICTS = {
    "verified": ("Runs here", "yes", "A vendor ran exactly this."),
    "fits": ("Should run here", "yes", "By arithmetic; nobody has run exactly this."),
    "does_not_fit": ("Does not fit here", "no", "More memory is needed than there is."),
    "refused": ("Refused here", "no", "The engine rejects this machine, checkpoint or setting."),
}
"""Short verdict, its CSS class, and the same as a sentence."""


def describe_run(run: RunRecord, dollars_per_hour: float | None = None) -> dict[str, Any]:
    """Return what the template shows of a run, by name; None or empty for what was not recorded."""
    result, hardware, head = run.measurement, run.hardware, head_of(run)
    levels = [Level(run.id, head, point, dollars_per_hour) for point in head.points]
    return {
        "headline": headline(run),
        "when": _when(run),
        "banners": list(banners(run)),
        "key_figures": list(_key_figures(run)),
        "card": card_svg(card, style=False) if (card := card_of([head])) else None,
        "predicted": predictions_table([run], [run.id]),
        "answers": answers_table(levels),
        "cost": cost_table(levels),
        "priced": dollars_per_hour is not None,
        "plans": list(map(_describe_plan, run.plans)),
        "memory_chart": memory_chart(run.plans),
        "examples": table_plans(run.examples) if run.examples else None,
        "result": table_measurement(result) if result else None,
        "self_check": table_self_check(result) if result else None,
        "charts": _charts(run),
        "samples": result.samples if result else (),
        "server": _server_table(run),
        "phases": table_phases(run.phases) if run.phases else None,
        "command": command_line(run.command),
        "reasons": table_plan_reasons(run.plan) if run.plan and run.plan.reasons else None,
        "figures": figures_table(run),
        "hardware": hardware,
        "machine": tables_hardware(hardware) if hardware else [],
        "notebooks": _notebooks_table(run),
        "again": _command_to_repeat(run),
        "versions": versions_table(run),
    }


def headline(run: RunRecord) -> str:
    """Return what the run found, in one line."""
    machine = run.hardware.name if run.hardware else "an unrecorded machine"
    if run.measurement is None or run.best is None:
        return f"What DeepSeek V4 needs, on {machine}"
    kind = f" ({run.kind})" if run.kind else ""
    return f"{run.measurement.model}{kind} on {machine}: {describe_rate(run.best)}"


def _when(run: RunRecord) -> str:
    started = _moment(run.document.get("started_at")) or "at an unrecorded time"
    finished = _moment(run.document.get("finished_at"))
    return f"Run {run.id}, started {started}, {f'finished {finished}' if finished else 'not finished'}."


def _moment(value: object) -> str:
    """Return ``2026-11-23 12:57:49 UTC``; text that is no time stays as it is."""
    if not value:
        return ""
    try:
        return f"{datetime.fromisoformat(str(value)).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError):
        return str(value)


def banners(run: RunRecord) -> Iterator[tuple[str, str, bool]]:
    """Yield what must be known before reading on: head, text, and whether it is an error."""
    if run.simulated:
        yield "Simulated.", "No model answered: the server only pretends to be an engine. No speed here is real.", False
    if run.stand_in:
        model = run.measurement.model if run.measurement else run.server.get("model", "The model")
        text = f"{model} is a small real model, launched so that every step can be run on this machine."
        yield "A stand-in, not DeepSeek V4.", f"{text} Its speed says nothing about the speed of DeepSeek V4.", False
    points = run.measurement.points if run.measurement else ()
    doubtful = [point for point in points if not point.self_check.valid]
    if doubtful:
        reasons = [f"{describe_load(point)}: {point.self_check.why or 'no reason was recorded.'}" for point in doubtful]
        text = f"These are not the server's own times. {' '.join(reasons)}"
        yield f"Not valid at {len(doubtful)} of {len(points)} load levels.", text, True
    partial = [describe_load(point) for point in points if point.partial]
    if partial:
        yield "Partial.", f"Stopped before its end: {', '.join(partial)}.", False
    for row in run.failed:
        yield f"{row.get('notebook', 'A notebook')} did not complete.", failure_of(row), True
    for what in run.left_out:
        yield "Left out.", what, False
    for problem in run.problems:
        yield "Damaged record.", problem, True


def _key_figures(run: RunRecord) -> Iterator[tuple[str, str, str]]:
    """Yield the figures a reader looks for first: name, value, origin."""
    for plan in run.plans[:2]:
        yield f"{model_name(plan)} on {plan.hardware.name}", _verdict(plan)[0], _memory_words(plan)
    if run.best is not None:
        yield "Throughput", describe_rate(run.best), _origin(run, run.best)
    first = run.measurement.points[0] if run.measurement and run.measurement.points else None
    if first is not None and first.ttft_s is not None:
        doubt = "" if first.self_check.valid else " (not valid)"
        value = f"{format_seconds(first.ttft_s.p50)}{doubt}"
        yield "Time to first token, half of requests", value, _origin(run, first)


def _origin(run: RunRecord, point: Point) -> str:
    words = ["simulated" if run.simulated else "measured"]
    words += ["stand-in"] if run.stand_in else []
    words += [] if point.self_check.valid else ["not valid"]
    return ", ".join([*words, describe_load(point)])


def _describe_plan(plan: Plan) -> dict[str, Any]:
    word, kind = _verdict(plan)
    return {
        "model": model_name(plan),
        "verdict": word,
        "kind": kind,
        "meaning": f"{_VERDICTS[plan.verdict][2]} It {_memory_words(plan)}.",
        "what": f"{plan.checkpoint} with {plan.engine} on {plan.hardware.name}",
        "reasons": plan.reasons[:3],
        "change": plan.smallest_change,
    }


def _verdict(plan: Plan) -> tuple[str, str]:
    if needs_unknown_host(plan):
        return f"Runs, given {format_bytes(plan.footprint.host_bytes)} of host memory", "maybe"
    return _VERDICTS[plan.verdict][:2]


def _memory_words(plan: Plan) -> str:
    needed, usable = format_bytes(plan.need_bytes), format_bytes(plan.capacity_bytes)
    if plan.shortfall_bytes:
        return f"needs {needed}; {usable} are usable, {format_bytes(plan.shortfall_bytes)} too little"
    return f"needs {needed} of {usable} usable"


def _charts(run: RunRecord) -> list[Chart]:
    result = run.measurement
    if result is None:
        return []
    over_load = [measurements.throughput_chart(result, run.predictions), measurements.ttft_chart(result)]
    if not result.samples:
        return over_load
    return [*over_load, measurements.tokens_chart(result), measurements.memory_over_time_chart(result)]


def _server_table(run: RunRecord) -> Table | None:
    """Return what was started and that it is gone again; None if nothing was recorded."""
    server, plan = run.server, run.plan
    named = (("Server", "name"), ("Model", "model"), ("Engine", "engine"), ("Address", "url"))
    rows: list[Row] = [(name, str(server[key])) for name, key in named if server.get(key)]
    if plan is not None:
        rows.append(("Checkpoint", plan.checkpoint))
        rows.append(("Context, requests at once", f"{plan.context_tokens:,} tokens, {plan.concurrency}"))
        rows.append(("Memory planned", format_bytes(plan.need_bytes)))
    if isinstance(server.get("ready_after_s"), int | float):
        rows.append(("Ready after", f"{format_seconds(server['ready_after_s'])}: it had generated a token"))
    if isinstance(server.get("stopped"), dict):
        rows.append(("Stopped", _stopped(server["stopped"])))
    if server.get("left_running"):
        rows.append(("Left running", str(server["left_running"])))
    rows += [("Its log", name) for name in run.logs]
    return Table("The server", ("What", "Value"), tuple(rows)) if rows else None


def _stopped(stopped: dict[str, Any]) -> str:
    left, free = stopped.get("processes_left"), stopped.get("port_free")
    gone = "gone" if left == 0 else f"{left} processes left"
    took = f" after {format_seconds(stopped['took_s'])}" if isinstance(stopped.get("took_s"), int | float) else ""
    return f"{gone}{took}; port {'free again' if free else 'still taken'}"


def command_line(command: dict[str, Any]) -> str:
    """Return the engine's command as a shell takes it."""
    argv, environment = command.get("argv"), command.get("env")
    return command_text(argv if isinstance(argv, list) else (), environment if isinstance(environment, dict) else {})


def _notebooks_table(run: RunRecord) -> Table | None:
    """Return how each notebook ended; None if none was recorded."""
    rows: tuple[Row, ...] = tuple(
        (
            str(row.get("notebook", "")),
            str(row.get("status", "unknown")).replace("_", " "),
            f"{row['duration_s']:.1f}" if isinstance(row.get("duration_s"), int | float) else "-",
            ", ".join(f"{name}={value}" for name, value in _parameters(row).items()) or "defaults",
            failure_of(row) if row.get("error") else "",
        )
        for row in run.notebooks
    )
    columns: Row = ("Notebook", "Status", "Seconds>", "Parameters", "Error")
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], tuple(row[:-1] for row in rows)
    title = f"{len(rows) - len(run.failed)} of {len(rows)} notebooks completed"
    return Table(title, columns, rows) if rows else None


def _command_to_repeat(run: RunRecord) -> str:
    """Return the command that repeats the run with the same parameters."""
    given: dict[str, Any] = {}
    for row in run.notebooks:
        given |= _parameters(row)
    names = [shlex.quote(f"notebooks/{row.get('notebook', '')}") for row in run.notebooks] or ["notebooks/*.ipynb"]
    options = [f"  -p {shlex.quote(name)} {shlex.quote(str(value))}" for name, value in given.items()]
    return " \\\n".join([f"seatrial run {names[0]}", *(f"  {name}" for name in names[1:]), *options])


def versions_table(run: RunRecord) -> Table:
    """Return the versions of the kit, the system and the packages that matter."""
    known = run.document.get("versions")
    rows = [("seatrial", str(run.document.get("seatrial_version", "unknown")))]
    rows += [(str(name), _version(value)) for name, value in known.items()] if isinstance(known, dict) else []
    return Table("What it ran with", ("Part", "Version"), tuple(rows))


def _version(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    return "not installed" if value is None else str(value)


def failure_of(row: dict[str, Any]) -> str:
    """Return why a notebook did not complete."""
    error = row.get("error")
    if isinstance(error, dict):
        cell = f" in cell {error['cell']}" if error.get("cell") else ""
        return f"{error.get('kind', 'Error')}{cell}: {error.get('message', '')}"
    return str(error) if error else f"It is {str(row.get('status', 'unknown')).replace('_', ' ')}."


def _parameters(row: dict[str, Any]) -> dict[str, Any]:
    given = row.get("parameters")
    return given if isinstance(given, dict) else {}
