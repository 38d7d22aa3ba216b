"""V4.1-Flash is planned: by arithmetic where runs confirm it, with Engram in host memory if needed, else by recipes."""

import pytest
from tests.plan.conftest import texts

from seatrial.catalog import find_model
from seatrial.engines import build_command
from seatrial.errors import UsageError
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.units import GIB

HOST_TABLE = "SGLANG_ENABLE_DSV41_ENGRAM_HOST_TABLE"


def planned(machine, *, host_memory_gib=None, **choices):
    """Return the plan for V4.1-Flash on a named machine."""
    return make_plan("v4.1-flash", hardware=detect_hardware(machine, host_memory_gib=host_memory_gib), **choices)


@pytest.mark.parametrize("machine", ["h200x8", "b200x4", "b300x4", "gb300x4", "mi350xx4"])
def test_what_sglang_ran_is_verified(machine):
    """Each machine of SGLang's cookbook page for V4.1; arithmetic agrees without recipes."""
    plan = planned(machine)
    assert ("verified", "sglang") == (plan.verdict, plan.engine)
    assert "fits" == planned(machine, engine="sglang", recipes=False).verdict


def test_engram_tables_go_to_host_memory_where_all_weights_do_not_fit():
    """2x B200: 161 GiB usable on each hold the rest; the command says so, and the host bytes are counted apart."""
    plan = planned("b200x2")
    assert ("fits", "sglang") == (plan.verdict, plan.engine)
    assert 189 == round(plan.footprint.host_bytes / GIB)
    assert plan.need_bytes == plan.footprint.per_gpu_bytes * 2 <= plan.capacity_bytes
    assert {HOST_TABLE: "1"}.items() <= build_command(plan).env.items()
    assert any("are in host memory" in reason.text for reason in plan.reasons[:4])


def test_tables_that_fit_on_the_gpus_stay_there():
    """2x GB300 hold all weights: nothing is in host memory, and the command asks for nothing."""
    plan = planned("gb300x2")
    assert ("fits", 0) == (plan.verdict, plan.footprint.host_bytes)
    assert HOST_TABLE not in build_command(plan).env


def test_a_host_too_small_for_the_tables_does_not_fit():
    """The reason has both figures: what the tables need, and how much is missing."""
    plan = planned("b200x2", host_memory_gib=128)
    assert "does_not_fit" == plan.verdict
    assert plan.shortfall_bytes == plan.footprint.host_bytes - 120 * GIB
    assert "188.8 GiB of host memory: 68.8 GiB too little" in plan.reasons[0].text
    assert "4 x B200" in plan.smallest_change


def test_one_gpu_lacks_memory_even_then():
    """286 GiB of other weights are more than one B300."""
    assert "does_not_fit" == planned("b300x1", engine="sglang", recipes=False).verdict


def test_a_vendor_s_word_decides_where_no_run_confirms_the_arithmetic():
    """NVIDIA's run on one GB300 with vLLM fits by its recipe, whatever the formulas say; it is not verified."""
    plan = planned("dgx-station-gb300x1", engine="vllm")
    assert ("fits", "vllm", 0) == (plan.verdict, plan.engine, plan.shortfall_bytes)
    assert plan.unchecked
    assert "only the vendor's run decides" in texts(plan)
    # The offloaded weights and the tables are in host memory.
    assert 237 == round(plan.footprint.host_bytes / GIB)


def test_without_a_recipe_the_nearest_is_named():
    """VLLM on 8x H100: refused, with the recipe that comes nearest and a machine that would do."""
    plan = planned("h100x8", engine="vllm")
    assert ("refused", 0) == (plan.verdict, plan.shortfall_bytes)
    assert "The nearest recipe is" in plan.reasons[0].text
    assert plan.smallest_change


@pytest.mark.parametrize(
    ("engine", "machine", "parsers", "default"),
    [
        ("sglang", "h200x8", ("auto", "auto"), "Non-think"),
        ("vllm", "h200x8", ("deepseek_v41", "deepseek_v41"), "Think High (50)"),
    ],
)
def test_v41_has_chat_facts_of_its_own(engine, machine, parsers, default):
    """Parsers and efforts; SGLang thinks only if asked, vLLM at effort 50."""
    chat = planned(machine, engine=engine).chat
    assert parsers == (chat.reasoning_parser, chat.tool_call_parser)
    assert default == chat.default_mode.name
    efforts = [mode.chat_template_kwargs.get("reasoning_effort") for mode in chat.thinking_modes]
    assert [None, "low", "high", "xhigh", "max"] == efforts


def test_experts_are_spread_as_the_recipe_spreads_them():
    """Its cells set --ep-size and no exchange of experts: a command with DeepEP would be another one."""
    flags = build_command(planned("h200x8")).flags
    assert "8" == flags["--expert-parallel-size"]
    assert "--moe-a2a-backend" not in flags


def test_windows_are_sized_by_requests():
    """SGLang sets no share for V4.1, so the command does not either; the footprint counts windows for 256 requests."""
    plan = planned("b200x8", engine="sglang", recipes=False, concurrency=64)
    assert "--swa-full-tokens-ratio" not in build_command(plan).flags
    assert "SWA" in plan.footprint.kv_by_class
    assert plan.footprint.state_bytes > plan.footprint.kv_bytes > 0


def test_no_speed_is_predicted():
    """The basis says why; no interval is made up."""
    prediction = planned("h200x8").prediction
    assert (None, None, None) == (prediction.decode_tokens_per_s, prediction.tpot_s, prediction.ttft_s)
    assert "No speed is predicted" in prediction.basis


def test_a_context_longer_than_the_model_takes_is_refused():
    """As for every model."""
    with pytest.raises(UsageError, match="1,048,576"):
        planned("h200x8", context_tokens=2_000_000)


@pytest.mark.parametrize("model", ["flash", "flash-vision-exp"])
def test_who_plans_flash_reads_what_the_api_does_with_its_name(model):
    """One reason, with its source: the API answers with V4.1."""
    plan = make_plan(model, hardware=detect_hardware("h200x8"))
    (reason,) = (reason for reason in plan.reasons if reason.source == find_model(model).api.source)
    assert "answers requests for it with V4.1-Flash" in reason.text


def test_vision_exp_is_planned_by_arithmetic():
    """Its tensors and caches are Flash's and a tower, which the published size confirms."""
    plan = make_plan("flash-vision-exp", hardware=detect_hardware("h200x4"), recipes=False, engine="sglang")
    plain = make_plan("flash", hardware=detect_hardware("h200x4"), recipes=False, engine="sglang")
    assert "fits" == plan.verdict
    assert plain.footprint.kv_by_class == plan.footprint.kv_by_class
    assert plan.footprint.by_class["vision"] == 932_786_176
