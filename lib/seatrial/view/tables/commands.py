"""A command as a person types it: variables first, then the flags, quoted for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from seatrial.engines import Command, MachineCommand, machine_commands
from seatrial.view.untrusted import PlainText

_LISTED = 4  # of more machines only the first two commands are written out


def placeholders_note(nodes: int) -> str:
    """Return what is filled in for the words in braces, in the commands of so many machines."""
    if nodes == 1:
        return "{port} and {key_file} are filled in at launch: a free port, and a file only you can read."
    return (
        "Start them within minutes of one another. {head_address} is the address at which the others reach the first "
        "machine, {port} a free port; seatrial serve starts engines on this machine only."
    )


def commands_text(command: Command, width: int = 0, *, brief: bool = False) -> str:
    """Return the command of each machine for reading and copying; if there are several, comments tell them apart.

    Args:
        command: What to write.
        width: Columns to fill with several flags a line; 0 for a flag a line.
        brief: Of machines after the first, return only what differs.

    """
    if command.nodes == 1:
        return command_text(command.argv, command.env, width)
    first, *others = machine_commands(command)
    shown = others if command.nodes <= _LISTED else others[:1]
    parts = [f"{_comment(first, command)}\n{command_text(first.argv, first.env, width)}"]
    for one in shown:
        if brief:
            changed = shlex.join(word for word in one.argv if word not in first.argv)
            parts.append(f"{_comment(one, command).rstrip('.')}: the same with {changed} (--why shows it whole).")
        else:
            parts.append(f"{_comment(one, command)}\n{command_text(one.argv, one.env, width)}")
    if len(shown) < len(others):
        ranks = f"ranks {len(shown) + 1} to {len(others)}"
        parts.append(f"# Machines {len(shown) + 2} to {command.nodes}: as machine 2, with {ranks}.")
    return ("\n" if brief else "\n\n").join(parts)


def _comment(one: MachineCommand, command: Command) -> str:
    number = f"# Machine {one.rank + 1} of {command.nodes}"
    if one.rank:
        return f"{number}."
    key = f"the variable {command.key_env}" if command.key_env else f"{{key_file}}, as {command.key_file_text.strip()}"
    return f"{number}: takes the requests. Its API key comes from {key}."


def command_text(argv: Iterable[object], env: Mapping[str, object], width: int = 0) -> str:
    """Return program and flags for reading and copying; empty if there is no command.

    Args:
        argv: Program and arguments of one rank.
        env: Environment variables to add.
        width: Columns to fill with several flags a line; 0 for a flag a line.

    """
    words = [shlex.quote(str(word)) for word in argv]
    if not words:
        return ""
    parts = [*(f"{name}={shlex.quote(str(value))}" for name, value in env.items()), words[0]]
    for word in words[1:]:
        if word.lstrip("'").startswith("--"):
            parts.append(f"  {word}")
        else:
            parts[-1] += f" {word}"
    lines = parts[:1]
    for part in parts[1:]:
        if len(lines[-1]) + len(part.strip()) + len("  \\") < width:
            lines[-1] += f" {part.strip()}"
        else:
            lines.append(part)
    return " \\\n".join(lines)


def show_command(command: Command) -> PlainText:
    """Return the whole command for a notebook; if there are several machines, that of each."""
    title = "The command" if command.nodes == 1 else f"The commands of {command.nodes} machines"
    return PlainText(f"{commands_text(command)}\n\n{placeholders_note(command.nodes)}", title=title)
