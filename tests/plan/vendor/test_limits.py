"""How many requests an engine lets run at once if nobody says."""

import pytest

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.plan.vendor.limits import default_running_limit


@pytest.mark.parametrize(
    ("engine", "machine", "replicas", "expected"),
    [
        ("sglang", "h200", 1, 256),
        ("sglang", "rtx5090", 8, 256),
        ("vllm", "h200", 1, 1024),
        ("vllm", "h100", 4, 4096),
        ("vllm", "b300", 1, 1024),
        ("vllm", "rtx5090", 1, 256),
        ("vllm", "gb10", 1, 256),
        ("vllm", "a100-80gb", 1, 256),
    ],
)
def test_each_engine_has_its_own(engine, machine, replicas, expected):
    """SGLang resolves V4 with 256; vLLM goes by the GPU's memory, and keeps GB10 and A100 with the small ones."""
    assert expected == default_running_limit(engine, detect_hardware(machine).gpus[0], replicas)


def test_without_a_gpu_the_small_one_holds():
    """Nothing is known of the memory."""
    assert 256 == default_running_limit("vllm", None, 1)


def test_a_vllm_plan_runs_more_than_sglang_s_limit():
    """512 requests of a short context all run on 8x H200: vLLM's limit is 1,024."""
    wishes = {"context_tokens": 2048, "concurrency": 512, "prompt_tokens": 256, "answer_tokens": 256}
    plan = make_plan("flash", hardware=detect_hardware("h200x8"), engine="vllm", **wishes)
    assert 512 == plan.running_requests
