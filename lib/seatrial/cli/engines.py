"""List the engines this kit can start: path, version, known vulnerabilities of each.

seatrial engines                 every program of every engine
seatrial engines --json          the same for programs
seatrial engines install NAME    sglang, vllm, llama-cpp-python or mlx, in an environment of its own
seatrial engines remove NAME     remove that again

Variables name an engine that lies elsewhere (docs/engines.md): SEATRIAL_LLAMA_SERVER,
SEATRIAL_LLAMACPP_PYTHON, SEATRIAL_SGLANG_PYTHON, SEATRIAL_VLLM, SEATRIAL_MLX.
"""

from __future__ import annotations

import argparse

from seatrial.cli import engines_install
from seatrial.cli.answer import CommandResult, stdout
from seatrial.records import to_dict


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare ``seatrial engines install`` and ``remove``."""
    engines_install.add_commands(parser)


def run(arguments: argparse.Namespace) -> CommandResult:
    """List the engines, or install or remove one."""
    if arguments.action is not None:
        return (
            engines_install.install(arguments) if arguments.action == "install" else engines_install.remove(arguments)
        )
    from seatrial.programs.inventory import list_engines

    rows = list_engines()

    def show() -> None:
        from seatrial.view.tables.engines import table_engines

        stdout().print(table_engines(rows).to_rich())

    return CommandResult([to_dict(row) for row in rows], show)
