"""Loads the constants of the memory formulas, with their sources."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def table(name: str) -> dict[str, Any]:
    """Load a file of ``memory/data``, by its name without ``.json``."""
    document: dict[str, Any] = json.loads(
        files("seatrial.memory").joinpath("data", f"{name}.json").read_text(encoding="utf-8")
    )
    return document
