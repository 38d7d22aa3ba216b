"""Settings of an engine put into its command: threads, batch sizes, slots, by the engine's data file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from seatrial.catalog.engine_facts import Setting, engine_facts
from seatrial.engines.types import Command
from seatrial.errors import UnknownNameError, UsageError

VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


def settings_of(engine: str) -> dict[str, Setting]:
    """What ``seatrial tune`` may change of an engine, by name."""
    return {row.name: row for row in engine_facts(engine).tune}


def _flag_of(row: Setting, program: str) -> str:
    """The argument a setting is for a program; empty where it has none."""
    return row.flag if isinstance(row.flag, str) else row.flag.get(program, "")


def applies(row: Setting, command: Command) -> bool:
    """Whether this program knows the setting."""
    return bool(row.variable or _flag_of(row, command.program))


def value_of(command: Command, row: Setting) -> str | None:
    """What a command sets a setting to, None where it leaves it to the engine."""
    if row.variable:
        return command.env.get(row.variable)
    return _find(command.argv, _flag_of(row, command.program))


def check_value(name: str, value: str) -> None:
    """Hold a value against what any setting takes.

    Raises:
        UsageError: It is neither a number nor a word.

    """
    if not VALUE.fullmatch(value):
        raise UsageError(f"{value[:40]!r} is no value of {name}.", remedy="Use a number or a word.")


def apply_settings(command: Command, settings: Mapping[str, str]) -> Command:
    """The same command with some settings changed; those its program does not know stay as they are.

    Args:
        command: Of any engine.
        settings: Values by the name of the setting.

    Raises:
        UnknownNameError: The engine has no such setting.
        UsageError: See ``check_value``.

    """
    known = settings_of(command.engine)
    for name, value in settings.items():
        if name not in known:
            raise UnknownNameError(f"setting of {command.engine}", name, known)
        check_value(name, value)
        if applies(known[name], command):
            command = _with(command, known[name], value)
    return command


def _with(command: Command, row: Setting, value: str) -> Command:
    if row.variable:
        return replace(command, env={**command.env, row.variable: value})
    flag = _flag_of(row, command.program)
    before = _find(command.argv, flag)
    argv = _put(command.argv, flag, value)
    for follower in row.with_flag:
        total = _find(argv, follower)
        if before and total:
            argv = _put(argv, follower, str(int(total) // int(before) * int(value)))
    return replace(command, argv=argv)


def _find(argv: tuple[str, ...], flag: str) -> str | None:
    for at, word in enumerate(argv):
        if word == flag:
            return argv[at + 1] if at + 1 < len(argv) else None
        if word.startswith(f"{flag}="):
            return word.removeprefix(f"{flag}=")
    return None


def _put(argv: tuple[str, ...], flag: str, value: str) -> tuple[str, ...]:
    """The arguments with one set, in the spelling (``--flag=value`` or two words) that the others have."""
    for at, word in enumerate(argv):
        if word == flag:
            return (*argv[: at + 1], value, *argv[at + 2 :])
        if word.startswith(f"{flag}="):
            return (*argv[:at], f"{flag}={value}", *argv[at + 1 :])
    joined = any(word.startswith("--") and "=" in word for word in argv)
    return (*argv, f"{flag}={value}") if joined else (*argv, flag, value)
