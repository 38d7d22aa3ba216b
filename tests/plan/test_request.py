"""What is asked of the planner: bounds are named, and what to do beyond them."""

from dataclasses import replace

import pytest

from seatrial.engines import build_command
from seatrial.errors import UsageError
from seatrial.hardware import detect_hardware
from seatrial.hardware.named import named_machine
from seatrial.plan import make_plan
from seatrial.plan.request import Request
from seatrial.units import GIB


@pytest.mark.parametrize(
    ("choice", "limit", "advice"),
    [
        ({"concurrency": 100_000}, "more than the 65,536", "divide the load among several"),
        ({"nodes": 17}, "more than 16 machines", "equal groups"),
        ({"context_tokens": 1 << 25}, "more than the 16,777,216", "No model of the catalog"),
        ({"prompt_tokens": 1 << 25}, "more than the 16,777,216", "No model of the catalog"),
        ({"answer_tokens": 1 << 25}, "more than the 16,777,216", "No model of the catalog"),
        ({"tensor_parallel": 5000}, "more than the 4,096", "GPUs"),
        ({"concurrency": 0}, "asks for nothing", "1 to 65,536"),
        ({"nodes": -1}, "asks for nothing", "1 to 16"),
    ],
)
def test_a_number_beyond_the_bounds_names_them_and_says_what_next(choice, limit, advice):
    """Never a bare no."""
    with pytest.raises(UsageError, match=limit) as caught:
        Request(named_machine("h200x8"), **choice).check()
    assert advice in caught.value.remedy


@pytest.mark.parametrize(
    ("choice", "message", "advice"),
    [
        (
            {"prompt_tokens": 4000, "answer_tokens": 1000, "context_tokens": 4096},
            "5,000 tokens are longer than the context of 4,096",
            "Raise --context-tokens to 5000",
        ),
        ({"prompt_tokens": 5000, "context_tokens": 4096}, "5,000 tokens", "Raise --context-tokens to 5000"),
        ({"answer_tokens": 2_000_000}, "2,000,000 tokens are longer than the context of 1,048,576", "Choose shorter"),
    ],
)
def test_lengths_that_no_context_holds_are_refused(choice, message, advice):
    """A prediction for a request that cannot be sent would say nothing."""
    with pytest.raises(UsageError, match=message) as caught:
        make_plan("flash", hardware=named_machine("h200x8"), **choice)
    assert advice in caught.value.remedy


def test_the_context_is_long_enough_for_the_lengths_asked_for():
    """Without a context of its own a request gets one that holds its prompt and answer."""
    plan = make_plan("flash", hardware=named_machine("h200x8"), prompt_tokens=100_000, answer_tokens=2000)
    assert 102_000 == plan.context_tokens
    assert "100,000 prompt and 2,000 answer tokens" in plan.prediction.basis


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ({"prompt_tokens": 4000}, "4,000 prompt and 96 answer tokens"),
        ({"answer_tokens": 3000}, "1,096 prompt and 3,000 answer tokens"),
        ({}, "up to 3,640 prompt and 456 answer tokens"),
    ],
)
def test_a_length_asked_for_stays_and_the_usual_one_is_cut_down(lengths, words):
    """In a context that is shorter than both together."""
    plan = make_plan("flash", hardware=named_machine("h200x8"), engine="sglang", context_tokens=4096, **lengths)
    assert words in plan.prediction.basis


def sliced(count, memory_gib):
    """Return a machine with one H200 in so many MIG slices."""
    hardware = detect_hardware("h200x8", host_memory_gib=512)
    changed = {"name": "MIG", "mig": True, "accelerator": None, "memory_bytes": memory_gib * GIB}
    return replace(hardware, gpus=tuple(replace(gpu, **changed) for gpu in hardware.gpus[:count]))


@pytest.mark.parametrize(("engine", "runs"), [("sglang", False), ("vllm", False), ("llamacpp", True)])
def test_slices_of_a_gpu_do_not_work_together(engine, runs):
    """CUDA shows a process one MIG slice, so one is all a plan counts on, and it says so."""
    plan = make_plan("flash", hardware=sliced(7, 71), engine=engine)
    alone = make_plan("flash", hardware=sliced(1, 71), engine=engine)
    assert runs == plan.runs == alone.runs
    assert (plan.capacity_bytes, plan.gpus_per_node, ()) == (alone.capacity_bytes, 1, plan.gpu_shares)
    assert runs == any("MIG slices do not work together" in reason.text for reason in plan.reasons)
    if runs:
        assert build_command(plan).argv == build_command(alone).argv
    else:
        with pytest.raises(UsageError, match="asks for more GPUs"):
            make_plan("flash", hardware=sliced(7, 71), engine=engine, tensor_parallel=4)
