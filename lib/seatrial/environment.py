"""Reads environment variables: what is set and blank counts as not set, for every variable of the kit.

``docker -e NAME=`` and empty lines of an env file set a variable without a value. Files written on Windows end values with
a carriage return. Nobody means a folder, a host or a width by either.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

from seatrial.errors import UsageError

_TERMINAL = {"COLUMNS": (10, 1000), "LINES": (5, 1000)}
"""Least and most of the sizes of a terminal that its programs may trust."""
_dropped: dict[str, str] = {}


def variable(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """Return the value of an environment variable without blanks around it, None if it is unset or blank.

    Args:
        name: Name of the variable.
        environment: Environment variables, by default those of this process.

    Raises:
        UsageError: If the value is not UTF-8 text.

    """
    value = (os.environ if environment is None else environment).get(name, "").strip()
    if not is_text(value):
        raise UsageError(f"{name} is not UTF-8 text.", remedy=f"Correct {name}.")  # not repeated: it may be a token
    return value or None


def is_text(value: str) -> bool:
    """Return True if a word from outside this process is UTF-8: records, JSON and terminals take nothing else."""
    try:
        value.encode()
    except UnicodeEncodeError:  # Python stands in lone surrogates for bytes that are none (PEP 383)
        return False
    return True


def drop_odd_sizes(environment: MutableMapping[str, str] | None = None) -> None:
    """Remove ``COLUMNS`` and ``LINES`` that no terminal has, so that the size is found out or taken as usual.

    rich and argparse take them at their word: with ``COLUMNS=0`` a table has no columns.
    """
    variables = os.environ if environment is None else environment
    for name, (least, most) in _TERMINAL.items():
        value = variables.get(name)
        if value is not None and not (value.isascii() and value.isdigit() and least <= int(value[:9]) <= most):
            if variables is os.environ:
                _dropped[name] = value
            del variables[name]


def inherited() -> dict[str, str]:
    """Return the environment that this process was started with and has changed since, with the sizes it dropped for itself.

    What it starts for a person gets that person's variables.
    """
    return {**_dropped, **os.environ}
