"""What cannot be: another architecture, ranks nobody can form, formats nobody loads, numbers that make no sense."""

import pytest
from tests.plan.conftest import texts

from seatrial.errors import UnknownNameError, UsageError
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan


@pytest.mark.parametrize("engine", ["auto", "vllm"])
def test_unchecked_arithmetic_gives_no_verdict(engine):
    """V4.1 on GPUs no vendor named: its bytes are known, and without a vendor's run they decide nothing."""
    plan = make_plan("v4.1-flash", hardware=detect_hardware("a100-80gbx8"), engine=engine, recipes=False)
    assert ("refused", 0) == (plan.verdict, plan.shortfall_bytes)


def test_unchecked_arithmetic_is_named_as_the_reason():
    """The reason says that only recipes count, and that the caches are the open point."""
    plan = make_plan("v4.1-flash", hardware=detect_hardware("b300x8"), engine="vllm", recipes=False)
    assert "refused" == plan.verdict
    assert "planned by vendors' recipes only" in plan.reasons[0].text


@pytest.mark.parametrize(
    ("machine", "nodes", "ranks", "used"),
    [("h100x2", 3, 4, (2, 2)), ("h100x8", 2, 8, (2, 4)), ("h100x2", 16, 2, (1, 2)), ("h100x8", 3, 8, (1, 8))],
)
def test_ranks_are_shared_out_evenly_among_machines(machine, nodes, ranks, used):
    """Engines refuse ranks that the machines do not divide, so only as many machines are used as do."""
    plan = make_plan(
        hardware=detect_hardware(machine), nodes=nodes, tensor_parallel=ranks, engine="sglang", recipes=False
    )
    assert (used, ranks) == ((plan.nodes, plan.gpus_per_node), plan.parallelism.tensor)


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
@pytest.mark.parametrize("model", ["flash", "pro"])
@pytest.mark.parametrize("nodes", [3, 6, 15])
def test_machines_beyond_what_can_be_split_stay_idle(engine, model, nodes):
    """SGLang splits Pro's 16 output groups over 16 GPUs, no more; the plan says how many machines it uses."""
    plan = make_plan(model, hardware=detect_hardware("h200x8"), nodes=nodes, engine=engine, recipes=False)
    used = 2 if (engine, model) == ("sglang", "pro") else 1
    assert (True, used, 1) == (plan.runs, plan.nodes, plan.parallelism.pipeline)
    assert f"of the {nodes} machines" in texts(plan)


@pytest.mark.parametrize("nodes", [17, 100, 10**9])
def test_more_machines_than_any_vendor_ran_are_refused_with_what_to_do_instead(nodes, eight_h100s):
    """Nobody has published a run over more than 16 machines, so there is nothing to plan by."""
    with pytest.raises(UsageError, match="no vendor has published a run over more than 16 machines") as raised:
        make_plan("pro", hardware=eight_h100s, nodes=nodes)
    assert "one of several equal groups" in raised.value.remedy


@pytest.mark.parametrize(("machine", "nodes", "ranks"), [("h100x2+rtx4090x2", 1, 4), ("h100x3", 3, 8)])
def test_ranks_that_equal_gpus_cannot_form_are_bad_input(machine, nodes, ranks):
    """GPUs of another kind do not count, and neither do ranks no number of machines divides."""
    with pytest.raises(UsageError, match=f"tensor_parallel = {ranks}"):
        make_plan(hardware=detect_hardware(machine), nodes=nodes, tensor_parallel=ranks)


@pytest.mark.parametrize(
    ("machine", "checkpoint", "why"),
    [
        ("h100x8", "mlx-community/DeepSeek-V4-Flash-4bit", "Apple silicon only"),
        ("cpu", "mlx-community/DeepSeek-V4-Flash-4bit", "Apple silicon only"),
        ("m3-ultra-512gb", "mlx-community/deepseek-ai-DeepSeek-V4-Flash-8bit", "No engine of this kit runs"),
    ],
)
def test_an_mlx_checkpoint_is_refused_by_mlx(machine, checkpoint, why):
    """Where nothing runs a checkpoint, the engine made for its format says why, and no other."""
    plan = make_plan(checkpoint=checkpoint, hardware=detect_hardware(machine))
    assert ("refused", "mlx") == (plan.verdict, plan.engine)
    assert why in plan.reasons[0].text


@pytest.mark.parametrize(
    "checkpoint",
    [
        "nvidia/DeepSeek-V4-Flash-NVFP4",
        "sgl-project/DeepSeek-V4-Flash-FP8",
        "deepseek-ai/DeepSeek-V4-Flash-Base",
        "unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL",
    ],
)
def test_mlx_refuses_what_it_does_not_load_and_says_what_works(checkpoint):
    """Experts in NVFP4 or FP8, or a GGUF: the plan names the engines that load them, and what fits this Mac."""
    plan = make_plan(checkpoint=checkpoint, hardware=detect_hardware("m3-ultra-512gb"), engine="mlx")
    assert ("refused", "mlx") == (plan.verdict, plan.engine)
    assert "mlx does not load" in plan.reasons[0].text
    assert "llamacpp" in plan.smallest_change


def test_tensor_parallel_three_is_refused_with_the_divisor(eight_h100s):
    """64 heads cannot be divided by three; the plan says which numbers can."""
    plan = make_plan(hardware=eight_h100s, engine="sglang", tensor_parallel=3)
    assert "refused" == plan.verdict
    assert "choose a divisor of 64" in plan.reasons[0].text


BAD = {
    "no nodes": ({"nodes": 0}, UsageError),
    "absurd nodes": ({"nodes": 10**9}, UsageError),
    "no requests": ({"concurrency": 0}, UsageError),
    "no context": ({"context_tokens": 0}, UsageError),
    "context beyond the model": ({"context_tokens": 1_048_577}, UsageError),
    "more ranks than GPUs": ({"tensor_parallel": 16}, UsageError),
    "unknown engine": ({"engine": "tgi"}, UnknownNameError),
    "unknown model": ({"model": "flsh"}, UnknownNameError),
    "empty model": ({"model": ""}, UnknownNameError),
    "unknown objective": ({"objective": "cheap"}, UnknownNameError),
    "unknown checkpoint": ({"checkpoint": "deepseek-ai/DeepSeek-V5"}, UnknownNameError),
    "model and checkpoint disagree": ({"model": "pro", "checkpoint": "deepseek-ai/DeepSeek-V4-Flash"}, UsageError),
    "a size nobody published": ({"checkpoint": "RedHatAI/DeepSeek-V4-Flash-NVFP4-FP8"}, UsageError),
}


@pytest.mark.parametrize(("choices", "error"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_clear_error(choices, error, eight_h100s):
    """Numbers no machine has and names that do not exist raise a typed error with a remedy."""
    with pytest.raises(error) as raised:
        make_plan(hardware=eight_h100s, **choices)
    assert raised.value.remedy


def test_an_engine_that_cannot_load_the_format_is_refused(no_gpu, eight_h100s):
    """GGUF on vLLM, and safetensors on llama.cpp, name the engine that would load them."""
    plan = make_plan(checkpoint="unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL", hardware=eight_h100s, engine="vllm")
    assert "refused" == plan.verdict
    assert "llamacpp does" in plan.reasons[0].text
    plan = make_plan(checkpoint="deepseek-ai/DeepSeek-V4-Flash", hardware=no_gpu, engine="llamacpp")
    assert "refused" == plan.verdict


def test_ranks_are_never_ignored_in_silence():
    """llama.cpp splits tensors over every GPU it sees, so two of four are refused."""
    plan = make_plan("flash", hardware=detect_hardware("h200x4"), engine="llamacpp", tensor_parallel=2)
    assert ("refused", True) == (plan.verdict, "--tensor-parallel 4, not 2" in plan.reasons[0].text)
