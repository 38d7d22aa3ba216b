"""Loads the constants of the memory formulas, with their sources."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from seatrial.json_text import parse_json


@cache
def table(name: str) -> dict[str, Any]:
    """Load a file of ``memory/data``, by its name without ``.json``."""
    document: dict[str, Any] = parse_json(files("seatrial.memory").joinpath("data", f"{name}.json").read_bytes())
    return document
