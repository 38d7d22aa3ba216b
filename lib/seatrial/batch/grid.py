"""Turns ``--grid name=a,b`` into the runs it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from seatrial.batch.parameters import check_name
from seatrial.errors import UsageError

_MAX_RUNS = 256


def expand_grid(axes: Sequence[str], parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the parameters of each run by the name of its folder; without axes one run, named ``""``.

    Args:
        axes: ``name=a,b`` each; every combination becomes a run. ``;`` separates values
            that contain commas themselves (``concurrency=1,2;4,8``).
        parameters: Values common to all runs.

    Raises:
        UsageError: If an axis is malformed, given twice or beside ``-p``, or there are too many runs.

    """
    values: dict[str, list[str]] = {}
    for axis in axes:
        name, equals, text = axis.partition("=")
        check_name(name)
        found = [value.strip() for value in text.split(";" if ";" in text else ",")]
        if not equals or not all(found) or len(set(found)) < len(found):
            raise UsageError(f"--grid {axis[:80]!r} lists no distinct values.", remedy="Write --grid name=a,b.")
        if name in values or name in parameters:
            raise UsageError(f"The parameter {name} is given twice.", remedy="Give it with -p or with --grid, once.")
        values[name] = found
    count = prod(map(len, values.values()))
    if count > _MAX_RUNS:
        raise UsageError(f"The grid stands for {count:,} runs; {_MAX_RUNS} is the limit.", remedy="Give fewer values.")
    runs: dict[str, dict[str, Any]] = {}
    for number, chosen in enumerate(product(*values.values()), start=1):
        name = _folder_name(values, chosen)
        runs[f"{name}_{number}" if name in runs else name] = dict(parameters) | dict(zip(values, chosen, strict=True))
    return runs


def _folder_name(names: Mapping[str, Any], chosen: Sequence[str]) -> str:
    pairs = zip(names, chosen, strict=True)
    return "_".join(re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{name}-{value}") for name, value in pairs)[:120]
