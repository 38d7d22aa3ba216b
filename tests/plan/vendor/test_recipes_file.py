"""Recipes files: what is wrong with one is said in one message that names the place."""

import json
from pathlib import Path

import pytest

from seatrial.errors import UsageError
from seatrial.plan.vendor import recipes_file
from seatrial.plan.vendor.recipes import cells, cells_of
from seatrial.plan.vendor.recipes_file import Catalogue, catalogues, load_recipes, read_recipes, unknown_names

CELL = {
    "accelerator": "h200", "checkpoint": "deepseek-ai/DeepSeek-V4-Flash", "model": "flash", "precision": "fp4",
    "strategy": "balanced", "nodes": 1, "gpus_per_node": 4, "status": "verified", "env": {},
    "flags": {"--tensor-parallel-size": "4"},
}  # fmt: skip
OURS = Catalogue("sglang", "sglang", "SGLang's cookbook", "The SGLang team")


def document(**changes):
    """Return a recipes file with one cell, changed."""
    return {"source": "made up", "checked": "2026-11-30", "rewritten": {}, "cells": [CELL | changes]}


def without(name):
    """Return a recipes file whose cell lacks a field."""
    return document() | {"cells": [{field: value for field, value in CELL.items() if field != name}]}


def test_a_whole_one_is_read():
    """Its cell has the catalogue's engine and the file's source."""
    (cell,) = cells_of(read_recipes(document(), "a file"), OURS)
    assert ("sglang", "made up", "verified", 4) == (cell.engine, cell.source, cell.status, cell.parallelism.tensor)


BAD = {
    "not a table": ([], "Expected `object`, got `array`"),
    "empty": ({}, "missing required field `source`"),
    "a status of its own": (document(status="tested"), "Invalid enum value 'tested' - at `$.cells[0].status`"),
    "no status": (without("status"), "missing required field `status` - at `$.cells[0]`"),
    "a field too many": (document(colour="red"), "unknown field `colour` - at `$.cells[0]`"),
    "a flag that is a number": (
        document(flags={"--tensor-parallel-size": 4}), "Expected `str | array | null`, got `int` - at `$.cells[0].flags"),
    "a variable that is a number": (document(env={"A": 1}), "Expected `str`, got `int` - at `$.cells[0].env"),
    "no GPUs": (document(gpus_per_node=0), "Expected `int` >= 1 - at `$.cells[0].gpus_per_node`"),
    "a nameless GPU": (document(accelerator=""), "Expected `str` of length >= 1 - at `$.cells[0].accelerator`"),
    "memory that is none": (document(host_memory_gib=float("nan")), "Expected `float` > 0.0"),
    "a spelling without its reason": (
        document(rewritten={"--tp": None}), "`rewritten` does not explain --tp - at `$.cells[0]`"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
def test_a_bad_one_gets_one_message(given, message):
    """The file, what is wrong, where, and what to do."""
    with pytest.raises(UsageError) as error:
        read_recipes(given, "x_recipes.json")
    assert error.value.what.startswith("x_recipes.json is no recipes file: ")
    assert message in error.value.what
    assert "tools/facts.py" in error.value.remedy


WRONG = {
    "words for ranks": ({"--tensor-parallel-size": "four"}, "a flag has a value of the wrong type"),
    "ranks it has not": ({"--tensor-parallel-size": "8"}, "its flags split the work over 8 ranks, and it has 4 GPUs"),
    "a negative share": (
        {"--tensor-parallel-size": "4", "--mem-fraction-static": "-0.9"}, "a value that no engine takes"),
    "a share that is none": (
        {"--tensor-parallel-size": "4", "--mem-fraction-static": "nan"}, "a value that no engine takes"),
    "drafts that are no JSON": (
        {"--tensor-parallel-size": "4", "--speculative-config": "{"}, "a flag has a value of the wrong type"),
    "drafts without a number": (
        {"--tensor-parallel-size": "4", "--speculative-config": "{}"}, "a flag has a value of the wrong type"),
}  # fmt: skip


@pytest.mark.parametrize(("flags", "message"), WRONG.values(), ids=WRONG)
def test_flags_that_no_engine_takes_are_told(flags, message):
    """With the cell that has them."""
    with pytest.raises(
        UsageError, match=r"sglang_recipes\.json: h200 deepseek-ai/DeepSeek-V4-Flash balanced: "
    ) as error:
        list(cells_of(read_recipes(document(flags=flags), "a file"), OURS))
    assert message in error.value.what


@pytest.mark.parametrize("text", ["", "{", '{"source": 1}', None])
def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch, text):
    """Cut, empty, of another shape, or not there."""
    monkeypatch.setattr(recipes_file, "FOLDER", tmp_path)
    if text is not None:
        (tmp_path / "sglang_recipes.json").write_text(text)
    with pytest.raises(UsageError, match=r"^sglang_recipes\.json is no recipes file: "):
        load_recipes(OURS)


def test_unknown_names_are_told_with_how_many_cells_have_them():
    """Accelerators and models of a vendor that the kit does not know."""
    rows = document()["cells"] + [CELL | {"accelerator": "h999"}, CELL | {"accelerator": "h999", "model": "flush"}]
    found = list(unknown_names(read_recipes(document() | {"cells": rows}, "a file")))
    assert [
        "No accelerator is called h999 (2 of 3 cells name it).",
        "No model is called flush (1 of 3 cells name it).",
    ] == found


def test_every_recipes_file_belongs_to_a_catalogue():
    """None lies in the folder unread."""
    files = {path.name for path in Path(recipes_file.FOLDER).glob("*_recipes.json")}
    assert {row.path.name for row in catalogues()} == files


@pytest.mark.parametrize("catalogue", catalogues(), ids=lambda row: row.name)
def test_the_kit_knows_every_name_of_its_own_files(catalogue):
    """Each accelerator and model; every cell has a source and a day."""
    recipes = load_recipes(catalogue)
    assert [] == list(unknown_names(recipes))
    assert recipes.source
    assert json.loads(catalogue.path.read_text())["checked"].startswith("2026-")
    assert len(recipes.cells) == len(list(cells_of(recipes, catalogue)))


def test_cells_are_those_of_checkpoints_their_engine_loads():
    """A vendor may publish a recipe before the catalog knows the checkpoint."""
    assert cells()
    assert all(cell.source and cell.name for cell in cells())
