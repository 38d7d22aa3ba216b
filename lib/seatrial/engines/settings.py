"""Puts settings of an engine (threads, batch sizes, slots) into its command, by the engine's data file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from seatrial.catalog.engine_facts import Setting, engine_facts
from seatrial.engines.types import Command
from seatrial.errors import UnknownNameError, UsageError

VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


def settings_of(engine: str) -> dict[str, Setting]:
    """Return what ``seatrial tune`` may change of an engine, by name."""
    return {row.name: row for row in engine_facts(engine).tune}


def applies(row: Setting, command: Command) -> bool:
    """Return True if the command's program knows the setting."""
    return bool(row.variable or _flag_of(row, command.program))


def value_of(command: Command, row: Setting) -> str | None:
    """Return the value a command gives a setting, None if it leaves that to the engine."""
    return command.env.get(row.variable) if row.variable else command.flags.get(_flag_of(row, command.program))


def check_value(name: str, value: str) -> None:
    """Check that a value is a number or a word, as every setting takes.

    Raises:
        UsageError: If it is neither.

    """
    if not VALUE.fullmatch(value):
        raise UsageError(f"{value[:40]!r} is no value of {name}.", remedy="Use a number or a word.")


def apply_settings(command: Command, settings: Mapping[str, str]) -> Command:
    """Return the command with these settings, except those its program does not know.

    Args:
        command: Of any engine.
        settings: Values by the name of the setting.

    Raises:
        UnknownNameError: If the engine has no such setting.
        UsageError: If a value is neither a number nor a word.

    """
    known = settings_of(command.engine)
    for name, value in settings.items():
        if name not in known:
            raise UnknownNameError(f"setting of {command.engine}", name, known)
        check_value(name, value)
        if applies(known[name], command):
            command = _with_setting(command, known[name], value)
    return command


def _flag_of(row: Setting, program: str) -> str:
    """Return the flag that sets this setting for a program, empty if the program has none."""
    return row.flag if isinstance(row.flag, str) else row.flag.get(program, "")


def _with_setting(command: Command, row: Setting, value: str) -> Command:
    if row.variable:
        return replace(command, env={**command.env, row.variable: value})
    flag = _flag_of(row, command.program)
    before = command.flags.get(flag)
    flags = command.flags.with_value(flag, value)
    for follower in row.with_flag:
        total = flags.get(follower)
        if before and total:
            flags = flags.with_value(follower, str(int(total) // int(before) * int(value)))
    return command.with_flags(flags)
