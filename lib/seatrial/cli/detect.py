"""Describe this machine, or one you name: accelerators, memory, disk, driver, problems.

seatrial detect                               this machine
seatrial detect --hardware h100x8             eight H100 in one machine
seatrial detect --hardware m3-ultra-512gb     unified memory names its size
seatrial detect --hardware cpu --host-memory-gib 192
"""

from __future__ import annotations

import argparse

from seatrial.cli.answer import CommandResult, stdout
from seatrial.cli.options import positive_number
from seatrial.hardware import detect_hardware
from seatrial.records import to_dict


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial detect``."""
    parser.add_argument(
        "--hardware", default="auto", help="auto (default), cpu, h100x8, rtx4090x2, m3-ultra-512gb, ..."
    )
    parser.add_argument(
        "--host-memory-gib", type=positive_number(), default=None, help="host memory of a named machine"
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """Describe the machine."""
    hardware = detect_hardware(arguments.hardware, host_memory_gib=arguments.host_memory_gib)

    def show() -> None:
        from seatrial.view.tables.hardware import tables_hardware

        for table in tables_hardware(hardware):
            stdout().print(table.to_rich())

    return CommandResult(to_dict(hardware), show)
