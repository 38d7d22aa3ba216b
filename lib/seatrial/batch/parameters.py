"""Reads the parameters of a notebook, and refuses a wrong name, type or secret before anything runs.

papermill only warns about an unknown parameter, and writes a parameter's *name* into the notebook as code. So this
module checks names and types against the notebook's own cell.
"""

from __future__ import annotations

import ast
import keyword
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.batch.types import ParameterValue
from seatrial.errors import UnknownNameError, UsageError
from seatrial.given import read_text, refused
from seatrial.printable import shortened
from seatrial.secret_text import looks_secret

TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
_MAX_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of a notebook's parameters cell."""

    name: str
    kind: str
    default: ParameterValue
    help: str


def read_parameters(notebook: Any) -> dict[str, Parameter]:
    """Return the parameters of an opened notebook (an ``nbformat`` node), by name.

    They are the lines ``name: type = literal  # help`` of the cell tagged ``parameters``, if there is one; lines of any
    other form cannot be set from outside.
    """
    from papermill.translators import PythonTranslator

    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    if not tagged:
        return {}
    found = {}
    for line in PythonTranslator.inspect(tagged[0]):
        try:
            default: Any = ast.literal_eval(line.default)
        except (SyntaxError, ValueError):
            continue  # no literal, so nobody can set it from outside
        kind = type(default).__name__ if line.inferred_type_name == "None" else line.inferred_type_name
        if kind in TYPES and _is(kind, default):
            found[line.name] = Parameter(line.name, kind, default, line.help)
    return found


def parse_assignments(words: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return ``-p name value`` pairs as a dict.

    Raises:
        UsageError: If a name is no identifier, or is given twice.

    """
    values: dict[str, str] = {}
    for name, value in words:
        check_name(name)
        if name in values:
            raise UsageError(f"The parameter {name} is given twice.", remedy="Give it once, or use --grid name=a,b.")
        values[name] = value
    return values


def check_name(name: str) -> None:
    """Refuse a parameter name that is not a plain identifier: names become code.

    Raises:
        UsageError: If it is no ASCII identifier, or a Python keyword.

    """
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name) or name.startswith("_"):
        raise UsageError(
            f"{_shown(name)} is not a parameter name.",
            remedy="A parameter name is a word of letters, digits and underscores, such as context_tokens.",
        )


def choose_parameters(
    known: Mapping[str, Mapping[str, Parameter]], given: Mapping[str, Any]
) -> dict[str, dict[str, ParameterValue]]:
    """Return the values each notebook receives: those of its own parameters, in the right type.

    Args:
        known: Parameters of each notebook, by its name.
        given: Values by parameter name; text is read as the parameter's type.

    Raises:
        UnknownNameError: If no notebook has such a parameter; the message names the nearest.
        UsageError: If a value has the wrong type, or looks like a secret.

    """
    for name, value in given.items():
        check_name(name)
        _check_value(name, value)
        if not any(name in parameters for parameters in known.values()):
            raise UnknownNameError("parameter", name, sorted({one for each in known.values() for one in each}))
    return {
        notebook: {name: _typed(parameters[name], given[name]) for name in given if name in parameters}
        for notebook, parameters in known.items()
    }


def _check_value(name: str, value: Any) -> None:
    """Refuse a value that must not be stored in a notebook; the message never repeats the value.

    Raises:
        UsageError: If it looks like a secret, is no plain value, is too long or not printable.

    """
    if not isinstance(value, str | int | float | bool):
        raise UsageError(
            f"The value of {name} is a {type(value).__name__}.", remedy="Give text, a number, true or false."
        )
    if not isinstance(value, str):
        return
    if looks_secret(value):
        raise UsageError(
            f"The value of {name} looks like a secret; parameters are stored in the executed notebook and the record.",
            remedy="Put secrets into the environment (HF_TOKEN, for instance) and leave the parameter out.",
        )
    if len(value) > _MAX_TEXT or not value.isprintable():
        why = (
            f"is {len(value):,} characters long"
            if len(value) > _MAX_TEXT
            else "holds a line break or control character"
        )
        raise UsageError(f"The value of {name} {why}.", remedy=f"Give one line of at most {_MAX_TEXT:,} characters.")


def _typed(parameter: Parameter, value: Any) -> ParameterValue:
    kind = parameter.kind
    if isinstance(value, str) and kind != "str":
        value = read_text(kind, value)
    if kind == "float" and _is("int", value):
        value = float(value)
    if not _is(kind, value) or (kind == "float" and not math.isfinite(value)):
        remedy = f"{parameter.name}: {parameter.help or parameter.kind} (default: {parameter.default!r})."
        raise refused(parameter.name, kind, value, remedy)
    result: ParameterValue = value
    return result


def _is(kind: str, value: Any) -> bool:
    return type(value) is TYPES[kind]  # not isinstance: True is no whole number


def _shown(value: Any) -> str:
    return shortened(repr(value), 60)
