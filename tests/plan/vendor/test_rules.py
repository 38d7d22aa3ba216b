"""What an engine refuses is said once, of what is there."""

from dataclasses import replace

import pytest

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
@pytest.mark.parametrize("machine", ["cpu", "m3-ultra-512gb"])
def test_a_machine_without_such_gpus_is_not_told_of_their_kind(engine, machine):
    """That there is no GPU is the reason; "this GPU is of unknown kind" beside it would contradict it."""
    plan = make_plan("flash", hardware=detect_hardware(machine), engine=engine)
    texts = [reason.text for reason in plan.reasons]
    assert "refused" == plan.verdict
    assert any("this machine has none" in text for text in texts)
    assert not any("this GPU" in text for text in texts)


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_an_older_generation_is_still_refused(engine):
    """A GPU that is there and too old is named by its architecture."""
    plan = make_plan("flash", hardware=detect_hardware("rtx4090x8"), engine=engine)
    assert any("this GPU is 8.9" in reason.text for reason in plan.reasons)


@pytest.mark.parametrize(("cuda", "told"), [("12.8", True), ("13.0", False), (None, False)])
def test_a_driver_older_than_the_release_wants_is_said(cuda, told):
    """SGLang 0.5.23 is built for CUDA 13; a container may bridge that, so it is a warning and no refusal."""
    plan = make_plan("flash", hardware=replace(detect_hardware("b300x8"), cuda=cuda), engine="sglang")
    assert plan.runs
    assert told == any("is built for CUDA 13.0" in reason.text for reason in plan.reasons)


@pytest.mark.parametrize("name", ["mi300xx8", "mi355xx8"])
def test_a_recipe_run_in_a_container_names_it(name):
    """AMD's cells ran in ROCm images, older than the flags of the plan."""
    plan = make_plan("flash", hardware=detect_hardware(name), engine="sglang")
    assert "verified" == plan.verdict
    assert "sglang-rocm" in plan.reasons[0].text


@pytest.mark.parametrize(("engine", "told"), [("vllm", True), ("sglang", False)])
def test_what_further_machines_add_is_said(engine, told):
    """In vLLM's recipes the machines after the first serve no HTTP."""
    plan = make_plan("pro", hardware=detect_hardware("gb200x4"), nodes=2, engine=engine)
    text = next(reason.text for reason in plan.reasons if "Each of the 2 machines" in reason.text)
    assert told == ("those after the first take no requests (--headless)" in text)


def test_what_a_recipe_sets_to_names_of_a_site_is_said():
    """Two DGX Spark talk through interfaces whose names only their owner knows."""
    plan = make_plan("flash", hardware=detect_hardware("gb10x1"), nodes=2, engine="vllm")
    assert "NCCL_SOCKET_IFNAME" in plan.reasons[0].text


@pytest.mark.parametrize(
    ("hardware", "wishes", "rule"),
    [
        ("a100-80gbx8", {"engine": "sglang", "checkpoint": "sgl-project/DeepSeek-V4-Flash-FP8"}, "sglang-gpu-generation"),
        ("rtx3090x8", {"engine": "vllm"}, "vllm-gpu-generation"),
        ("h200x8", {"engine": "vllm", "checkpoint": "nvidia/DeepSeek-V4-Pro-NVFP4"}, "nvfp4-needs-blackwell"),
        ("mi355xx8", {"engine": "sglang", "checkpoint": "nvidia/DeepSeek-V4-Pro-NVFP4"}, "nvfp4-needs-blackwell"),
        ("mi300xx8", {"engine": "sglang", "checkpoint": "deepseek-ai/DeepSeek-V4-Flash"}, "sglang-cdna3-fp8-only"),
        ("mi325xx8", {"engine": "sglang", "checkpoint": "sgl-project/DeepSeek-V4-Pro-FP8"}, "sglang-cdna3-flash-only"),
        ("rtxpro6000x16", {"engine": "sglang", "checkpoint": "deepseek-ai/DeepSeek-V4-Pro"}, "sglang-sm120-flash-only"),
        ("mi300xx8", {"engine": "vllm"}, "vllm-mi300x"),
        ("mi325xx8", {"engine": "vllm", "tensor_parallel": 2, "context_tokens": 4096}, "vllm-mi325x-one-gpu"),
        ("mi325xx1", {"engine": "vllm", "context_tokens": 8192}, "vllm-mi325x-context"),
        ("h100x8", {"engine": "mlx"}, "mlx-needs-apple"),
        ("strix-halo-128gb", {"engine": "vllm"}, "vllm-gpu-generation"),
    ],
)  # fmt: skip
def test_each_rule_is_named_with_its_source(hardware, wishes, rule):
    """What engines refuse, one machine for each rule."""
    model = {} if "checkpoint" in wishes else {"model": "flash"}
    plan = make_plan(**model, hardware=detect_hardware(hardware), **wishes)
    named = [reason.source for reason in plan.reasons if "(rule " in reason.source]
    assert "refused" == plan.verdict
    assert any(f"(rule {rule})" in source for source in named)
