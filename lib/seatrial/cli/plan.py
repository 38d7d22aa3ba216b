"""What runs on a machine, how, and why: checkpoint, engine, parallelism, command, expected speed.

seatrial plan                                        DeepSeek V4 Flash on this machine
seatrial plan --model pro --hardware h200x8          on a named one
seatrial plan --hardware h100x8 --nodes 2 --model pro
seatrial plan --checkpoint unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL --hardware rtx4090x1 --host-memory-gib 192
seatrial plan --hardware h200x8 --all                every alternative, the fastest first

The verdict is one of: verified (a vendor ran exactly this), fits (by arithmetic), does_not_fit,
refused (the engine rejects this machine, checkpoint or setting). Exit code 3 for the last two.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.cli.answer import CommandResult, stdout
from seatrial.cli.options import add_plan_options, plan_request
from seatrial.engines import build_command, machine_commands
from seatrial.engines.extra import add_options
from seatrial.errors import DoesNotFitError, RefusedError
from seatrial.hardware import detect_hardware
from seatrial.launching.tuned import tuned_plan
from seatrial.plan import Plan
from seatrial.plan.choose import plan_of
from seatrial.records import to_dict

if TYPE_CHECKING:
    from seatrial.engines import Command
    from seatrial.hardware import Hardware

_DOES_NOT_RUN = DoesNotFitError.exit_code


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial plan``."""
    add_plan_options(parser)
    parser.add_argument(
        "--all",
        action="store_true",
        help="rank every alternative by predicted speed, those that cannot chat (Base) only where one is named",
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """Make the plan."""
    hardware = detect_hardware(arguments.hardware, host_memory_gib=arguments.host_memory_gib)
    try:
        plan = plan_of(plan_request(arguments, hardware), alternatives=arguments.all)
    except RefusedError as error:
        return _refused(arguments, hardware, error)
    if not arguments.no_tuned:
        plan = tuned_plan(plan)
    command = add_options(build_command(plan), arguments.engine_option) if plan.runs else None
    return CommandResult(_document(plan, command), lambda: _show(plan, command), 0 if plan.runs else _DOES_NOT_RUN)


def _document(plan: Plan, command: Command | None) -> dict[str, Any]:
    """The plan for programs: its fields, the command, and that of each machine (rank 0, the first, comes first)."""
    plain: dict[str, Any] = to_dict(plan)
    if plain["recipe"]:
        # The vendor's own flags are part of argv and env already, in today's spelling.
        plain["recipe"] = {name: plain["recipe"][name] for name in ("source", "cell", "differences")}
    return {
        **plain,
        "argv": list(command.argv) if command else [],
        "env": dict(command.env) if command else {},
        "commands": to_dict(machine_commands(command)) if command else [],
    }


def _refused(arguments: argparse.Namespace, hardware: Hardware, error: RefusedError) -> CommandResult:
    """The verdict on a checkpoint whose bytes no formula here describes: every key, the reason, and no figures."""
    model, checkpoint, source = _named(arguments)
    plain = {
        **{field.name: None for field in fields(Plan)},
        "verdict": "refused",
        "model": model,
        "checkpoint": checkpoint,
        "engine": arguments.engine,
        "hardware": to_dict(hardware),
        "nodes": arguments.nodes,
        "gpus_per_node": len(hardware.gpus),
        "context_tokens": arguments.context_tokens,
        "concurrency": arguments.concurrency,
        "objective": arguments.objective,
        "argv": [],
        "env": {},
        "commands": [],
        "smallest_change": error.remedy or None,
        "reasons": [{"text": error.what, "origin": "verified", "source": source}],
        "alternatives": [],
    }

    def show() -> None:
        stdout().print(f"{arguments.checkpoint or arguments.model}: refused\n{error}", soft_wrap=True)

    return CommandResult(plain, show, _DOES_NOT_RUN)


def _named(arguments: argparse.Namespace) -> tuple[str | None, str | None, str]:
    """Model, checkpoint and source of what was refused, as far as the catalog knows it."""
    from seatrial.catalog import find_checkpoint, find_model
    from seatrial.errors import SeatrialError

    try:
        row = find_checkpoint(arguments.checkpoint or find_model(arguments.model).default_checkpoint)
    except SeatrialError:
        # A local folder's own config.json says so, a hub id the name it gives itself.
        source = "its config.json" if Path(arguments.checkpoint).exists() else "its name"
        return arguments.model, arguments.checkpoint, f"{arguments.checkpoint}: {source}"
    return row.model, row.id, row.source


def _show(plan: Plan, command: Command | None) -> None:
    from rich.table import Table as Grid
    from rich.text import Text

    from seatrial.view.tables import plans as tables
    from seatrial.view.tables.commands import commands_text, left_open

    console = stdout()
    whole = not console.is_terminal  # a file keeps its sentences on one line, a terminal breaks them between words
    console.print(tables.verdict_line(plan), style="bold", soft_wrap=whole)
    if command and command.stand_in:
        console.print("A stand-in: a real small model, not DeepSeek V4.", soft_wrap=True)
    if command and command.simulated:
        console.print("Simulated: there is no model behind it.", soft_wrap=True)
    console.print(tables.table_plan_memory(plan).to_rich())
    if plan.smallest_change:
        console.print(plan.smallest_change, style="bold", soft_wrap=whole)
    if command:
        console.print(tables.table_plan_speed(plan).to_rich())
        console.print("Command of each machine:" if plan.nodes > 1 else "Command:")
        console.print(commands_text(command), soft_wrap=True)
        launched = " seatrial serve does it." if plan.nodes == 1 else ""
        console.print(f"{left_open(plan.nodes)}{launched}", style="dim", soft_wrap=whole)
    if plan.recipe and plan.recipe.differences:
        console.print(f"Nearest recipe: {plan.recipe.cell}. It differs:")
        listed = Grid.grid(padding=(0, 1, 0, 0))
        for difference in plan.recipe.differences:
            listed.add_row("  -", Text(difference))
        console.print(listed)
    if command and plan.chat:
        console.print(tables.chat_line(plan.chat))
    console.print(tables.table_plan_reasons(plan).to_rich())
    if plan.alternatives:
        console.print(tables.table_plan_alternatives(plan).to_rich())
