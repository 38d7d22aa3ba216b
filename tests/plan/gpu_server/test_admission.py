"""How many requests run at once: one figure for the predicted lengths, one for full contexts, from the same pool."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from seatrial.hardware.named import named_machine
from seatrial.plan import make_plan
from seatrial.plan.gpu_server.kv_pool import KvPool

MACHINES = ["h200x8", "h100x4", "h100x8", "b200x8", "b200x4", "gb300x4", "mi355xx8", "rtxpro6000x4"]
CASES = [
    ("pro", "h200x8", "balanced", 64),
    ("pro", "h200x8", "throughput", 4096),
    ("flash", "h100x4", "balanced", 256),
    ("flash", "h100x8", "throughput", 1024),
    ("pro", "b200x8", "throughput", 1024),
]


def waiting(plan):
    """Return the sentence on requests that wait; None if there is none."""
    return next((row.text for row in plan.reasons if "others wait" in row.text), None)


@pytest.mark.parametrize(("model", "machine", "objective", "streams"), CASES)
def test_prediction_and_reasons_say_the_same_number(model, machine, objective, streams):
    """What runs of the predicted requests stands in both, what runs at full context is never more."""
    plan = make_plan(model, hardware=named_machine(machine), objective=objective, concurrency=streams, engine="sglang")
    assert 0 < plan.running_requests_full <= plan.running_requests < streams
    assert f"{streams - plan.running_requests} of {streams} requests wait: {plan.running_requests} run at once" in (
        plan.prediction.basis
    )
    assert f"Of {streams} requests of up to 8,192 prompt and 1,024 answer tokens {plan.running_requests} run" in (
        waiting(plan)
    )
    assert f"fill their 32,768 tokens of context {plan.running_requests_full};" in waiting(plan)


def test_upstreams_own_figure():
    """V4-Pro on 8x H200 runs about 15 of SGLang's benchmark's requests: so its authors, and so the plan."""
    plan = make_plan("pro", hardware=named_machine("h200x8"), concurrency=64, engine="sglang")
    assert (15, 8) == (plan.running_requests, plan.running_requests_full)


@pytest.mark.parametrize(
    ("machine", "objective", "streams", "published"),
    [
        ("h200x8", "balanced", 256, 15),
        ("h200x8", "throughput", 4096, 35),
        ("h100x8", "balanced", 256, 115),
        ("h100x8", "throughput", 4096, 135),
    ],
)
def test_so_many_ran_in_published_runs(machine, objective, streams, published):
    """Throughput x TPOT, and for a run that ends what its last requests take from that: a tenth less at 256 streams."""
    checkpoint = f"deepseek-ai/DeepSeek-V4-{'Pro' if machine == 'h200x8' else 'Flash'}"
    plan = make_plan(
        checkpoint=checkpoint,
        hardware=named_machine(machine),
        objective=objective,
        concurrency=streams,
        engine="sglang",
        prompt_tokens=8192,
        answer_tokens=1024,
    )
    assert pytest.approx(published, rel=0.1) == plan.running_requests


@given(
    model=some.sampled_from(["flash", "pro"]),
    machine=some.sampled_from(MACHINES),
    engine=some.sampled_from(["sglang", "vllm"]),
    objective=some.sampled_from(["latency", "balanced", "throughput"]),
    recipes=some.booleans(),
    streams=some.integers(1, 5000),
    context=some.integers(1024, 1_048_576),
)
def test_never_more_full_contexts_run_than_predicted_requests(  # noqa: PLR0913, PLR0917 -- everything it depends on
    model, machine, engine, objective, recipes, streams, context
):
    """Whatever is asked: at most the requests sent, and none of both numbers contradicts the other."""
    plan = make_plan(
        model,
        hardware=named_machine(machine),
        engine=engine,
        objective=objective,
        recipes=recipes,
        concurrency=streams,
        context_tokens=context,
    )
    if plan.runs:
        assert 1 <= plan.running_requests_full <= plan.running_requests <= streams
        assert (plan.running_requests_full < streams) == (waiting(plan) is not None)
        found = [int(word.replace(",", "")) for word in re.findall(r"[\d,]*\d", waiting(plan) or "")]
        assert not found or {plan.running_requests, plan.running_requests_full} <= {*found, streams}


def test_where_all_predicted_requests_run_the_long_ones_may_wait():
    """A million tokens each: the KV cache holds a few, though all the usual requests run."""
    plan = make_plan("flash", hardware=named_machine("h200x4"), concurrency=64, context_tokens=1_048_576)
    assert 64 == plan.running_requests
    assert waiting(plan).startswith("All 64 requests of up to 8,192 prompt and 1,024 answer tokens run at once; ")
    assert waiting(plan).endswith(
        f"context {plan.running_requests_full} do, the others wait: the KV cache holds no more."
    )


def test_llamacpp_makes_room_for_all():
    """All slots exist from the start, so no request waits."""
    plan = make_plan("flash", hardware=named_machine("rtx4090x1"), engine="llamacpp", context_tokens=4096)
    assert plan.running_requests is None
    assert plan.running_requests_full is None


def test_where_requests_are_counted_windows_are_there_for_all():
    """With --max-running-requests and no share SGLang makes windows for as many: 247 ran of 256 in a published run."""
    preview = "deepseek-ai/DeepSeek-V4-Pro"
    plan = make_plan(checkpoint=preview, hardware=named_machine("gb300x4"), concurrency=256, engine="sglang")
    assert "--max-running-requests" in plan.recipe.flags
    assert 256 == plan.running_requests
    assert "KV cache holds no more" in waiting(plan)


@given(some.floats(1e3, 1e9), some.integers(256, 65_536), some.lists(some.integers(1, 1 << 20), min_size=2, max_size=2))
def test_longer_requests_are_never_more(tokens, piece, lengths):
    """In one pool, with windows and without."""
    short, long = sorted(lengths)
    for pool in (KvPool(tokens), KvPool(tokens, tokens * 0.1, piece)):
        assert pool.requests(short) >= pool.requests(long) >= 1


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1_000, 100), (8_000, 12), (80_000, 12), (160_000, 6), (10_000_000, 1)],
)
def test_a_pool_by_hand(length, expected):
    """A million tokens and a tenth of windows, prompts read in pieces of 8,000."""
    assert expected == KvPool(1e6, 1e5, 8_000).requests(length)
