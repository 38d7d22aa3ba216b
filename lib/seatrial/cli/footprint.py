"""Compute the bytes that a checkpoint needs while it is served, by class and per GPU.

Weights are exact: added up tensor by tensor, or read from the headers of local files. The KV cache
follows the engine's own layout. The reserve beside them is assumed, and shown as an interval.

seatrial footprint flash --context-tokens 131072 --concurrency 16
seatrial footprint flash --hardware h200x4           and over context lengths: what fits on this machine
seatrial footprint --config config.json              any deepseek_v4 or deepseek_v41 model
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.catalog import find_checkpoint
from seatrial.cli.answer import CommandResult, stdout
from seatrial.cli.machine import add_machine_options, machine_request
from seatrial.cli.options import whole_number
from seatrial.errors import ModelFileError, UsageError
from seatrial.memory.options import ENGINES, HELP
from seatrial.paths import typed_path
from seatrial.records import to_dict

if TYPE_CHECKING:
    from seatrial.plan.request import Request

_MAX_CONFIG_BYTES = 16 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial footprint``."""
    parser.add_argument(
        "checkpoint",
        nargs="?",
        help="model name, hub id, repo:quantization, or local path; with --hardware a model's name stands for the checkpoint that a plan chooses",
    )
    parser.add_argument(
        "--config",
        type=partial(typed_path, what="--config"),
        help="config.json of any deepseek_v4 or deepseek_v41 model, instead of a checkpoint",
    )
    parser.add_argument(
        "--engine", help="sglang, vllm, llamacpp, mlx or simulated (default: what loads the checkpoint)"
    )
    parser.add_argument("--context-tokens", type=whole_number(), help="context of each request (default: 8192)")
    parser.add_argument("--concurrency", type=whole_number(), default=1, help="requests at once (default: 1)")
    add_machine_options(parser)
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="repeatable; see below")
    width = max(map(len, HELP))
    parser.epilog = "options:\n" + "\n".join(f"  {name:<{width}}  {text}" for name, text in HELP.items())


def run(arguments: argparse.Namespace) -> CommandResult:
    """Compute the footprint, on its own or as part of a plan for a machine.

    Raises:
        UsageError: If neither or both of a checkpoint and --config are given, or an option cannot be.
        RefusedError: The architecture is neither deepseek_v4 nor deepseek_v41.

    """
    if (arguments.checkpoint is None) == (arguments.config is None):
        raise UsageError(
            "Give either a checkpoint or --config.",
            remedy="For example: seatrial footprint flash, or --config config.json.",
        )
    request = machine_request(arguments)
    if request is None:
        return _without_machine(arguments)
    if arguments.config is not None or arguments.option:
        raise UsageError(
            "--hardware plans with a checkpoint and the engine's own settings.",
            remedy="Leave --config and --option out, or --hardware.",
        )
    return _over_contexts(arguments.checkpoint, request, arguments.engine)


def _without_machine(arguments: argparse.Namespace) -> CommandResult:
    settings: dict[str, Any] = {
        "context_tokens": arguments.context_tokens,
        "concurrency": arguments.concurrency,
        "options": _options(arguments.option),
    }
    if arguments.config is not None:
        from seatrial.memory import config_footprint

        name = str(arguments.config)
        config = _read_config(arguments.config)
        footprint = config_footprint(config, engine=arguments.engine or "sglang", source=name, **settings)
    else:
        from seatrial.memory import compute_footprint

        checkpoint = find_checkpoint(arguments.checkpoint)
        name = checkpoint.id
        footprint = compute_footprint(checkpoint, engine=arguments.engine, **settings)
    footprint = replace(footprint, notes=(*_options_of_others(settings["options"], footprint.engine), *footprint.notes))

    def show() -> None:
        from seatrial.view.tables.memory import caches_table, footprint_table, weights_table

        for table in (footprint_table(footprint, name), weights_table(footprint), caches_table(footprint)):
            stdout().print(table.to_rich())

    return CommandResult({"checkpoint": name, **to_dict(footprint)}, show)


def _over_contexts(name: str, request: Request, engine: str | None) -> CommandResult:
    """Return what a plan for the machine needs, and what it would need with shorter and longer contexts."""
    from seatrial.plan import fits

    plan = fits.plan_named(name, request, engine)
    checkpoint = find_checkpoint(plan.checkpoint)
    plans = fits.checkpoint_plans(request, checkpoint, plan.engine)
    fit = fits.fit_of(plan, request)
    contexts = [
        {
            "context_tokens": one.context_tokens,
            "verdict": one.verdict,
            "held_at_once": one.footprint.concurrency,
            "need_bytes": one.need_bytes,
            "capacity_bytes": fits.available_bytes(one),
            "shortfall_bytes": one.shortfall_bytes,
        }
        for one in plans
    ]
    document = {
        "checkpoint": checkpoint.id,
        **to_dict(plan.footprint),
        "hardware": to_dict(request.hardware),
        "verdict": plan.verdict,
        "largest_context_tokens": fit.largest_context_tokens,
        "contexts": contexts,
    }

    def show() -> None:
        from seatrial.view.plots.gpu_memory import gpu_memory_chart
        from seatrial.view.tables.fits import contexts_table
        from seatrial.view.tables.memory import footprint_table

        gpus = gpu_memory_chart(plan).to_table()
        need = footprint_table(plan.footprint, checkpoint.id, plan.need_bytes)
        for table in (need, gpus, contexts_table(plans, fit)):
            stdout().print(table.to_rich())

    return CommandResult(document, show)


def _options(words: list[str]) -> dict[str, str]:
    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--option {word[:80]!r} has no value.", remedy="Write it as --option NAME=VALUE.")
        options[name] = value
    return options


def _options_of_others(options: dict[str, str], engine: str) -> tuple[str, ...]:
    """Return a note for each option that belongs to another engine and changes nothing."""
    owners = {name: HELP[name].partition(":")[0] for name in options}
    return tuple(
        f"{name} is a setting of {owner} and changes nothing for {engine}."
        for name, owner in owners.items()
        if owner in ENGINES and owner != engine
    )


def _read_config(path: Path) -> dict[str, Any]:
    from seatrial.records import read_json

    config = read_json(path, _MAX_CONFIG_BYTES)
    if not isinstance(config, dict):
        raise ModelFileError(f"{path} is not a JSON object.", remedy="Give the config.json of a model.")
    return config
