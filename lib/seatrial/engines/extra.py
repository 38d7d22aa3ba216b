"""Options a person adds to an engine's command: those that tune pass, everything else is refused with the reason.

What passes stands in ``options/<engine>.toml``, why the rest does not in ``options/refused.toml``. An option
that is in no list is refused too: a new engine version may give it any meaning.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from seatrial.engines.snapshot import FLAGS, read_snapshot, rejected
from seatrial.engines.types import Command
from seatrial.errors import RefusedError, UnknownNameError, UsageError
from seatrial.plan.vendor.spellings import LEFT_OUT, flag_values
from seatrial.printable import shortened
from seatrial.records import from_dict

OPTIONS = Path(__file__).with_name("options")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST = 200
_APART = "llama-server"
"""The one program that takes ``--flag value`` and not ``--flag=value``."""
_PYTHON_SERVER = "llama-cpp-python"


@dataclass(frozen=True, slots=True)
class Option:
    """One option that may be added.

    Attributes:
        name: Without dashes in front.
        takes: A whole number, a number, one of ``choices``, or nothing.
        what: What it does, in a few words.
        least: Smallest number.
        most: Largest number.
        choices: Values; empty where the engine's own parser names them.
        python: Its name for llama-cpp-python's server, None where that has none.

    """

    name: str
    takes: Literal["count", "number", "choice", "switch"]
    what: str
    least: float = 0
    most: float = 0
    choices: tuple[str, ...] = ()
    python: str | None = None


@dataclass(frozen=True, slots=True)
class Doors:
    """What may be added to one engine, and what it never gets.

    Attributes:
        key: Whether it refuses requests that lack its API key.
        key_source: Where that is known from.
        closed_variables: Environment variables it is not given: they would do what a refused option does. A
            name may hold ``*``.
        options: What may be added.
        source: Where this is known from.
        checked: When.

    """

    key: bool
    key_source: str
    closed_variables: tuple[str, ...]
    options: tuple[Option, ...]
    source: str
    checked: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Options that are never passed on, and why."""

    pattern: str
    why: str
    remedy: str


@cache
def doors(engine: str) -> Doors | None:
    """What may be added to an engine; None for one this kit knows nothing of."""
    path = OPTIONS / f"{engine}.toml"
    if not NAME.fullmatch(engine) or not path.is_file():
        return None
    return from_dict(Doors, _read(path))


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule of refusal, in the order they are tried."""
    return from_dict(tuple[Rule, ...], _read(OPTIONS / "refused.toml")["rules"])


def closed_variables(engine: str) -> tuple[str, ...]:
    """Environment variables this engine is not given; a name may hold ``*``."""
    own = doors(engine)
    common: list[str] = _read(OPTIONS / "common.toml")["closed_variables"]
    return (*common, *(own.closed_variables if own else ()))


def add_options(command: Command, options: Iterable[str]) -> Command:
    """The command with options added, or put in the place of those it has.

    Args:
        command: Of one engine.
        options: ``name=value``, or ``name`` for a switch; dashes in front may be there.

    Raises:
        RefusedError: An option that loads code, opens, reads or writes something, or that the plan decides.
        UnknownNameError: An option in no list.
        UsageError: A value it does not take, or an option given twice.

    """
    argv = command.argv
    seen: set[str] = set()
    for text in options:
        name, value = _split(text)
        option = _find(command.engine, name)
        if name in seen:
            raise UsageError(f"The engine option {name} is given twice.", remedy="Give it once.")
        seen.add(name)
        argv = _placed(argv, _flag(option, command), _checked(command.engine, option, value), command.program == _APART)
    return replace(command, argv=argv)


def set_host(command: Command, host: str) -> Command:
    """The command listening on another address."""
    return replace(command, argv=_placed(command.argv, "--host", host, command.program == _APART))


def host_of(command: Command) -> str | None:
    """The address a command names, None where it names none."""
    return flag_values(command.argv).get("--host")


def check_words(argv: Iterable[str]) -> None:
    """Refuse flags that are never started, whoever wrote the command.

    Raises:
        RefusedError: One that runs code from a model or a request, or shows a key.

    """
    for word in argv:
        name = word.partition("=")[0].replace("_", "-")
        if name in LEFT_OUT:
            rule = next(rule for rule in rules() if re.fullmatch(rule.pattern, name.removeprefix("--")))
            raise RefusedError(f"The flag {name} is refused: {rule.why}.", remedy=rule.remedy)


def _split(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    plain = name.removeprefix("-").removeprefix("-").casefold().replace("_", "-")
    if len(text) > _LONGEST or not text.isprintable() or not NAME.fullmatch(plain.partition(".")[0]):
        raise UsageError(
            f"{_shown(text)} is no engine option.",
            remedy=f"Give name=value, or a name alone for a switch, in at most {_LONGEST} characters.",
        )
    return plain, value if equals else None


def _find(engine: str, name: str) -> Option:
    known = doors(engine)
    listed = {option.name: option for option in known.options} if known else {}
    if name in listed:
        return listed[name]
    for rule in rules():
        if re.fullmatch(rule.pattern, name.partition(".")[0]):
            raise RefusedError(f"The engine option --{name} is refused: {rule.why}.", remedy=rule.remedy)
    raise UnknownNameError(f"option that may be added to {engine}", name, listed)


def _flag(option: Option, command: Command) -> str:
    if command.program != _PYTHON_SERVER:
        return f"--{option.name}"
    if option.python is None:
        raise RefusedError(
            f"llama_cpp.server has no option for {option.name}.", remedy="Launch with xllamacpp or llama-server."
        )
    return f"--{option.python}"


def _checked(engine: str, option: Option, value: str | None) -> str | None:
    """The value, if the option takes it."""
    flag = f"--{option.name}"
    if option.takes == "switch":
        if value is not None:
            raise UsageError(f"The engine option {flag} takes no value.", remedy=f"Give {option.name} alone.")
    elif value is None or not _takes(engine, option, value):
        given = "nothing" if value is None else _shown(value)
        raise UsageError(f"The engine option {flag} takes {_wanted(engine, option)}, not {given}.", remedy=option.what)
    elif (FLAGS / f"{engine}.json").is_file() and (problems := rejected(engine, [f"{flag}={value}"])):
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


def values_of(engine: str, option: Option) -> Sequence[str]:
    """The values a choice takes, from the list or from the engine's own parser."""
    return option.choices or read_snapshot(engine).choices[f"--{option.name}"]


def _placed(argv: tuple[str, ...], flag: str, value: str | None, apart: bool) -> tuple[str, ...]:
    """``argv`` with the flag, in the place it already has or at the end."""
    words = [flag] if value is None else [flag, value] if apart else [f"{flag}={value}"]
    for index, word in enumerate(argv):
        if word.partition("=")[0] == flag:
            return (*argv[:index], *words, *argv[index + len(words) :])
    return (*argv, *words)


def _shown(text: str) -> str:
    return repr(shortened(text, 60))


def _read(path: Path) -> Any:
    return tomllib.loads(path.read_text(encoding="utf-8"))
