"""How to talk to what was planned travels with the plan, as data and in its command."""

import pytest

from seatrial.engines import build_command
from seatrial.flags import Flags
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.plan.types import Plan
from seatrial.plan.vendor.chat import _default_kwargs
from seatrial.records import from_dict, to_dict

PARSERS = {"sglang": ("deepseek-v4", "deepseekv4"), "vllm": ("deepseek_v4", "deepseek_v4"), "llamacpp": (None, None)}


def plan_on(engine, **wishes):
    """Return a plan of V4-Flash on eight H200 for ``engine``."""
    return make_plan(**{"model": "flash", **wishes}, hardware=detect_hardware("h200x8"), engine=engine)


@pytest.mark.parametrize("engine", PARSERS)
def test_parsers_are_spelt_as_each_engine_does_and_stand_in_the_command(engine):
    """The names differ by a dash from engine to engine; what the plan says is what is launched."""
    plan = plan_on(engine)
    assert PARSERS[engine] == (plan.chat.reasoning_parser, plan.chat.tool_call_parser)
    assert set(plan.chat.flags) <= set(build_command(plan).argv)


def test_think_max_says_what_context_it_needs_and_whether_the_plan_gives_it():
    """384K tokens: the default context is too small, and a longer one does."""
    for context, enough in ((32_768, False), (393_216, True)):
        plan = plan_on("sglang", context_tokens=context)
        most = next(mode for mode in plan.chat.thinking_modes if mode.name == "Think Max")
        assert (393_216, enough) == (most.context_tokens_min, most.fits_context)
        assert {"thinking": True, "reasoning_effort": "max"} == most.chat_template_kwargs
        assert enough != any("Think Max needs" in reason.text for reason in plan.reasons)


@pytest.mark.parametrize(("engine", "mode"), [("sglang", "Non-think"), ("llamacpp", "Think High")])
def test_the_default_mode_depends_on_the_engine(engine, mode):
    """The GGUF's template thinks unless told otherwise; the serving engines do not."""
    assert mode == plan_on(engine).chat.default_mode.name


def test_a_recipe_may_set_another_default_mode():
    """The one for two DGX Spark has every request think unless it says otherwise."""
    plan = make_plan("flash", hardware=detect_hardware("gb10x1"), nodes=2, engine="vllm")
    assert "Think High" == plan.chat.default_mode.name
    assert any("It answers in Think High" in reason.text for reason in plan.reasons)


@pytest.mark.parametrize(
    ("checkpoint", "purposes"),
    [
        ("deepseek-ai/DeepSeek-V4-Flash", ["general"]),
        ("deepseek-ai/DeepSeek-V4-Flash-0731", ["general", "agents and tools"]),
    ],
)
def test_sampling_is_that_of_the_release(checkpoint, purposes):
    """0731 and 0813 recommend another top_p for agents."""
    chat = plan_on("sglang", checkpoint=checkpoint, model=None).chat
    assert purposes == [row.purpose for row in chat.sampling]
    assert (1.0, 1.0) == (chat.sampling[0].temperature, chat.sampling[0].top_p)


def test_what_has_no_chat_has_no_chat_facts():
    """A pre-training checkpoint and the small stand-in are told nothing about V4's chat."""
    base = plan_on("sglang", checkpoint="deepseek-ai/DeepSeek-V4-Flash-Base", model=None)
    stand_in = make_plan("smollm2", hardware=detect_hardware("cpu"))
    for plan in (base, stand_in):
        assert plan.chat is None
        assert not any("parser" in reason.text for reason in plan.reasons)


def test_every_chat_fact_has_origin_and_source():
    """Parsers, modes and sampling each say where they stand, and read back as they were."""
    plan = plan_on("vllm")
    for fact in (plan.chat, *plan.chat.thinking_modes, *plan.chat.sampling):
        assert fact.origin
        assert fact.source
    assert plan.chat == from_dict(Plan, to_dict(plan)).chat


def test_a_recipe_may_set_the_default_mode_as_json():
    """NVIDIA's recipe for two RTX PRO 6000 thinks at effort high unless a request says otherwise."""
    wishes = {"engine": "vllm", "checkpoint": "deepseek-ai/DeepSeek-V4-Flash-0731"}
    plan = make_plan(hardware=detect_hardware("rtxpro6000x2"), **wishes)
    assert "--default-chat-template-kwargs" in plan.recipe.flags
    assert "Think High" == plan.chat.default_mode.name


@pytest.mark.parametrize("value", ["true", "True"])
def test_a_default_mode_may_be_spelt_either_way(value):
    """As JSON and as one flag for each name, in the letters of JSON or of Python."""
    names = {
        "--default-chat-template-kwargs.thinking": value,
        "--default-chat-template-kwargs.reasoning_effort": "high",
    }
    whole = {"--default-chat-template-kwargs": '{"thinking": true, "reasoning_effort": "high"}'}
    assert [{"thinking": "true", "reasoning_effort": "high"}] * 2 == [
        dict(_default_kwargs(Flags.of(flags))) for flags in (names, whole)
    ]
