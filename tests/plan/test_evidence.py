"""The verdict agrees with what really happened: reports, vendors' runs, exact arithmetic."""

import json
from pathlib import Path

import pytest
from tests.plan.cell_plans import chosen_for, comes_first, plan_of_cell

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.plan.vendor.recipes import cells
from seatrial.plan.vendor.recipes_file import catalogues, load_recipes

CASES = json.loads(Path(__file__).with_name("evidence.json").read_text())["cases"]
VERDICTS = {"verified": "verified", "in-progress": "fits", "not verified": "fits"}
"""Verdict of a plan that follows a recipe, by the recipe's status."""
BEYOND_RULES = {"mi325x flash fp8 balanced", "mi300x pro fp8 balanced"}
"""Recipes for what a rule refuses otherwise: the rule quotes them, and names the one configuration that ran."""


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_agrees_with_what_happened(case):
    """Every case with a source comes out as it did in the world."""
    plan = make_plan(
        checkpoint=case["checkpoint"],
        hardware=detect_hardware(case["hardware"], host_memory_gib=case["host_memory_gib"]),
        nodes=case["nodes"],
        engine=case["engine"],
        **case["options"],
    )
    assert case["outcome"] == plan.verdict


def test_every_cell_of_a_catalogue_is_planned_from():
    """No row of a recipes file is lost on its way to the planner, and each keeps the status that its vendor gives it."""
    for catalogue in catalogues():
        rows = [(row.accelerator, row.checkpoint, row.strategy, row.status) for row in load_recipes(catalogue).cells]
        own = [cell for cell in cells() if cell.catalogue == catalogue]
        assert rows == [(cell.accelerator, cell.checkpoint, cell.strategy, cell.status) for cell in own]


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: f"{cell.engine} {cell.name} {cell.checkpoint} x{cell.nodes}")
def test_the_verdict_is_that_of_the_cell_and_it_fits_by_arithmetic_too(cell):
    """A plan is verified by a verified recipe only; without recipes the arithmetic agrees that it fits.

    Where no published run has confirmed the arithmetic of an architecture, it gives no verdict.
    """
    plan = plan_of_cell(cell)
    assert VERDICTS[cell.status] == plan.verdict
    assert cell.flags == plan.recipe.flags
    assert (cell.status, ()) == (plan.recipe.status, plan.recipe.differences)
    alone = chosen_for(cell, recipes=False)
    assert ("refused" if cell.name in BEYOND_RULES or plan.unchecked else "fits") == alone.verdict
    assert alone.recipe is None


@pytest.mark.parametrize(
    "cell", [cell for cell in cells() if not comes_first(cell)], ids=lambda c: f"{c.engine} {c.name} {c.checkpoint}"
)
def test_what_comes_before_a_recipe_is_verified(cell):
    """A recipe is passed over for a verified one only."""
    assert ("verified", "verified") == ((plan := chosen_for(cell)).verdict, plan.recipe.status)
