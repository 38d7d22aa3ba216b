"""What a report tells of predicted figures, of bounds, and of a file whose text stays."""

import json
from typing import Annotated

import msgspec
import pytest

from refresh.convert import with_rows
from refresh.kinds import DataFile
from refresh.report import effects
from refresh.schema import problems


def test_figures_are_told_in_their_order_with_those_gone_and_new():
    """A prediction that appears or vanishes is told as one that moves, in the same order in every run."""
    row = {"verdict": "fits", "engine": "vllm", "checkpoint": "c", "GPUs": 8, "flags": {}, "environment": {}}
    row |= {"recipe": None, "why": "", "reasons": []}
    old = row | {"speed": {"tokens/s": 100.0, "s per token": 0.01, "s to the first token": 1.0, "same": 1.0}}
    new = row | {"speed": {"same": 1.05, "s to the first token": 2.0, "s per token": 0.02, "requests": 3.0}}
    before, after = ({"plans": {"flash on h200x8, balanced": one}, "refused": {}, "evidence": {}} for one in (old, new))
    (line,) = effects(before, after)["Speeds that move by more than 10 %"]
    assert (
        "flash on h200x8 (balanced): tokens/s gone (was 100); s per token 0.01 -> 0.02; s to the first token 1 -> 2; "
        "requests new: 3"
    ) == line


@pytest.mark.parametrize(
    ("bound", "value", "told"),
    [
        (msgspec.Meta(gt=0), 0.5, []),
        (msgspec.Meta(gt=0), 0, ["memory takes a number above 0, not 0"]),
        (msgspec.Meta(ge=1), 1, []),
        (msgspec.Meta(ge=1), 0.5, ["memory takes a number from 1, not 0.5"]),
    ],
)
def test_a_bound_is_the_loaders_own(bound, value, told):
    """An exclusive one takes every number above it."""
    assert told == list(problems(value, Annotated[float, bound], "memory"))


def test_a_note_that_quotes_the_name_of_the_rows_stays(tmp_path):
    """The rows are those of the document itself, not of a text or a table in it."""
    text = (
        '{\n  "note": "the rows of \\"rows\\" [1]",\n  "rows beside": {"rows": [{"id": 9}]},\n'
        '  "rows": [\n    {"id":  1},\n    {"id": 2}\n  ],\n  "end": [3]\n}\n'
    )
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    made = with_rows(DataFile(tmp_path, "a.json"), "rows", [{"id": 1}, {"id": 5}])
    assert text.replace('{"id": 2}', '{"id": 5}') == made.text
    assert json.loads(text) | {"rows": [{"id": 1}, {"id": 5}]} == made.document
