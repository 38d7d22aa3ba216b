"""The report's sections on one run: the machine, the verdicts, what was launched and measured, and how to repeat it."""

from __future__ import annotations

import shlex
from typing import Any

from seatrial.measure.summary import best_point
from seatrial.measure.types import Point
from seatrial.plan.types import Plan
from seatrial.units import format_bytes, format_seconds
from seatrial.view.plots import measurements
from seatrial.view.plots.plan_memory import memory_chart, model_name
from seatrial.view.report.figures import figures_table
from seatrial.view.report.parts import badge, banner, code, missing, plot, plots, section, table, text, tiles
from seatrial.view.report.run_record import RunRecord
from seatrial.view.tables.commands import command_text
from seatrial.view.tables.hardware import tables_hardware
from seatrial.view.tables.lessons import table_plans
from seatrial.view.tables.measurements import describe_load, describe_rate, table_measurement, table_self_check
from seatrial.view.tables.plans import needs_unknown_host, table_plan_reasons
from seatrial.view.tables.startup import table_phases
from seatrial.view.tables.table import Row, Table

_VERDICTS = {
    "verified": ("Runs here", "yes"),
    "fits": ("Should run here", "yes"),
    "does_not_fit": ("Does not fit here", "no"),
    "refused": ("Refused here", "no"),
}
_WORDS = {
    "verified": "A vendor ran exactly this.",
    "fits": "By arithmetic; nobody has run exactly this.",
    "does_not_fit": "More memory is needed than there is.",
    "refused": "The engine rejects this machine, checkpoint or setting.",
}
_REASONS = 3


def banners(run: RunRecord) -> str:
    """What must be known before reading on: not DeepSeek V4, simulated, failed, unreadable."""
    shown = []
    if run.simulated:
        shown.append(
            banner("Simulated.", "No model answered: the server only pretends to be an engine. No speed here is real.")
        )
    if run.stand_in:
        model = run.measurement.model if run.measurement else run.server.get("model", "The model")
        shown.append(
            banner(
                "A stand-in, not DeepSeek V4.",
                f"{model} is a small real model, launched so that the whole way can be walked on this machine."
                " Its speed says nothing about the speed of DeepSeek V4.",
            )
        )
    shown += _doubts(run)
    shown += [
        banner(f"{row.get('notebook', 'A notebook')} did not complete.", _failure(row), bad=True) for row in run.failed
    ]
    shown += [banner("Damaged record.", problem, bad=True) for problem in run.problems]
    return "\n".join(shown)


def _doubts(run: RunRecord) -> list[str]:
    points = run.measurement.points if run.measurement else ()
    doubtful = [point for point in points if not point.self_check.valid]
    if not doubtful:
        return []
    head = f"Not valid at {len(doubtful)} of {len(points)} load levels."
    reasons = [f"{describe_load(point)}: {point.self_check.why or 'no reason was recorded.'}" for point in doubtful]
    return [banner(head, f"The measuring client itself did not keep up. {' '.join(reasons)}", bad=True)]


def key_figures(run: RunRecord) -> str:
    """The figures a reader looks for first."""
    figures = [
        (f"{model_name(plan)} on {plan.hardware.name}", _verdict(plan)[0], _memory_words(plan))
        for plan in run.plans[:2]
    ]
    best = best_of(run)
    first = run.measurement.points[0] if run.measurement and run.measurement.points else None
    if best is not None:
        figures.append(("Throughput", describe_rate(best), _origin(run, best)))
    if first is not None and first.ttft_s is not None:
        figures.append(
            (
                "Time to first token, half of requests",
                f"{format_seconds(first.ttft_s.p50)}{'' if first.self_check.valid else ' (not valid)'}",
                _origin(run, first),
            )
        )
    return tiles(figures) if figures else ""


def best_of(run: RunRecord) -> Point | None:
    """The load level a run is known by: the fastest that is valid, else the fastest."""
    return best_point(run.measurement.points) if run.measurement else None


def verdicts(run: RunRecord, anchor: str) -> str:
    """Whether DeepSeek V4 runs on this machine, why, and the smallest change that would make it."""
    if not run.plans:
        return section(
            "Does DeepSeek V4 run here?", missing("No plan was recorded, so this is not known."), anchor=anchor
        )
    cards = "".join(_card(plan) for plan in run.plans)
    chart = plot(memory_chart(run.plans), f"{anchor}-memory", wide=True)
    example = table(table_plans(run.examples)) if run.examples else ""
    return section("Does DeepSeek V4 run here?", f'<div class="cards">{cards}</div>', chart, example, anchor=anchor)


def launched(run: RunRecord, anchor: str) -> str:
    """What was started, with which command, and that it is gone again."""
    rows: list[Row] = []
    server = run.server
    for name, key in (("Server", "name"), ("Model", "model"), ("Engine", "engine"), ("Address", "url")):
        if server.get(key):
            rows.append((name, str(server[key])))
    if run.plan is not None:
        rows.append(("Checkpoint", run.plan.checkpoint))
        rows.append(("Context, requests at once", f"{run.plan.context_tokens:,} tokens, {run.plan.concurrency}"))
        rows.append(("Memory planned", format_bytes(run.plan.need_bytes)))
    if isinstance(server.get("ready_after_s"), int | float):
        rows.append(("Ready after", f"{format_seconds(server['ready_after_s'])}: it had generated a token"))
    rows += _proof(server.get("stopped"))
    rows += [("Its log", name) for name in run.logs]
    parts = [table(Table("The server", ("What", "Value"), tuple(rows)))] if rows else []
    if run.phases:
        parts.append(table(table_phases(run.phases)))
    command = _command_line(run.command)
    if command:
        parts += ["<h3>Its command</h3>", code(command)]
    if run.plan is not None and run.plan.reasons:
        parts.append(table(table_plan_reasons(run.plan)))
    return section(
        "What was launched", *(parts or [missing("Nothing was launched, or it was not recorded.")]), anchor=anchor
    )


def measured(run: RunRecord, anchor: str) -> str:
    """Speed and waiting times, as tables and plots."""
    result = run.measurement
    if result is None:
        return section("What was measured", missing("Nothing was measured, or it was not recorded."), anchor=anchor)
    shown = [measurements.throughput_chart(result, run.predictions), measurements.ttft_chart(result)]
    if result.samples:
        shown += [measurements.tokens_chart(result), measurements.memory_over_time_chart(result)]
    gap = "" if result.samples else missing("No samples over time were recorded.")
    parts = [table(table_measurement(result)), plots(shown, anchor), gap, table(table_self_check(result))]
    return section("What was measured", *parts, anchor=anchor)


def origins(run: RunRecord, anchor: str) -> str:
    """Every figure with where it comes from."""
    shown = figures_table(run)
    body = table(shown) if shown.rows else missing("No figures were recorded.")
    return section("Every figure, and where it comes from", body, anchor=anchor)


def machine(run: RunRecord, anchor: str) -> str:
    """The hardware as the planner saw it."""
    if run.hardware is None:
        return section("The machine", missing("The machine was not recorded."), anchor=anchor)
    origin = f"{run.hardware.origin}: {run.hardware.source}"
    tables = "".join(table(shown) for shown in tables_hardware(run.hardware))
    return section("The machine", f'<p class="muted">{text(origin)}</p>', tables, anchor=anchor)


def notebooks(run: RunRecord, anchor: str) -> str:
    """How each notebook ended, and how to run them again."""
    rows: tuple[Row, ...] = tuple(
        (
            str(row.get("notebook", "")),
            str(row.get("status", "unknown")).replace("_", " "),
            f"{row['duration_s']:.1f}" if isinstance(row.get("duration_s"), int | float) else "-",
            ", ".join(f"{name}={value}" for name, value in _parameters(row).items()) or "defaults",
            _failure(row) if row.get("error") else "",
        )
        for row in run.notebooks
    )
    done = len(rows) - len(run.failed)
    columns: Row = ("Notebook", "Status", "Seconds>", "Parameters", "Error")
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], tuple(row[:-1] for row in rows)
    shown = Table(f"{done} of {len(rows)} notebooks completed", columns, rows)
    body = table(shown) if rows else missing("No notebook was recorded.")
    return section("Notebooks", body, "<h3>Run it again</h3>", code(again(run)), anchor=anchor)


def versions(run: RunRecord, anchor: str) -> str:
    """Versions of everything that matters."""
    known = run.document.get("versions")
    rows = [("seatrial", str(run.document.get("seatrial_version", "unknown")))]
    rows += [(str(name), _plain(value)) for name, value in known.items()] if isinstance(known, dict) else []
    return section("Versions", table(Table("What it ran with", ("Part", "Version"), tuple(rows))), anchor=anchor)


def again(run: RunRecord) -> str:
    """The command that repeats the run with the same parameters."""
    given: dict[str, Any] = {}
    for row in run.notebooks:
        given |= _parameters(row)
    names = [shlex.quote(f"notebooks/{row.get('notebook', '')}") for row in run.notebooks] or ["notebooks/*.ipynb"]
    options = [f"  -p {shlex.quote(name)} {shlex.quote(str(value))}" for name, value in given.items()]
    return " \\\n".join([f"seatrial run {names[0]}", *(f"  {name}" for name in names[1:]), *options])


def _command_line(command: dict[str, Any]) -> str:
    """The engine's command as a shell would take it."""
    argv, environment = command.get("argv"), command.get("env")
    return command_text(argv if isinstance(argv, list) else (), environment if isinstance(environment, dict) else {})


def _card(plan: Plan) -> str:
    word, kind = _verdict(plan)
    reasons = "".join(
        f"<li>{text(reason.text)} <small>({text(reason.origin)}: {text(reason.source)})</small></li>"
        for reason in plan.reasons[:_REASONS]
    )
    change = f'<p class="change">{text(plan.smallest_change)}</p>' if plan.smallest_change else ""
    return (
        f'<div class="card"><h3>{text(model_name(plan))} {badge(word, kind)}</h3>'
        f"<p>{text(_WORDS[plan.verdict])} It {text(_memory_words(plan))}.</p>"
        f'<p class="muted">{text(plan.checkpoint)} with {text(plan.engine)} on {text(plan.hardware.name)}</p>'
        f"<ul>{reasons}</ul>{change}</div>"
    )


def _origin(run: RunRecord, point: Point) -> str:
    words = ["simulated" if run.simulated else "measured"]
    words += ["stand-in"] if run.stand_in else []
    words += [] if point.self_check.valid else ["not valid"]
    return ", ".join([*words, describe_load(point)])


def _verdict(plan: Plan) -> tuple[str, str]:
    if needs_unknown_host(plan):
        return f"Runs, given {format_bytes(plan.footprint.host_bytes)} of host memory", "maybe"
    return _VERDICTS[plan.verdict]


def _memory_words(plan: Plan) -> str:
    needed = format_bytes(plan.need_bytes)
    if plan.shortfall_bytes:
        room, lack = format_bytes(plan.capacity_bytes), format_bytes(plan.shortfall_bytes)
        return f"needs {needed}; {room} are usable, {lack} too little"
    return f"needs {needed} of {format_bytes(plan.capacity_bytes)} usable"


def _proof(stopped: Any) -> list[Row]:
    if not isinstance(stopped, dict):
        return []
    left, free = stopped.get("processes_left"), stopped.get("port_free")
    gone = "gone" if left == 0 else f"{left} processes left"
    took = f" after {format_seconds(stopped['took_s'])}" if isinstance(stopped.get("took_s"), int | float) else ""
    return [("Stopped", f"{gone}{took}; port {'free again' if free else 'still taken'}")]


def _failure(row: dict[str, Any]) -> str:
    error = row.get("error")
    if isinstance(error, dict):
        cell = f" in cell {error['cell']}" if error.get("cell") else ""
        return f"{error.get('kind', 'Error')}{cell}: {error.get('message', '')}"
    return str(error) if error else f"It is {str(row.get('status', 'unknown')).replace('_', ' ')}."


def _parameters(row: dict[str, Any]) -> dict[str, Any]:
    given = row.get("parameters")
    return given if isinstance(given, dict) else {}


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    return "not installed" if value is None else str(value)
