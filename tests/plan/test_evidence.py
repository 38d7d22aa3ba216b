"""The verdict agrees with what really happened: reports, vendors' runs, exact arithmetic."""

import json
from pathlib import Path

import pytest

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.plan.vendor.recipes import cells

CASES = json.loads(Path(__file__).with_name("evidence.json").read_text())["cases"]
OBJECTIVES = {"low-latency": "latency", "balanced": "balanced", "high-throughput": "throughput"}
SGLANG = [cell for cell in cells() if cell.engine == "sglang"]
VLLM = [cell for cell in cells() if cell.engine == "vllm" and cell.verified]


def plan_of_cell(cell, **choices):
    """Make the plan for exactly the machine and checkpoint of a recipe."""
    return make_plan(
        checkpoint=cell.checkpoint,
        hardware=detect_hardware(f"{cell.accelerator}x{cell.gpus_per_node}"),
        nodes=cell.nodes,
        engine=cell.engine,
        objective=OBJECTIVES[cell.strategy],
        **choices,
    )


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


def test_every_verified_cell_is_there():
    """The vendor's 66 cells are all in the recipe file."""
    assert 66 == len(SGLANG)


@pytest.mark.parametrize("cell", SGLANG, ids=[f"{cell.name} x{cell.nodes}" for cell in SGLANG])
def test_a_verified_cell_is_verified_and_fits_by_arithmetic_too(cell):
    """With recipes it is the vendor's run, word for word; without, the arithmetic agrees that it fits."""
    plan = plan_of_cell(cell)
    assert "verified" == plan.verdict
    assert cell.flags == plan.recipe.flags
    assert () == plan.recipe.differences
    alone = plan_of_cell(cell, recipes=False)
    assert "fits" == alone.verdict
    assert alone.recipe is None


@pytest.mark.parametrize("cell", VLLM, ids=[f"{cell.name} {cell.checkpoint}" for cell in VLLM])
def test_a_vllm_recipe_is_verified(cell):
    """On its own machine each verified vLLM recipe comes out as verified."""
    assert "verified" == plan_of_cell(cell).verdict
