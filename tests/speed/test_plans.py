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
from seatrial.speed.roofline import gpu_speed

OBJECTIVES = {"low-latency": "latency", "balanced": "balanced", "high-throughput": "throughput"}
QUANTITIES = {"tpot_s": "tpot_s", "ttft_s": "ttft_s", "decode_tokens_per_s": "output_tokens_per_s"}
NEAR = {"tpot_s": 0.12, "ttft_s": 0.20, "decode_tokens_per_s": 0.12}
"""Largest median log errors."""
ROWS = json.loads(files("seatrial.speed").joinpath("published.json").read_text(encoding="utf-8"))["rows"]
DRAWN = [row for row in ROWS if row["lengths"] == "drawn"]


def planned(row):
    """Return the plan for the machine, checkpoint, strategy and load of a published run."""
    return make_plan(
        checkpoint=row["checkpoint"],
        hardware=named_machine(f"{row['accelerator']}x{row['gpus'] // row['nodes']}"),
        nodes=row["nodes"],
        concurrency=row["concurrency"],
        objective=OBJECTIVES[row["strategy"]],
        engine="sglang",
        prompt_tokens=row["prompt_tokens"],
        answer_tokens=row["answer_tokens"],
    )


@pytest.fixture(scope="module")
def predicted():
    """Return every published run with the prediction of a plan."""
    return [(row, planned(row).prediction) for row in ROWS]


def errors(predicted, quantity):
    """Return the log of predicted over published of each run."""
    return [
        math.log(getattr(prediction, quantity).expected / row[QUANTITIES[quantity]]) for row, prediction in predicted
    ]


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_plans_come_near_published_runs(predicted, quantity):
    """Of all runs the median log error; of those with lengths drawn at random nine of ten are in narrow intervals."""
    assert median(map(abs, errors(predicted, quantity))) <= NEAR[quantity]
    of_this_load = [(row, prediction) for row, prediction in predicted if row["lengths"] == "drawn"]
    found = [(getattr(prediction, quantity), row[QUANTITIES[quantity]]) for row, prediction in of_this_load]
    assert all(interval.high / interval.low <= 2.5 for interval, _ in found)
    assert 0.9 <= sum(interval.low <= value <= interval.high for interval, value in found) / len(found)


def test_what_a_plan_takes_from_the_recipe_is_what_the_fit_took(predicted):
    """Drafts, replicas and DeepEP: a plan with a run's recipe predicts what the fit predicts, if as many run."""
    fitted = {(row.name, row.load.concurrency): row for row in published_rows()}
    same = 0
    for row, prediction in predicted:
        name = f"{row['accelerator']} {row['variant']} {row['precision']} {row['strategy']}"
        run = fitted.get((name, row["concurrency"]))
        plan = planned(row)
        if run and plan.recipe.cell == name and plan.running_requests == run.load.running:
            assert pytest.approx(gpu_speed(run.work, run.ranks, run.load).tpot_s) == prediction.tpot_s.expected
            same += 1
    assert same > len(ROWS) / 2


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


def test_lengths_asked_for_are_the_longest():
    """A benchmark that ends is predicted, as published: lengths drawn evenly up to those asked for, as the basis says."""
    machine = named_machine("h200x4")
    usual = make_plan("flash", hardware=machine, concurrency=16, engine="sglang").prediction
    same, own = (
        make_plan(
            "flash", hardware=machine, concurrency=16, prompt_tokens=p, answer_tokens=a, engine="sglang"
        ).prediction
        for p, a in ((8192, 1024), (900, 100))
    )
    assert usual == same
    assert (
        "; up to 900 prompt and 100 answer tokens, 16 requests at once, 32 in all, lengths drawn evenly;" in own.basis
    )


def test_a_longer_prompt_of_ones_own_takes_longer():
    """The first token is that of a prompt of the length asked for, also if it is a million tokens."""
    first = [
        make_plan(
            "pro", hardware=named_machine("h200x8"), engine="vllm", context_tokens=1 << 20, prompt_tokens=prompt
        ).prediction.ttft_s
        for prompt in (100_000, 998_218)
    ]
    assert first[0].expected * 10 < first[1].expected
    assert first[1].low <= 202 <= first[1].high


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


@pytest.mark.parametrize("checkpoint", sorted({row["checkpoint"] for row in ROWS}))
def test_the_calibration_reads_the_bytes_that_plans_read(checkpoint):
    """The weights the constants were fitted with are those of the checkpoint's classes."""
    found = {row["checkpoint"]: run.work for row, run in zip(DRAWN, published_rows(), strict=True)}
    if checkpoint in found:
        assert work_of(find_checkpoint(checkpoint)) == found[checkpoint]
    else:
        assert {"fixed"} == {row["lengths"] for row in ROWS if row["checkpoint"] == checkpoint}


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
