"""Plan what runs on a machine, how, and why: checkpoint, engine, parallelism, command, expected speed.

seatrial plan                                        DeepSeek V4 Flash on this machine
seatrial plan --model pro --hardware h200x8          on a named one
seatrial plan --hardware machine.json                on one where seatrial detect --json wrote this file
seatrial plan --hardware h100x8 --nodes 2 --model pro
seatrial plan --checkpoint unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL --hardware rtx4090x1 --host-memory-gib 192
seatrial plan --hardware h200x8 --why                every reason with its source
seatrial plan --hardware h200x8 --all                every alternative, the fastest first

The verdict is one of: verified (a vendor ran exactly this), fits (by arithmetic), does_not_fit,
refused (the engine rejects this machine, checkpoint or setting). Exit code 3 for the last two.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.catalog import find_checkpoint, find_model
from seatrial.cli.answer import CommandResult, stdout
from seatrial.cli.options import add_plan_options, plan_request
from seatrial.engines import Command, build_command, machine_commands
from seatrial.engines.extra import add_options
from seatrial.errors import DoesNotFitError, RefusedError, SeatrialError
from seatrial.fetch.cache import own_path
from seatrial.hardware import Hardware, detect_hardware
from seatrial.launching.tuned import tuned_plan
from seatrial.plan import Plan
from seatrial.plan.choose import plan_of
from seatrial.records import to_dict
from seatrial.units import format_gib

if TYPE_CHECKING:
    from seatrial.view.plots.gpu_memory import MemoryBar

_DOES_NOT_RUN = DoesNotFitError.exit_code
_REASONS = 4  # shown without --why
_ALTERNATIVES = 8
_PLACEHOLDERS = "{port} and {key_file} are filled in at launch: seatrial serve does it."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial plan``."""
    add_plan_options(parser)
    parser.add_argument(
        "--all",
        action="store_true",
        help="rank every alternative by predicted speed, those that cannot chat (Base) only if one is named",
    )
    parser.add_argument("--why", action="store_true", help="show every reason with its source, and every figure")


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

    def show() -> None:
        _show(plan, command, why=arguments.why)

    return CommandResult(plan_document(plan, command), show, 0 if plan.runs else _DOES_NOT_RUN)


def plan_document(plan: Plan, command: Command | None) -> dict[str, Any]:
    """Return the plan for programs: its fields, the command, and that of each machine, rank 0 first."""
    plain: dict[str, Any] = to_dict(plan)
    if plain["recipe"]:
        # The vendor's own flags are part of argv and env already, in today's spelling.
        plain["recipe"] = {name: plain["recipe"][name] for name in ("source", "cell", "status", "differences")}
    return {
        **plain,
        "argv": list(command.argv) if command else [],
        "env": dict(command.env) if command else {},
        "commands": to_dict(machine_commands(command)) if command else [],
    }


def _refused(arguments: argparse.Namespace, hardware: Hardware, error: RefusedError) -> CommandResult:
    """Return the verdict on a checkpoint of an unknown architecture: every key, the reason, and no figures."""
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
        stdout().print(f"{arguments.checkpoint or arguments.model} is refused.\n{error}", soft_wrap=True)

    return CommandResult(plain, show, _DOES_NOT_RUN)


def _named(arguments: argparse.Namespace) -> tuple[str | None, str | None, str]:
    """Return model, checkpoint and source of what was refused, as far as the catalog knows them."""
    try:
        row = find_checkpoint(arguments.checkpoint or find_model(arguments.model).default_checkpoint)
    except SeatrialError:
        # A local folder's own config.json says so, a hub id the name it gives itself.
        source = "its config.json" if Path(arguments.checkpoint).exists() else "its name"
        return arguments.model, arguments.checkpoint, f"{arguments.checkpoint}: {source}"
    return row.model, row.id, row.source


def _show(plan: Plan, command: Command | None, *, why: bool) -> None:
    from seatrial.view.tables.commands import commands_text, placeholders_note
    from seatrial.view.tables.plans import verdict_line

    console = stdout()
    soft = not console.is_terminal  # a file keeps its sentences on one line, a terminal breaks them between words
    console.print(verdict_line(plan), style="bold", soft_wrap=soft)
    if plan.hardware.from_file:
        console.print(f"{plan.hardware.name} is described by {plan.hardware.source}.", soft_wrap=soft)
    if plan.smallest_change:
        console.print(plan.smallest_change, soft_wrap=soft)
    if command and command.stand_in:
        console.print("A stand-in: a real small model, not DeepSeek V4.", soft_wrap=True)
    if command and command.simulated:
        console.print("Simulated: there is no model behind it.", soft_wrap=True)
    for line in () if why else _figures(plan):
        console.print(line, soft_wrap=soft)
    if why:
        _show_tables(plan)
    if command:
        console.print(f"\nCommand{' of each machine' if plan.nodes > 1 else ''}:", style="bold")
        console.print(commands_text(command, console.width, brief=not why), soft_wrap=True)
        note = placeholders_note(plan.nodes) if why or plan.nodes > 1 else _PLACEHOLDERS
        console.print(note, style="dim", soft_wrap=soft)
    if why:
        _show_why(plan, command)
    else:
        title = "Why (--why shows every reason with its source):"
        _show_bullets(title, [reason.text for reason in plan.reasons[:_REASONS]])
    if plan.alternatives:
        from seatrial.view.tables.plans import table_plan_alternatives

        console.print()
        console.print(table_plan_alternatives(plan, most=None if why else _ALTERNATIVES).to_rich())


def _path_here(plan: Plan) -> Path | None:
    """Return where a hub's checkpoint is on this disk, fetched or in Hugging Face's own cache; None if it is not here."""
    from seatrial.fetch.checkpoint import found_path

    checkpoint = find_checkpoint(plan.checkpoint)
    return None if plan.simulated or own_path(checkpoint) else found_path(checkpoint)


def _figures(plan: Plan) -> Iterator[str]:
    """Yield the memory, the speed and the checkpoint's path if it is here, a line each."""
    from seatrial.view.plots.gpu_memory import memory_bars
    from seatrial.view.tables.plans import describe_speed

    if plan.verdict != "refused":
        bars = memory_bars(plan)
        gpus = [bar for bar in bars if bar.name != "Host"]
        parts = [_describe_gpus(plan, gpus)] if gpus else []
        parts += [_compare("host memory", bar) for bar in bars if bar.name == "Host"]
        how = ", by formulas that no run has confirmed here" if plan.unchecked else ""
        yield f"Memory{how}: {'; '.join(parts)}."
    if plan.prediction and plan.prediction.tpot_s is None:
        yield plan.prediction.basis
    elif plan.prediction:
        yield f"Predicted: {describe_speed(plan.prediction, plan.concurrency)}."
    if plan.runs and (path := _path_here(plan)):
        yield f"The checkpoint is on this disk: {path}"


def _describe_gpus(plan: Plan, bars: Sequence[MemoryBar]) -> str:
    if any(gpu.unified for gpu in plan.hardware.gpus):
        return _compare("the memory of CPU and GPU", bars[0])
    fullest = min(bars, key=lambda bar: (bar.usable_bytes or 0) - bar.total_bytes)
    same = len({(bar.total_bytes, bar.usable_bytes) for bar in bars}) == 1
    many = f"{'each' if same and 'fullest' not in bars[0].name else 'the fullest'} of {plan.ranks} GPUs"
    return _compare(many if plan.ranks > 1 else "the GPU", fullest)


def _compare(name: str, bar: MemoryBar) -> str:
    need = f"{name} must hold {format_gib(bar.total_bytes)}"
    if bar.usable_bytes is None:
        return f"{need} (its size is unknown)"
    spare = bar.usable_bytes - bar.total_bytes
    rest = f"{format_gib(abs(spare))} {'to spare' if spare >= 0 else 'too little'}"
    return f"{need.removesuffix(' GiB')} of {format_gib(bar.usable_bytes)} usable, {rest}"


def _show_tables(plan: Plan) -> None:
    from seatrial.view.tables.plans import table_plan_memory, table_plan_speed

    console = stdout()
    console.print()
    console.print(table_plan_memory(plan).to_rich())
    if plan.prediction:
        console.print()
        console.print(table_plan_speed(plan).to_rich())


def _show_why(plan: Plan, command: Command | None) -> None:
    """Print the nearest recipe with its differences, how to chat, and every reason."""
    from seatrial.view.tables.plans import chat_line, table_plan_reasons

    console = stdout()
    if plan.recipe and plan.recipe.differences:
        _show_bullets(
            f"Nearest recipe ({plan.recipe.status}): {plan.recipe.cell}. It differs:", plan.recipe.differences
        )
    console.print()
    if command and plan.chat:
        console.print(chat_line(plan.chat), soft_wrap=not console.is_terminal)
        console.print()
    console.print(table_plan_reasons(plan).to_rich())


def _show_bullets(title: str, texts: Sequence[str]) -> None:
    from rich.table import Table as Grid
    from rich.text import Text

    console = stdout()
    console.print(f"\n{title}", style="bold")
    if not console.is_terminal:
        for text in texts:
            console.print(Text(f"- {text}"), soft_wrap=True)
        return
    listed = Grid.grid(padding=(0, 1, 0, 0))
    for text in texts:
        listed.add_row("-", Text(text))
    console.print(listed)
