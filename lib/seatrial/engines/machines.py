"""The command of each machine that serves a part of one model: the same but for the rank and the worker's flag."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.catalog.engine_facts import engine_facts
from seatrial.engines.types import Command


@dataclass(frozen=True, slots=True)
class MachineCommand:
    """What one machine runs."""

    rank: int  # its number; 0 is the first machine, which takes the requests and whose address the others need
    argv: tuple[str, ...]  # program and arguments; on several machines ``{head_address}`` stays open too
    env: dict[str, str]  # environment variables to add


def machine_commands(command: Command) -> tuple[MachineCommand, ...]:
    """Return the command of each machine of a plan, the first machine's first."""
    worker = engine_facts(command.engine).versions.worker_flag
    found = []
    for rank in range(command.nodes):
        argv = tuple(word.replace("{node_rank}", str(rank)) for word in command.argv)
        found.append(MachineCommand(rank, (*argv, worker) if rank and worker else argv, dict(command.env)))
    return tuple(found)
