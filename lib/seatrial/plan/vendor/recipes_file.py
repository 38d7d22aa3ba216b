"""Reads the recipes files of vendors, and says in one message what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec

from seatrial.catalog import checkpoints
from seatrial.catalog.listing import models
from seatrial.errors import UsageError
from seatrial.hardware.accelerators import accelerators
from seatrial.json_text import JsonError, parse_json
from seatrial.plan.types import RecipeStatus, Strategy

FOLDER = Path(__file__).parent
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One vendor's collection of recipes, and the data file that holds it."""

    name: _Name  # of the data file: <name>_recipes.json
    engine: _Name
    title: str  # as plans quote it: SGLang's cookbook
    team: str  # who ran its verified recipes, as the start of a sentence

    @property
    def path(self) -> Path:
        """Its data file."""
        return FOLDER / f"{self.name}_recipes.json"


class RunFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Facts of a vendor's own run, if the recipe tells them."""

    engine_version: str | None = None
    driver: str | None = None
    date: str | None = None
    concurrency: _Count | None = None
    kv_tokens: _Count | None = None  # tokens that the KV cache held in all


class Reworded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Reason for spelling a flag otherwise than the vendor did."""

    why: str
    source: str
    since: str | None = None  # version that made the old spelling wrong; None if it never was a flag of its own


class RecipeRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One cell of a recipes file."""

    accelerator: _Name
    checkpoint: _Name
    model: _Name
    precision: str  # as the recipe calls it
    strategy: Strategy
    nodes: _Count
    gpus_per_node: _Count
    status: RecipeStatus
    flags: dict[str, str | list[str] | None]
    env: dict[_Variable, str]
    variant: str | None = None  # the vendor's word for the release, None if that is the model
    vendor_status: str | None = None  # the vendor's own words, None if they are those of `status`
    image: str | None = None  # container it ran in, None for a release of the engine
    image_flags: list[str] = []  # flags that only this container knows
    host_memory_gib: Annotated[float, msgspec.Meta(gt=0)] | None = None  # of each machine, if the recipe needs so much
    site_env: list[str] = []  # variables set to names of the machines' own network interfaces
    note: str | None = None
    run: RunFacts | None = None
    rewritten: dict[str, str | None] = {}
    source: str | None = None  # None for that of the whole file


class RecipesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A recipes file as it lies on disk."""

    source: _Name
    checked: _Name
    rewritten: dict[str, Reworded]
    cells: list[RecipeRow]
    source_note: str | None = None  # how the source was found
    licence: str | None = None
    upstream_licence: str | None = None
    left_out: list[str] = []  # rows of the vendor's that are no cells, each with its reason


@cache
def catalogues() -> tuple[Catalogue, ...]:
    """Return the catalogues whose recipes are planned, the preferred first."""
    document = parse_json(FOLDER.joinpath("catalogues.json").read_bytes())
    return tuple(msgspec.convert(document["catalogues"], list[Catalogue]))


def read_recipes(document: Any, name: str) -> RecipesFile:
    """Return a recipes file if it is one.

    Args:
        document: The decoded JSON.
        name: What messages call it.

    Raises:
        UsageError: If a field is missing, unknown, or of another type.

    """
    try:
        found = msgspec.convert(document, RecipesFile)
    except msgspec.ValidationError as error:
        raise _wrong(name, str(error)) from error
    for place, row in enumerate(found.cells):
        if unexplained := row.rewritten.keys() - found.rewritten.keys():
            raise _wrong(name, f"`rewritten` does not explain {min(unexplained)} - at `$.cells[{place}]`")
    return found


def load_recipes(catalogue: Catalogue) -> RecipesFile:
    """Load the data file of a catalogue.

    Raises:
        UsageError: If it is no recipes file.

    """
    try:
        document = parse_json(catalogue.path.read_bytes())
    except (OSError, JsonError) as error:
        raise _wrong(catalogue.path.name, str(error)) from error
    return read_recipes(document, catalogue.path.name)


def unknown_names(recipes: RecipesFile) -> Iterator[str]:
    """Yield a sentence for each accelerator and model of a recipes file that the kit does not know."""
    yield from _missing(recipes, "accelerator", set(accelerators()))
    yield from _missing(recipes, "model", {row.id for row in models()})


def unknown_checkpoints(recipes: RecipesFile) -> Iterator[str]:
    """Yield a sentence for each checkpoint that the catalog lacks: its cells are planned once the catalog has it."""
    yield from _missing(recipes, "checkpoint", {row.id for row in checkpoints()})


def _missing(recipes: RecipesFile, what: str, known: set[str]) -> Iterator[str]:
    named = [getattr(row, what) for row in recipes.cells]
    for name in sorted({*named} - known):
        yield f"No {what} is called {name} ({named.count(name)} of {len(named)} cells name it)."


def _wrong(name: str, why: str) -> UsageError:
    return UsageError(
        f"{name} is no recipes file: {why}.",
        remedy="Write it from the vendor's facts: python tools/facts.py FACTS --write.",
    )
