"""Takes the recipes of vendors; ``tools/refresh/recipes.py`` says how each vendor's rows become ours."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from refresh import recipes
from refresh.convert import Document, Form, Made, day_of, file_of
from refresh.kinds import DataFile, problems_of
from refresh.schema import joined, once
from seatrial.errors import UsageError
from seatrial.plan.vendor.recipes_file import catalogues, read_recipes, unknown_checkpoints

STATUSES = tuple(json.loads(Path(__file__).with_name("spellings.json").read_text(encoding="utf-8"))["statuses"])
"""The vendors' words that tools/refresh/recipes.py knows."""
Count = Annotated[int, msgspec.Meta(ge=1)]
Name = Annotated[str, msgspec.Meta(min_length=1)]


class CookbookCell(msgspec.Struct):
    """A cell of SGLang's cookbook."""

    hw: Name
    variant: Name
    quant: Name
    strategy: Name
    nodes: Count
    model_id: Name
    gpus_per_node: Count
    env: dict[str, str]
    argv: list[str]
    status: Literal[*STATUSES]  # type: ignore[valid-type]
    docker_image: str | None
    note: str | None = None


class VllmCommand(msgspec.Struct):
    """A command that vLLM's recipes generate."""

    hw: Name
    variant: Name
    features: Name
    node_count: Count
    gpus_per_node: Count
    hw_status: Name
    docker_image: str | None
    env: dict[str, str]
    argv: list[str]


class VllmGuide(msgspec.Struct):
    """A command that a guide of vLLM's recipes writes by hand."""

    hw: Name
    gpus: Count
    model_id: Name
    env: dict[str, str]
    argv: list[str]


class VllmModel(msgspec.Struct):
    """A model of vLLM's recipes."""

    source: Name
    hardware_status: dict[str, Any]
    model: dict[str, Any]
    variants: dict[str, Any]
    commands: list[VllmCommand]
    guide_commands: list[VllmGuide]


class LocalRecipe(msgspec.Struct):
    """A recipe of NVIDIA's for local machines."""

    hw: Name
    nodes: Count
    gpus_total: Count
    model_id: Name
    docker_image: str | None
    status: Name
    env: dict[str, str]
    argv: list[str]
    source: Name
    node_env: list[str] = []


def recipes_of(documents: Sequence[Document], files: Sequence[DataFile], checked: str | None) -> Iterator[Made]:
    """Yield the recipes file of each catalogue that the documents are editions of.

    Raises:
        UsageError: A row cannot become a cell; the message names it.

    """
    found: dict[str, list[Document]] = {}
    for document in documents:
        found.setdefault(file_like(files, document).name, []).append(document)
    for name, editions in found.items():
        file = file_of(files, name)
        catalogue = next(row for row in catalogues() if row.path.name == Path(file.path).name)
        made = recipes.convert(recipes.merged_documents(editions), catalogue.engine)
        if "checked" not in made:
            made = {"source": made["source"], "checked": day_of(editions[-1], checked)} | made
        strange = [row["checkpoint"] for row in made["cells"] if not row.get("model")]
        if (
            problems := _without_model(strange)
            or once(problems_of(file, made))
            or recipes.recipe_problems(made, catalogue)
        ):
            raise UsageError(
                f"{file.name} cannot be made of these facts:\n  {joined(problems)}",
                remedy="Name new accelerators and models in their own files first; python tools/facts.py takes these too.",
            )
        unknown = unknown_checkpoints(read_recipes(made, catalogue.path.name))
        notes = [f"{line} They are planned once the catalog has it." for line in unknown]
        before = file.read().get("left_out", [])
        notes += [f"Left out, {line}" for line in made.get("left_out", []) if line not in before]
        yield Made(file, made, recipes.to_text(made), tuple(notes))


def _without_model(checkpoints: Sequence[str]) -> list[str]:
    return [f"No model of the catalog has its name in {name}." for name in dict.fromkeys(checkpoints)]


def file_like(files: Sequence[DataFile], document: Mapping[str, Any]) -> DataFile:
    """Return the recipes file whose source is most like a document's.

    Raises:
        UsageError: The document has no source.

    """
    source = document.get("source") or document.get("source_repo")
    if not isinstance(source, str):
        raise UsageError(
            "source is missing in these facts; it takes where they come from.", remedy="Write it into the file."
        )

    def alike(file: DataFile) -> float:
        installed = str(file.read()["source"])
        return SequenceMatcher(None, source.partition("@")[0], installed.partition("@")[0]).ratio()

    return max((file for file in files if file.name.endswith("_recipes")), key=alike)


RECIPES = (
    Form("a cookbook's cells", frozenset({"cells"}), "cells", CookbookCell, recipes_of, ("hw", "variant", "quant", "strategy"),
         row_has="hw"),
    Form("vLLM's recipes", frozenset({"models", "source_repo"}), "models", VllmModel, recipes_of, ("hw", "variant")),
    Form("local recipes", frozenset({"commands"}), "commands", LocalRecipe, recipes_of, ("hw", "model_id")),
)  # fmt: skip
