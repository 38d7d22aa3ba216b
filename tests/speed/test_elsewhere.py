"""Published speeds that no constant was fitted to: other machines, engines, versions, loads."""

import json
from pathlib import Path

import pytest

from seatrial import make_plan
from seatrial.hardware.named import named_machine

ROWS = json.loads(Path(__file__).with_name("elsewhere.json").read_text(encoding="utf-8"))["rows"]
OTHER_ENGINE = 2.5
"""A value of another engine or a fork is within this factor of the prediction for ours."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_published_values_lie_in_the_interval(row):
    """TPOT, TTFT and output per second of machines, engines and loads outside the calibration."""
    prediction = make_plan(
        checkpoint=row["checkpoint"],
        hardware=named_machine(row["hardware"], row.get("host_memory_gib")),
        nodes=row.get("nodes", 1),
        engine=row["engine"],
        objective=row["objective"],
        concurrency=row["concurrency"],
        context_tokens=row.get("context_tokens"),
        prompt_tokens=row["prompt_tokens"],
        answer_tokens=row["answer_tokens"],
    ).prediction
    published = {"tpot_s", "ttft_s", "decode_tokens_per_s"} & row.keys()
    assert published, "a row without a value proves nothing"
    for name in published:
        interval = getattr(prediction, name)
        wide = OTHER_ENGINE if "measured_with" in row else 1.0
        low, high = min(interval.low, interval.expected / wide), max(interval.high, interval.expected * wide)
        assert low <= row[name] <= high
