"""A command as one would type it: variables first, then a flag a line, quoted for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from seatrial.engines import Command, MachineCommand, machine_commands
from seatrial.view.untrusted import PlainText

_PLACEHOLDERS = "{port} and {key_file} are filled in at launch: a free port, and a file only you can read."
_SEVERAL = (
    "Start them within minutes of one another. {head_address} is the address at which the others reach the first machine, "
    "{port} a free port; seatrial serve starts engines on this machine alone."
)
"""What is left open where several machines run one model."""
_LISTED = 4
"""Machines whose commands are written out; of more, the first two."""


def left_open(nodes: int) -> str:
    """What the words in braces stand for in the commands of so many machines."""
    return _PLACEHOLDERS if nodes == 1 else _SEVERAL


def commands_text(command: Command) -> str:
    """The command of each machine for reading and copying; comments say which is whose where there are several."""
    if command.nodes == 1:
        return command_text(command.argv, command.env)
    each = machine_commands(command)
    shown = each if command.nodes <= _LISTED else each[:2]
    parts = [f"{_whose(one, command)}\n{command_text(one.argv, one.env)}" for one in shown]
    if len(shown) < len(each):
        parts.append(
            f"# Machines {len(shown) + 1} to {len(each)}: as machine 2, with ranks {len(shown)} to {len(each) - 1}."
        )
    return "\n\n".join(parts)


def _whose(one: MachineCommand, command: Command) -> str:
    number = f"# Machine {one.rank + 1} of {command.nodes}"
    if one.rank:
        return f"{number}."
    key = f"the variable {command.key_env}" if command.key_env else f"{{key_file}}, as {command.key_file_text.strip()}"
    return f"{number}: takes the requests. Its API key comes from {key}."


def command_text(argv: Iterable[object], env: Mapping[str, object]) -> str:
    """Program and flags for reading and copying; empty where there is no command.

    Args:
        argv: Program and arguments of one rank.
        env: Environment variables to add.

    """
    words = [shlex.quote(str(word)) for word in argv]
    if not words:
        return ""
    lines = [f"{name}={shlex.quote(str(value))}" for name, value in env.items()]
    lines.append(words[0])
    for word in words[1:]:
        if word.lstrip("'").startswith("--"):
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {word}"
    return " \\\n".join(lines)


def show_command(command: Command) -> PlainText:
    """The whole command in a notebook, of each machine where there are several."""
    title = "The command" if command.nodes == 1 else f"The commands of {command.nodes} machines"
    return PlainText(f"{commands_text(command)}\n\n{left_open(command.nodes)}", title=title)
