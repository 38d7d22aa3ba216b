"""Options a person adds to an engine's command: those that tune pass, everything else is refused with the reason.

``options/<engine>.toml`` lists what passes, ``options/refused.toml`` why the rest does not. An option in no list is
refused too: a new engine version may give it any meaning.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from seatrial.engines.snapshot import NEVER_STARTED, has_snapshot, read_snapshot, rejected
from seatrial.engines.types import Command
from seatrial.errors import RefusedError, UnknownNameError, UsageError
from seatrial.flags import Flags
from seatrial.printable import shortened
from seatrial.records import from_dict

OPTIONS = Path(__file__).with_name("options")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Option:
    """One option that may be added."""

    name: str  # without dashes in front
    takes: Literal["count", "number", "choice", "switch"]  # a count is a whole number, a switch takes nothing
    what: str  # its effect, in a few words
    least: float = 0  # smallest number
    most: float = 0  # largest number
    choices: tuple[str, ...] = ()  # values; empty if the engine's own parser names them
    python: str | None = None  # its name for llama-cpp-python's server, None if that has none


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What may be added to one engine, and what it never gets."""

    key: bool  # it refuses requests that lack its API key
    key_source: str
    closed_variables: tuple[str, ...]  # variables that would do what a refused option does; a name may hold *
    options: tuple[Option, ...]
    source: str
    checked: str  # when


@dataclass(frozen=True, slots=True)
class Rule:
    """Options that are never passed on, and why."""

    pattern: str
    why: str
    remedy: str


@cache
def engine_options(engine: str) -> EngineOptions | None:
    """Return what may be added to an engine, None if the kit knows nothing of it."""
    path = OPTIONS / f"{engine}.toml"
    if not _NAME.fullmatch(engine) or not path.is_file():
        return None
    return from_dict(EngineOptions, _read(path))


@cache
def rules() -> tuple[Rule, ...]:
    """Return every rule of refusal, in the order they are tried."""
    return from_dict(tuple[Rule, ...], _read(OPTIONS / "refused.toml")["rules"])


def closed_variables(engine: str) -> tuple[str, ...]:
    """Return the environment variables this engine is not given; a name may hold ``*``."""
    own = engine_options(engine)
    common: list[str] = _read(OPTIONS / "common.toml")["closed_variables"]
    return (*common, *(own.closed_variables if own else ()))


def add_options(command: Command, options: Iterable[str]) -> Command:
    """Return the command with options added, or put in the place of those it has.

    Args:
        command: Of one engine.
        options: ``name=value``, or ``name`` for a switch; dashes in front are allowed.

    Raises:
        RefusedError: If an option loads code, opens, reads or writes something, or is the plan's decision.
        UnknownNameError: If an option is in no list.
        UsageError: If an option does not take the value or is given twice.

    """
    flags = command.flags
    seen: set[str] = set()
    for text in options:
        name, value = _split(text)
        option = _find(command.engine, name)
        if name in seen:
            raise UsageError(f"The engine option {name} is given twice.", remedy="Give it once.")
        seen.add(name)
        flags = flags.with_value(_flag(option, command), _checked(command.engine, option, value))
    return command.with_flags(flags)


def set_host(command: Command, host: str) -> Command:
    """Return the command listening on another address."""
    return command.with_flags(command.flags.with_value("--host", host))


def host_of(command: Command) -> str | None:
    """Return the address a command listens on, None if it names none."""
    return command.flags.get("--host")


def check_flags(command: Command) -> None:
    """Refuse flags that the kit never starts, whoever wrote the command.

    Raises:
        RefusedError: If a flag runs code from a model or a request, or shows a key.

    """
    for flag in command.flags:
        name = flag.replace("_", "-")
        if name in NEVER_STARTED:
            rule = next(rule for rule in rules() if re.fullmatch(rule.pattern, name.removeprefix("--")))
            raise RefusedError(f"The flag {name} is refused: {rule.why}.", remedy=rule.remedy)


def values_of(engine: str, option: Option) -> Sequence[str]:
    """Return the values a choice takes, from the list or from the engine's own parser."""
    return option.choices or read_snapshot(engine).choices[f"--{option.name}"]


def _split(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    plain = name.removeprefix("-").removeprefix("-").casefold().replace("_", "-")
    if len(text) > _LONGEST or not text.isprintable() or not _NAME.fullmatch(plain.partition(".")[0]):
        raise UsageError(
            f"{_shown(text)} is no engine option.",
            remedy=f"Give name=value, or only the name of a switch, in at most {_LONGEST} characters.",
        )
    return plain, value if equals else None


def _find(engine: str, name: str) -> Option:
    known = engine_options(engine)
    listed = {option.name: option for option in known.options} if known else {}
    if name in listed:
        return listed[name]
    for rule in rules():
        if re.fullmatch(rule.pattern, name.partition(".")[0]):
            raise RefusedError(f"The engine option --{name} is refused: {rule.why}.", remedy=rule.remedy)
    raise UnknownNameError(f"option that may be added to {engine}", name, listed)


def _flag(option: Option, command: Command) -> str:
    if command.program != "llama-cpp-python":
        return f"--{option.name}"
    if option.python is None:
        raise RefusedError(
            f"llama_cpp.server has no option for {option.name}.", remedy="Launch with xllamacpp or llama-server."
        )
    return f"--{option.python}"


def _checked(engine: str, option: Option, value: str | None) -> str | None:
    """Return the value if the option takes it."""
    flag = f"--{option.name}"
    if option.takes == "switch":
        if value is not None:
            raise UsageError(f"The engine option {flag} takes no value.", remedy=f"Give only {option.name}.")
    elif value is None or not _takes(engine, option, value):
        given = "nothing" if value is None else _shown(value)
        raise UsageError(f"The engine option {flag} takes {_wanted(engine, option)}, not {given}.", remedy=option.what)
    elif has_snapshot(engine) and (problems := rejected(engine, Flags.of({flag: value}))):
        raise UsageError(" ".join(problems), remedy=option.what)
    return value


def _takes(engine: str, option: Option, value: str) -> bool:
    if option.takes == "choice":
        return value in values_of(engine, option)
    pattern = r"-?[0-9]{1,12}" if option.takes == "count" else r"[0-9]{1,9}(\.[0-9]{1,9})?"
    return bool(re.fullmatch(pattern, value, re.ASCII)) and option.least <= float(value) <= option.most


def _wanted(engine: str, option: Option) -> str:
    if option.takes == "choice":
        return f"one of {', '.join(values_of(engine, option))}"
    kind = "a whole number" if option.takes == "count" else "a number"
    return f"{kind} from {_number(option.least)} to {_number(option.most)}"


def _number(value: float) -> str:
    return f"{math.floor(value):,}" if value == math.floor(value) else f"{value:g}"


def _shown(text: str) -> str:
    return repr(shortened(text, 60))


def _read(path: Path) -> Any:
    return tomllib.loads(path.read_text(encoding="utf-8"))
