"""A command as one would type it: variables first, then a flag a line, quoted for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from seatrial.engines import Command
from seatrial.view.untrusted import PlainText

PLACEHOLDERS = "{port} and {key_file} are filled in at launch: a free port, and a file only you can read."


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
    """The whole command of one rank in a notebook."""
    return PlainText(f"{command_text(command.argv, command.env)}\n\n{PLACEHOLDERS}", title="The command")
