"""Published runs through the entire planner: recipe, capacity and speed, from the machine's name only."""

import json
import math
from importlib.resources import files
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as some

from seatrial import find_checkpoint, make_plan
from seatrial.hardware.named import named_machine
from seatrial.plan.load import work_of
from seatrial.speed.calibrate import published_rows

OBJECTIVES = {"low-latency": "latency", "balanced": "balanced", "high-throughput": "throughput"}
QUANTITIES = {"tpot_s": "tpot_s", "ttft_s": "ttft_s", "decode_tokens_per_s": "output_tokens_per_s"}
ROWS = json.loads(files("seatrial.speed").joinpath("published.json").read_text(encoding="utf-8"))["rows"]


def planned(row):
    """Return the plan for the machine, checkpoint and load of a published run."""
    return make_plan(
        checkpoint=row["checkpoint"],
        hardware=named_machine(f"{row['accelerator']}x{row['gpus'] // row['nodes']}"),
        nodes=row["nodes"],
        concurrency=row["concurrency"],
        objective=OBJECTIVES[row["strategy"]],
        engine="sglang",
    )


@pytest.fixture(scope="module")
def predicted():
    """Return every published run with the prediction of a plan."""
    return [(row, planned(row).prediction) for row in ROWS]


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_plans_come_near_published_runs(predicted, quantity):
    """Median log error at most 0.15, nine of ten values in intervals whose ends differ by 2.5 at most."""
    found = [(getattr(prediction, quantity), row[QUANTITIES[quantity]]) for row, prediction in predicted]
    assert all(interval.high / interval.low <= 2.5 for interval, _ in found)
    assert median(abs(math.log(interval.expected / value)) for interval, value in found) <= 0.15
    assert 0.9 <= sum(interval.low <= value <= interval.high for interval, value in found) / len(found)


@pytest.mark.parametrize("streams", [16, 64, 256])
def test_where_the_cache_is_full_requests_queue(streams):
    """V4-Pro on 8x H200 runs about 15 requests: more wait longer and the machine is not faster."""
    machine = named_machine("h200x8")
    full = make_plan("pro", hardware=machine, concurrency=15, engine="sglang").prediction
    more = make_plan("pro", hardware=machine, concurrency=streams, engine="sglang").prediction
    assert f"{streams - 15} of {streams} requests wait: 15 run at once" in more.basis
    assert more.ttft_s.expected > full.ttft_s.expected
    assert more.decode_tokens_per_s.expected <= full.decode_tokens_per_s.expected * 1.2
    assert pytest.approx(full.tpot_s.expected, rel=0.2) == more.tpot_s.expected


def test_lengths_asked_for_are_those_of_every_request():
    """Without lengths a benchmark that ends is predicted; with lengths a load that goes on, and the basis says which."""
    machine = named_machine("h200x4")
    usual = make_plan("flash", hardware=machine, concurrency=16, engine="sglang").prediction.basis
    own = make_plan("flash", hardware=machine, concurrency=16, prompt_tokens=900, answer_tokens=100, engine="sglang")
    assert "up to 8,192 prompt and 1,024 answer tokens, 16 requests at once, 32 in all" in usual
    assert "; 900 prompt and 100 answer tokens, 16 requests at once." in own.prediction.basis


def test_longer_requests_are_held_in_smaller_numbers():
    """The window pool holds fewer long prompts, until they are longer than the pieces that are read at a time."""
    machine = named_machine("h100x8")
    wishes = {"hardware": machine, "concurrency": 512, "context_tokens": 65_536, "answer_tokens": 1024}
    held = [
        int(make_plan("flash", prompt_tokens=prompt, **wishes).prediction.basis.split("requests wait: ")[1].split()[0])
        for prompt in (2_048, 8_192, 32_768)
    ]
    assert sorted(held, reverse=True) == held
    assert held[0] > held[-1]


@pytest.mark.parametrize("name", sorted({(row["model"], row["precision"], row["checkpoint"]) for row in ROWS}))
def test_the_calibration_reads_the_bytes_that_plans_read(name):
    """The weights the constants were fitted with are those of the checkpoint's classes."""
    model, precision, checkpoint = name
    fitted = next(row.work for row in published_rows() if row.name.split()[1:3] == [model, precision])
    assert work_of(find_checkpoint(checkpoint)) == fitted


@given(
    machine=some.sampled_from(["h200x8", "h100x8", "b200x8", "gb300x4", "mi355xx8", "rtxpro6000x4", "m3-ultra-512gb"]),
    model=some.sampled_from(["flash", "pro"]),
    objective=some.sampled_from(["latency", "balanced", "throughput"]),
    streams=some.lists(some.integers(1, 5000), min_size=2, max_size=2),
)
def test_more_streams_never_help_a_request(machine, model, objective, streams):
    """On one machine, with one recipe: each of more requests waits at least as long, before and between its tokens."""
    wishes = {"hardware": named_machine(machine), "objective": objective}
    few, many = (make_plan(model, concurrency=count, **wishes) for count in sorted(streams))
    if few.runs and many.runs and (few.recipe, few.parallelism) == (many.recipe, many.parallelism):
        assert few.prediction.tpot_s.expected <= many.prediction.tpot_s.expected * 1.001
        assert few.prediction.ttft_s.expected <= many.prediction.ttft_s.expected * 1.001
