"""The models and checkpoints the kit knows, as they stand in ``data/*.json``."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from seatrial.catalog.types import Checkpoint, Model
from seatrial.records import from_dict


def models() -> tuple[Model, ...]:
    """Models one can plan for: official releases and stand-ins."""
    return tuple(model for model in all_models() if model.role != "refused")


@cache
def all_models() -> tuple[Model, ...]:
    """Every model named in the catalog, those of another architecture too."""
    return tuple(from_dict(Model, row) for row in _rows("models.json"))


@cache
def checkpoints() -> tuple[Checkpoint, ...]:
    """Every checkpoint of the catalog, the default release of each model first."""
    return tuple(from_dict(Checkpoint, row) for row in _rows("checkpoints.json"))


def _rows(name: str) -> list[dict[str, Any]]:
    text = files("seatrial.catalog").joinpath("data", name).read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)["rows"]
    return rows
