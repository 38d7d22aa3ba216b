"""llama.cpp on real machines: published speeds of one request against plans from the machine's name."""

import json
import math
from pathlib import Path
from statistics import median

import pytest

from seatrial import make_plan
from seatrial.hardware.named import named_machine

ROWS = json.loads(Path(__file__).with_name("llamacpp.json").read_text(encoding="utf-8"))["rows"]
NEAR, WIDEST, INSIDE = 0.35, 4.0, 0.8
"""Largest median log error, largest factor between the ends of an interval, least share of values inside."""


def planned(row):
    """Return the prediction for the machine, checkpoint and lengths of a published run."""
    return make_plan(
        checkpoint=row["checkpoint"],
        hardware=named_machine(row["hardware"], row.get("host_memory_gib")),
        engine="llamacpp",
        prompt_tokens=row["prompt_tokens"],
        answer_tokens=row["answer_tokens"],
        tensor_parallel=row.get("tensor_parallel"),
        drafter="auto" if "draft_tokens" in row else None,
        draft_tokens=row.get("draft_tokens"),
    ).prediction


def error(row):
    """Return the log of measured over predicted tokens a second, between tokens."""
    return math.log(row["decode_tokens_per_s"] * planned(row).tpot_s.expected)


@pytest.fixture(scope="module")
def errors():
    """Return the log error of each published run."""
    return {row["name"]: error(row) for row in ROWS}


@pytest.mark.parametrize("own", [True, False], ids=["llama.cpp and others", "llama.cpp only"])
def test_plans_come_near_published_runs(errors, own):
    """Median log error at most 0.35, four of five values within intervals whose ends differ by a factor of 4."""
    sizes = [abs(errors[row["name"]]) for row in ROWS if own or "measured_with" not in row]
    assert median(sizes) <= NEAR
    assert INSIDE <= sum(size <= math.log(WIDEST) / 2 for size in sizes) / len(sizes)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_intervals_are_no_wider_than_the_bar(row):
    """Low and high differ by at most a factor of 4."""
    tpot = planned(row).tpot_s
    assert tpot.high / tpot.low <= WIDEST * (1 + 1e-9)


def test_prompts_are_read_about_as_fast():
    """Tokens of a prompt a second: half of the published values within a factor of 2."""
    rows = [row for row in ROWS if "prompt_tokens_per_s" in row]
    found = [row["prompt_tokens"] / planned(row).ttft_s.expected / row["prompt_tokens_per_s"] for row in rows]
    assert 0.5 <= sum(0.5 <= ratio <= 2 for ratio in found) / len(found)
