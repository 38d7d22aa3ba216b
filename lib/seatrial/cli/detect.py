"""Describe this machine, or one you name: accelerators, memory, disk, driver, problems.

seatrial detect                               this machine
seatrial detect --hardware h100x8             eight H100 in one machine
seatrial detect --hardware m3-ultra-512gb     unified memory names its size
seatrial detect --hardware cpu --host-memory-gib 192
seatrial detect --json > machine.json         for plans elsewhere: seatrial plan --hardware machine.json
seatrial detect --measure                     this machine, and how fast its memory is read (about 5 s)
"""

from __future__ import annotations

import argparse

from seatrial.cli.answer import CommandResult, stdout
from seatrial.cli.options import positive_number
from seatrial.errors import UsageError
from seatrial.hardware import Hardware, detect_hardware
from seatrial.records import to_dict


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial detect``."""
    parser.add_argument(
        "--hardware",
        default="auto",
        help="auto (default), cpu, h100x8, m3-ultra-512gb, ..., or a file of seatrial detect --json",
    )
    parser.add_argument(
        "--host-memory-gib", type=positive_number(), default=None, help="host memory of a named machine"
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="read the memory bandwidth of this machine, host and each GPU, for this and later plans",
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """Describe the machine."""
    hardware = _measured(arguments) if arguments.measure else _described(arguments)

    def show() -> None:
        from seatrial.view.tables.hardware import tables_hardware

        for table in tables_hardware(hardware):
            stdout().print(table.to_rich())

    return CommandResult(to_dict(hardware), show)


def _described(arguments: argparse.Namespace) -> Hardware:
    return detect_hardware(arguments.hardware, host_memory_gib=arguments.host_memory_gib)


def _measured(arguments: argparse.Namespace) -> Hardware:
    """Measure this machine.

    Raises:
        UsageError: If another machine is named, which cannot be measured here.

    """
    if arguments.hardware.casefold() != "auto" or arguments.host_memory_gib is not None:
        other = arguments.hardware if arguments.host_memory_gib is None else "a machine with another host memory"
        raise UsageError(
            f"--measure reads this machine, and {other} is not here to be read.",
            remedy="Leave --hardware and --host-memory-gib out.",
        )
    from seatrial.hardware.bandwidth.measure import measure_bandwidth

    return measure_bandwidth()
