"""Lists the project's data files and says which one a document replaces."""

from __future__ import annotations

import importlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from refresh.schema import below_zero, problems, provenance, same_shape, unread

DATA = (
    "lib/seatrial/**/*.json",
    "lib/seatrial/catalog/engines/*.toml",
    "tests/plan/evidence*.json",
    "tests/speed/*.json",
)
ALIKE = 0.5
"""Least share of names that a document has in common with the file it replaces."""


@dataclass(frozen=True)
class Typed:
    """A data file whose loader decodes rows into a type."""

    files: str  # pattern of its path
    rows: str  # list with the rows, empty if the document is the only one
    kind: str  # the type: module and name
    key: tuple[str, ...]  # fields that name a row, which no two rows have in common
    whole: str = ""  # type of the document, if its loader has one


_RECIPES = "seatrial.plan.vendor.recipes_file"
_CELL = ("accelerator", "checkpoint", "precision", "strategy", "nodes", "gpus_per_node")
_PUBLISHED = "seatrial.speed.published"
_RUN = ("accelerator", "variant", "precision", "strategy", "nodes", "gpus", "concurrency")
TYPED = (
    Typed("*/plan/vendor/*_recipes.json", "cells", f"{_RECIPES}:RecipeRow", _CELL, f"{_RECIPES}:RecipesFile"),
    Typed("*/speed/published.json", "rows", f"{_PUBLISHED}:PublishedRow", _RUN, f"{_PUBLISHED}:PublishedFile"),
    Typed("*/hardware/accelerators.json", "accelerators", "seatrial.hardware.accelerators:Accelerator", ("key",)),
    Typed("*/catalog/data/models.json", "rows", "seatrial.catalog.types:Model", ("id",)),
    Typed("*/catalog/data/checkpoints.json", "rows", "seatrial.catalog.types:Checkpoint", ("id",)),
    Typed("*/engines/flags/*.json", "", "seatrial.engines.snapshot:Snapshot", ("version",)),
    Typed("*/catalog/engines/*.toml", "", "seatrial.catalog.engine_facts:EngineFacts", ("title",)),
)


@dataclass(frozen=True)
class DataFile:
    """One of the project's data files."""

    root: Path
    path: str  # below the root

    @property
    def name(self) -> str:
        """Path without what all of them share: ``plan/vendor/rules``."""
        return self.path.removeprefix("lib/seatrial/").rpartition(".")[0]

    @property
    def typed(self) -> Typed | None:
        """The type of its rows, None if its loader reads it by name."""
        return next((row for row in TYPED if fnmatch(self.path, row.files)), None)

    def read(self) -> dict[str, Any]:
        """Load the installed document."""
        return _installed(self.root / self.path)

    @property
    def lists(self) -> tuple[str, ...]:
        """Names of the lists of rows in the installed document."""
        if self.typed and self.typed.rows:
            return (self.typed.rows,)
        rows = (name for name, value in self.read().items() if isinstance(value, list))
        return tuple(name for name in rows if all(isinstance(row, dict) for row in self.read()[name]))

    def label(self, row: Any) -> str:
        """Return the name of a row."""
        return " ".join(map(str, self.key_of(row)))

    def key_of(self, row: Any) -> tuple[Any, ...]:
        """Return what names a row, empty if nothing does."""
        names = self.typed.key if self.typed else ("id", "key", "name")
        found = [row[name] for name in names if isinstance(row, dict) and name in row]
        return tuple(found if self.typed else found[:1])


def parsed(path: Path) -> dict[str, Any]:
    """Load a data file."""
    text = path.read_text(encoding="utf-8")
    document: dict[str, Any] = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    return document


@cache
def _installed(path: Path) -> dict[str, Any]:
    return parsed(path)


def data_files(root: Path) -> list[DataFile]:
    """List the project's data files."""
    found = {path.relative_to(root).as_posix() for pattern in DATA for path in root.glob(pattern)}
    return [DataFile(root, path) for path in sorted(found)]


def named(files: list[DataFile], name: str) -> list[DataFile]:
    """Return the data files with this name, or whose name ends so."""
    return [file for file in files if f"/{file.name}".endswith(f"/{name.removesuffix('.json').removesuffix('.toml')}")]


def recognised(files: list[DataFile], document: Mapping[str, Any], path: Path) -> DataFile | None:
    """Return the data file that has the most names in common with a document, None if none is much alike.

    Of several, the one that is called like it.
    """
    same_name = [file for file in files if Path(file.path).name == path.name]
    scored = [(_alike(file, document), file in same_name, file) for file in files]
    best = max(scored, key=lambda row: row[:2])
    if max(best[0]) >= ALIKE and sum(row[:2] == best[:2] for row in scored) == 1:
        return best[2]
    return same_name[0] if len(same_name) == 1 and document else None


def _alike(file: DataFile, document: Mapping[str, Any]) -> tuple[float, float]:
    """Return the share of common names, with those of rows and without."""
    whole = [_names(each) for each in (file.read(), document)]
    return _share(*whole), _share(set(file.read()), set(document))


def _share(ours: set[str], theirs: set[str]) -> float:
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 0.0


def _names(document: Mapping[str, Any]) -> set[str]:
    """Return the names of a document and of the first row of each list."""
    first = (f"{name}.{each}" for name, rows in document.items() for each in _first(rows))
    return set(document) | set(first)


def _first(rows: Any) -> Iterator[str]:
    if isinstance(rows, list) and rows and isinstance(rows[0], dict):
        yield from rows[0]


def problems_of(file: DataFile, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for everything in a document that the loader of a data file would not take."""
    typed = file.typed
    if typed is None:
        yield from same_shape(document, file.read(), "", file.label)
        yield from _twice(file, document)
        return
    if not typed.rows or typed.whole:
        yield from problems(document, type_of(typed.whole or typed.kind), "", file.label)
    elif isinstance(document.get(typed.rows), list):
        yield from problems(document[typed.rows], list[type_of(typed.kind)], typed.rows, file.label)  # type: ignore[misc]
    yield from _row_problems(file, typed, document)
    yield from _twice(file, document)


def _row_problems(file: DataFile, typed: Typed, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what no type says: there are rows, no figure is below zero, and each row has a source and a day."""
    if not typed.rows:
        return
    rows = document.get(typed.rows)
    if not isinstance(rows, list) or not rows:
        yield f"{typed.rows} {'is empty' if rows == [] else 'is missing'}; it takes a list of rows"
        return
    missing = {name for name in ("source", "checked") if name in file.read() and name not in document}
    yield from (f"{name} is missing for the whole file" for name in missing if not typed.whole)
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            place = f"{typed.rows}[{number}]{f' ({file.label(row)})' if file.label(row) else ''}"
            yield from below_zero(row, place)
            yield from provenance(row, dict.fromkeys(missing, True) | dict(document), place)


def _twice(file: DataFile, document: Mapping[str, Any]) -> Iterator[str]:
    for name in file.lists:
        rows = document.get(name)
        keys = [tuple(map(str, file.key_of(row))) for row in rows] if isinstance(rows, list) else []
        for key in dict.fromkeys(key for key in keys if key and keys.count(key) > 1):
            places = [number for number, each in enumerate(keys) if each == key]
            yield f"{name}{places} have the same {' '.join(key)}; a row stands once"


def unread_fields(file: DataFile, document: Mapping[str, Any]) -> list[str]:
    """Return the fields of a document's rows that no loader reads and no installed row has."""
    typed = file.typed
    if typed is None or not typed.rows:
        return []
    return unread(document[typed.rows], type_of(typed.kind), file.read()[typed.rows])


def type_of(name: str) -> Any:
    """Return a type by module and name."""
    module, _, name = name.partition(":")
    return getattr(importlib.import_module(module), name)
