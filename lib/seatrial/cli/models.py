"""List models and checkpoints of the catalog, with the size of each and the source of that figure.

seatrial models                                      the catalog
seatrial models --hardware h200x4                    which run on this machine, how, how fast
seatrial models --hardware auto --model pro --context-tokens 131072 --concurrency 16

With --hardware the list has every checkpoint of known size that an engine on that machine loads; among equals, those
that cannot chat (Base) come last. The others are named below the table, with the reason.
Any id of this list can be given to --checkpoint; a model's name stands for its default checkpoint.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seatrial.catalog import checkpoints, models
from seatrial.catalog.listing import drafters
from seatrial.cli.answer import CommandResult, stdout
from seatrial.cli.machine import add_machine_options, machine_request
from seatrial.cli.options import whole_number
from seatrial.records import to_dict

if TYPE_CHECKING:
    from seatrial.plan.fits import Fit
    from seatrial.plan.request import Request


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial models``."""
    add_machine_options(parser)
    parser.add_argument("--model", default=None, help="with --hardware: flash or pro (default: both)")
    parser.add_argument(
        "--context-tokens", type=whole_number(), default=None, help="with --hardware: context of each request"
    )
    parser.add_argument(
        "--concurrency", type=whole_number(), default=1, help="with --hardware: requests at once (default: 1)"
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """List the catalog, or the part of it that runs on a machine."""
    catalog = {"models": to_dict(models()), "checkpoints": to_dict(checkpoints()), "drafters": to_dict(drafters())}
    request = machine_request(arguments, ("model", "context_tokens"))
    if request is None:
        return CommandResult(catalog, _show)
    from seatrial.plan.fits import fits_on, left_out

    official = [model.id for model in models() if model.role == "official"]
    names = [arguments.model] if arguments.model else official
    found = {name: fits_on(request, name) for name in names}
    rows = [_row(fit) for fits in found.values() for fit in fits]
    document = {**catalog, "hardware": to_dict(request.hardware), "fits": rows}
    document["left_out"] = {name: left_out(request, name) for name in names}
    return CommandResult(document, lambda: _show_fits(found, request))


def _row(fit: Fit) -> dict[str, Any]:
    plan = fit.plan
    return {
        **{name: getattr(plan, name) for name in ("model", "checkpoint", "verdict", "engine", "context_tokens")},
        "concurrency": plan.concurrency,
        "weights_bytes": plan.footprint.weights_bytes,
        "per_gpu_bytes": plan.footprint.per_gpu_bytes,
        "host_bytes": plan.footprint.host_bytes,
        "need_bytes": plan.need_bytes,
        "capacity_bytes": plan.capacity_bytes,
        "shortfall_bytes": plan.shortfall_bytes,
        "largest_context_tokens": fit.largest_context_tokens,
        "prediction": to_dict(plan.prediction),
        "reason": to_dict(plan.reasons[0]),
    }


def _show_fits(found: dict[str, tuple[Fit, ...]], request: Request) -> None:
    from seatrial.view.tables.fits import fits_table

    for name, fits in found.items():
        stdout().print(fits_table(fits, request, name).to_rich())


def _show() -> None:
    from seatrial.view.tables.catalog import checkpoints_table, drafters_table, models_table

    console = stdout()
    console.print(models_table(models()).to_rich())
    for model in models():
        console.print(checkpoints_table(model, checkpoints()).to_rich())
    console.print(drafters_table(drafters()).to_rich())
