"""Models and checkpoints the catalog knows, with the size of each and where that figure comes from.

Any id of this list can be given to --checkpoint; a model's name stands for its default checkpoint.
"""

from __future__ import annotations

import argparse

from seatrial.catalog import checkpoints, models
from seatrial.catalog.listing import all_models
from seatrial.cli.answer import Answer, stdout
from seatrial.records import to_dict


def configure(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""
    del parser


def run(arguments: argparse.Namespace) -> Answer:
    """List the catalog."""
    del arguments
    return Answer({"models": to_dict(models()), "checkpoints": to_dict(checkpoints())}, _show)


def _show() -> None:
    from seatrial.view.catalog_tables import checkpoints_table, models_table  # noqa: PLC0415 -- only people need it

    console = stdout()
    console.print(models_table(models()).to_rich())
    for model in all_models():
        console.print(checkpoints_table(model, checkpoints()).to_rich())
