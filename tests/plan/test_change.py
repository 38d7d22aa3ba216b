"""The smallest change that makes a plan run: what it is, and that it is no guess."""

import re

import pytest

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan


def test_a_machine_too_small_says_by_how_much_and_what_helps():
    """The message holds both numbers, the shortfall and a change that was tried."""
    plan = make_plan(
        checkpoint="sgl-project/DeepSeek-V4-Flash-FP8", hardware=detect_hardware("h200x2"), engine="sglang"
    )
    assert "does_not_fit" == plan.verdict
    assert plan.shortfall_bytes > 0
    first = plan.reasons[0].text
    assert "sgl-project/DeepSeek-V4-Flash-FP8 needs" in first
    assert "on 2 GPUs, 141.0 on each (weights 273.8 + KV and state" in first
    assert "usable at fraction 0.90" in first
    assert "too little" in first
    assert "DeepSeek-V4-Flash-0731" in plan.smallest_change
    assert "4 x H200" in plan.smallest_change


def test_fewer_streams_are_the_smallest_change_where_the_weights_fit(no_gpu):
    """With too many long requests llama.cpp's plan names a number of requests that fits, and it does."""
    choices = {
        "hardware": no_gpu,
        "checkpoint": "unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL",
        "context_tokens": 131_072,
    }
    plan = make_plan(concurrency=64, **choices)
    assert "does_not_fit" == plan.verdict
    count = int(plan.smallest_change.split("fits: ")[1].split()[0])
    assert make_plan(concurrency=count, **choices).runs
    assert not make_plan(concurrency=count + 1, **choices).runs


@pytest.mark.parametrize("model", ["flash", "pro"])
@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_another_machine_keeps_the_engine_that_was_asked_for(engine, model):
    """Where the engine cannot run here at all, the machine that is named is one on which it does."""
    choices = {"model": model, "engine": engine}
    here = make_plan(hardware=detect_hardware("cpu"), **choices)
    name, with_engine = re.search(r"another machine, such as (\S+) \((\S+) with", here.smallest_change).groups()
    assert engine == with_engine
    assert make_plan(hardware=detect_hardware(name), **choices).runs


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_no_machine_is_suggested_that_does_not_exist(engine):
    """A DGX Station holds one GB300, so a larger model asks for more machines, not for more in one."""
    choices = {"model": "pro", "engine": engine}
    plan = make_plan(hardware=detect_hardware("dgx-station-gb300x1"), **choices)
    count, each = re.search(r"(\d+) machines with (\d+) x DGX Station", plan.smallest_change).groups()
    there = detect_hardware(f"dgx-station-gb300x{each}")
    assert make_plan(hardware=there, nodes=int(count), **choices).runs


def test_more_host_memory_is_named_and_fits():
    """On a CPU the plan says how much memory would do, and it does."""
    choices = {"checkpoint": "unsloth/DeepSeek-V4-Flash-GGUF:UD-IQ1_S", "engine": "llamacpp"}
    plan = make_plan(hardware=detect_hardware("cpu", host_memory_gib=24), **choices)
    size = int(plan.smallest_change.split(" GiB of host memory")[0].split()[-1])
    assert make_plan(hardware=detect_hardware("cpu", host_memory_gib=size), **choices).runs


def test_ranks_are_the_smallest_change_where_they_alone_are_too_few():
    """Two of eight GPUs do not hold the FP8 repack: more of those that are there do."""
    choices = {
        "checkpoint": "sgl-project/DeepSeek-V4-Flash-FP8",
        "hardware": detect_hardware("h200x8"),
        "engine": "sglang",
    }
    plan = make_plan(tensor_parallel=2, **choices)
    ranks = int(re.search(r"tensor parallel (\d+) instead of 2", plan.smallest_change).group(1))
    assert make_plan(tensor_parallel=ranks, **choices).runs
