"""Plans for the machines of published runs predict what was published."""

import json
import math
import statistics

import pytest

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.speed.published import PUBLISHED

ROWS = json.loads(PUBLISHED.read_text())["rows"]
OBJECTIVES = {"low-latency": "latency", "balanced": "balanced", "high-throughput": "throughput"}
INSIDE = math.log(2.5) / 2
"""Largest log error of a value inside an interval whose ends differ by a factor of 2.5."""


@pytest.fixture(scope="module")
def errors():
    """Compute the log of predicted over published, TPOT and output tokens per second, for every row."""
    found = []
    for row in ROWS:
        plan = make_plan(
            checkpoint=row["checkpoint"],
            hardware=detect_hardware(f"{row['accelerator']}x{row['gpus'] // row['nodes']}"),
            nodes=row["nodes"],
            engine="sglang",
            concurrency=row["concurrency"],
            context_tokens=row["prompt_tokens"] + row["answer_tokens"],
            objective=OBJECTIVES[row["strategy"]],
        )
        prediction = plan.prediction
        found.append(math.log(prediction.tpot_s.expected / row["tpot_s"]))
        found.append(math.log(prediction.decode_tokens_per_s.expected / row["output_tokens_per_s"]))
    return found


def test_the_median_error_is_small(errors):
    """From hardware and workload alone, without anything of the row's own results."""
    assert statistics.median(map(abs, errors)) <= 0.15


def test_nine_of_ten_lie_within_the_intervals(errors):
    """Within intervals whose ends differ by a factor of 2.5."""
    assert sum(abs(error) <= INSIDE for error in errors) / len(errors) >= 0.9


def test_intervals_are_no_wider_than_promised():
    """On hardware the calibration knows the ends differ by a factor of 2.5 at most."""
    plan = make_plan(hardware=detect_hardware("h200x4"), engine="sglang")
    for interval in (plan.prediction.tpot_s, plan.prediction.decode_tokens_per_s):
        assert interval.high / interval.low <= 2.5
