"""Lists every model and checkpoint of the catalog (``data/models.json``, ``data/checkpoints.json``)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

from seatrial.catalog.types import Checkpoint, Model
from seatrial.json_text import parse_json
from seatrial.records import from_dict

_T = TypeVar("_T")


@cache
def models() -> tuple[Model, ...]:
    """List the models one can plan for: official releases and stand-ins."""
    return _rows("models.json", Model)


@cache
def checkpoints() -> tuple[Checkpoint, ...]:
    """List every checkpoint of a model in the catalog, the default release of each model first."""
    return tuple(row for row in _rows("checkpoints.json", Checkpoint) if not row.is_drafter)


@cache
def drafters() -> tuple[Checkpoint, ...]:
    """List the files of the catalog that only draft for a model, the preferred one of each release first."""
    return tuple(row for row in _rows("checkpoints.json", Checkpoint) if row.is_drafter)


def _rows(name: str, kind: type[_T]) -> tuple[_T, ...]:
    path = Path(__file__).with_name("data") / name
    return tuple(from_dict(kind, row) for row in parse_json(path.read_bytes())["rows"])
