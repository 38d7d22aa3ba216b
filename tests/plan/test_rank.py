"""Alternatives: everything that runs, ranked for one and the same load, and what each engine gives."""

import pytest
from tests.plan.conftest import texts

from seatrial.catalog import find_checkpoint
from seatrial.hardware import detect_hardware
from seatrial.memory.types import Parallelism
from seatrial.plan import make_plan


def test_alternatives_run_and_are_ranked(four_h200s):
    """Every alternative runs, the fastest first, and the chosen plan is none of them."""
    plan = make_plan(hardware=four_h200s, alternatives=True)
    rates = [other.prediction.decode_tokens_per_s.expected for other in plan.alternatives]
    assert sorted(rates, reverse=True) == rates
    assert all(other.runs for other in plan.alternatives)
    chosen, *others = [(one.engine, one.checkpoint, one.parallelism, one.recipe) for one in (plan, *plan.alternatives)]
    assert chosen not in others


def test_alternatives_of_all_engines_are_predicted_for_one_load(four_h200s):
    """llama.cpp by itself is predicted for a short chat, beside SGLang and vLLM for their load."""
    plan = make_plan(hardware=four_h200s, alternatives=True)
    assert {"sglang", "vllm", "llamacpp"} == {other.engine for other in plan.alternatives}
    local = [other.prediction.basis for other in plan.alternatives if other.engine == "llamacpp"]
    assert all("8,192 prompt and 1,024 answer tokens" in basis for basis in local)


@pytest.mark.parametrize(
    ("context", "asked", "load"),
    [
        (2048, {}, "1,820 prompt and 228 answer tokens"),
        (2048, {"prompt_tokens": 2000}, "2,000 prompt and 48 answer tokens"),
        (2048, {"answer_tokens": 500}, "1,548 prompt and 500 answer tokens"),
    ],
)
def test_a_context_shorter_than_the_usual_load_cuts_it_alike_for_every_engine(four_h200s, context, asked, load):
    """Not to one token of answer beside the other engine's whole prompt."""
    plan = make_plan(hardware=four_h200s, context_tokens=context, alternatives=True, **asked)
    known = [one.prediction.basis for one in (plan, *plan.alternatives) if one.prediction.tpot_s is not None]
    assert {"sglang", "vllm", "llamacpp"} == {other.engine for other in plan.alternatives}
    assert [] == [basis for basis in known if load not in basis]


@pytest.mark.parametrize("objective", ["latency", "throughput"])
def test_latency_ranks_by_time_per_token(four_h200s, objective):
    """What is fastest for one is not what gives most to all."""
    plan = make_plan(hardware=four_h200s, objective=objective, concurrency=64, alternatives=True)
    known = [other.prediction for other in plan.alternatives]
    tpots = [prediction.tpot_s.expected for prediction in known]
    rates = [-prediction.decode_tokens_per_s.expected for prediction in known]
    assert sorted(tpots) == tpots if objective == "latency" else sorted(rates) == rates


def test_every_way_to_split_is_weighed():
    """Tensor, attention replicas and experts, over eight, four and two GPUs; never stages, which no vendor ran."""
    plan = make_plan(hardware=detect_hardware("b200x8"), alternatives=True)
    splits = {other.parallelism for other in plan.alternatives if other.checkpoint.endswith("Flash-0731")}
    assert {
        Parallelism(tensor=8),
        Parallelism(tensor=8, data=8, expert=8),
        Parallelism(tensor=8, expert=8),
        Parallelism(tensor=2),
    } <= splits
    assert {1} == {split.pipeline for split in splits}


def test_without_known_figures_alternatives_come_last_with_the_reason():
    """An MI350X's figures are not known: every plan is listed, and says so."""
    plan = make_plan(hardware=detect_hardware("mi350xx8"), alternatives=True)
    unknown = [other.prediction.tpot_s is None for other in plan.alternatives]
    assert sorted(unknown) == unknown
    assert all("not known" in other.prediction.basis for other in plan.alternatives if other.prediction.tpot_s is None)


@pytest.mark.parametrize(
    ("hardware", "engines"),
    [("h200x4", {"sglang", "vllm", "llamacpp"}), ("m3-ultra-512gb", {"sglang", "vllm", "llamacpp", "mlx"})],
)
def test_each_engine_is_said_what_it_gives(hardware, engines):
    """One sentence for each engine: chosen, what it would give, or why it cannot."""
    said = texts(make_plan(hardware=detect_hardware(hardware)))
    for engine in engines:
        assert f"{engine} would run" in said or f"Not {engine}:" in said or f"{engine} was chosen" in said


def test_engines_that_are_only_chosen_by_name_are_alternatives_too():
    """On a Mac every way to run V4 is ranked: llama.cpp's and MLX's."""
    plan = make_plan(hardware=detect_hardware("m3-ultra-512gb"), alternatives=True)
    assert {"llamacpp", "mlx"} == {other.engine for other in plan.alternatives}


@pytest.mark.parametrize("objective", ["latency", "throughput"])
@pytest.mark.parametrize("machine", ["h200x8", "b200x8", "mi355xx8"])
def test_what_cannot_chat_is_no_alternative(machine, objective):
    """Pre-training checkpoints are left out, and the plan says so and how to have one."""
    plan = make_plan("flash", hardware=detect_hardware(machine), objective=objective, concurrency=32, alternatives=True)
    assert plan.alternatives
    assert not any(find_checkpoint(other.checkpoint).base for other in plan.alternatives)
    assert "cannot chat; to plan one: --checkpoint deepseek-ai/DeepSeek-V4-Flash-Base." in texts(plan)


def test_a_named_base_checkpoint_is_compared_with_everything():
    """Who names it gets its other forms among the alternatives, and those of checkpoints that chat."""
    choices = {"hardware": detect_hardware("h200x8"), "alternatives": True}
    plan = make_plan(checkpoint="deepseek-ai/DeepSeek-V4-Flash-Base", **choices)
    assert {True, False} == {find_checkpoint(other.checkpoint).base for other in plan.alternatives}
    assert "Alternatives leave out" not in texts(plan)
