"""Options that name a machine, for commands that also work without one: ``models`` and ``footprint``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from seatrial.cli.options import positive_number, whole_number
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.plan.request import Request


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Declare the machine, how many there are, and their host memory."""
    parser.add_argument(
        "--hardware",
        default=None,
        help="machine to plan for: auto, h100x8, rtx4090x2, ..., or a file of seatrial detect --json",
    )
    parser.add_argument("--nodes", type=whole_number(), default=None, help="machines of that kind (default: 1)")
    parser.add_argument(
        "--host-memory-gib", type=positive_number(), default=None, help="host memory of a named machine"
    )


def machine_request(arguments: argparse.Namespace, needing: tuple[str, ...] = ()) -> Request | None:
    """Return the request to the planner, None if no machine was named.

    Args:
        arguments: Arguments of the command.
        needing: Further options that need a machine.

    Raises:
        UnknownNameError: There is no such machine.
        UsageError: If a number is one that no machine has, or options need a machine and none is named.

    """
    if arguments.hardware is None:
        for name in ("nodes", "host_memory_gib", *needing):
            if getattr(arguments, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} needs a machine, and none is named.", remedy="Add --hardware."
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
