"""Options that name a machine where a command can also do without one: ``models`` and ``footprint``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from seatrial.cli.options import positive_number, whole_number
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.plan.request import Request


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """The machine, how many of it, and its host memory."""
    parser.add_argument("--hardware", default=None, help="does it fit there: auto, h100x8, rtx4090x2, ...")
    parser.add_argument("--nodes", type=whole_number(), default=None, help="machines of that kind (default: 1)")
    parser.add_argument(
        "--host-memory-gib", type=positive_number(), default=None, help="host memory of a named machine"
    )


def machine_request(arguments: argparse.Namespace, needing: tuple[str, ...] = ()) -> Request | None:
    """What is asked of the planner; None where no machine was named.

    Args:
        arguments: Of the command.
        needing: Further options that mean nothing without a machine.

    Raises:
        UnknownNameError: No such machine.
        UsageError: A number no machine has, or options of a machine without one.

    """
    if arguments.hardware is None:
        for name in ("nodes", "host_memory_gib", *needing):
            if getattr(arguments, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} is for a machine, and none is named.", remedy="Add --hardware."
                )
        return None
    from seatrial.hardware import detect_hardware
    from seatrial.plan.request import Request

    return Request(
        detect_hardware(arguments.hardware, host_memory_gib=arguments.host_memory_gib),
        nodes=arguments.nodes or 1,
        context_tokens=arguments.context_tokens,
        concurrency=arguments.concurrency,
    )
