"""MLX on a Mac: DeepSeek's own FP4 releases by mlx-vlm, with a command, chat facts, a prediction and the draft offered."""

import pytest
from tests.plan.conftest import texts

from seatrial.catalog import find_checkpoint
from seatrial.engines import build_command
from seatrial.errors import UsageError
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan

RELEASE = "deepseek-ai/DeepSeek-V4-Flash-0731"


@pytest.fixture
def mac():
    """Return the largest Mac."""
    return detect_hardware("m3-ultra-512gb")


def test_v4_is_planned_with_a_command(mac):
    """The default release, its context and requests; by hand it needs another config.json, and the command says so."""
    plan = make_plan(hardware=mac, engine="mlx", context_tokens=4096, concurrency=3)
    assert ("fits", RELEASE, 1) == (plan.verdict, plan.checkpoint, plan.gpus_per_node)
    command = build_command(plan)
    assert "mlx_vlm.server" == command.argv[0]
    wanted = {"--model": RELEASE, "--host": "127.0.0.1", "--max-kv-size": "4096", "--max-num-seqs": "3"}
    assert wanted == {name: command.flags[name] for name in wanted}
    assert "weight_block_size" in command.notes[0]
    local = build_command(plan, model_path="/models/v4")
    assert ((), "MLX_VLM_SERVER_API_KEY") == (local.notes, local.key_env)
    assert {"HF_HUB_CACHE": "/models/v4", "HF_HUB_OFFLINE": "1"} == local.env


def test_it_answers_without_thinking(mac):
    """By mlx-vlm's own template; no other mode is listed, and no sentence asks for one."""
    plan = make_plan(hardware=mac, engine="mlx")
    assert ["Non-think"] == [mode.name for mode in plan.chat.thinking_modes]
    assert "Non-think" == plan.chat.default_mode.name
    assert "without thinking and without tools" in texts(plan)
    assert "asks for Think" not in texts(plan)


def test_its_speed_is_an_interval_with_a_basis(mac):
    """Predicted for the same lengths as llama.cpp, so that the two can be compared."""
    plan = make_plan(hardware=mac, engine="mlx")
    assert plan.prediction.tpot_s.low < plan.prediction.tpot_s.expected < plan.prediction.tpot_s.high
    assert "512 prompt and 256 answer tokens" in plan.prediction.basis
    other = make_plan(hardware=mac, engine="llamacpp")
    assert plan.prediction.basis.split(";")[-1] == other.prediction.basis.split(";")[-1]
    assert "with llama.cpp, whose figures count for mlx too" in plan.prediction.basis
    assert "with llama.cpp" not in other.prediction.basis


@pytest.mark.parametrize(("checkpoint", "gain"), [(RELEASE, "1.55 times"), ("deepseek-ai/DeepSeek-V4-Flash", "no run")])
def test_its_draft_is_offered(mac, checkpoint, gain):
    """The reason says what a published run gained, and the option drafts from the same folder."""
    plan = make_plan(checkpoint=checkpoint, hardware=mac, engine="mlx")
    (offer,) = [reason.text for reason in plan.reasons if "--drafter auto turns it on" in reason.text]
    assert gain in offer
    drafting = make_plan(checkpoint=checkpoint, hardware=mac, engine="mlx", drafter="auto", draft_tokens=3)
    assert (checkpoint, "auto", 3) == (drafting.drafter, drafting.drafter_asked, drafting.draft_tokens)
    assert any("the predicted speed is without it" in reason.text for reason in drafting.reasons)
    flags = build_command(drafting, model_path="/models/v4").flags
    assert ("/models/v4", "4") == (flags["--draft-model"], flags["--draft-block-size"])
    assert "--draft-model" not in build_command(plan, model_path="/models/v4").flags


def test_a_draft_that_is_not_there_is_bad_input(mac):
    """A checkpoint without a draft head is refused before anything is loaded, and so is a file that drafts."""
    plan = make_plan(checkpoint="mlx-community/DeepSeek-V4-Flash-4bit", hardware=mac, engine="mlx", drafter="auto")
    assert ("refused", True) == (plan.verdict, "has no draft head inside" in plan.reasons[0].text)
    with pytest.raises(UsageError, match="drafts with the checkpoint's own head, not with"):
        make_plan(
            checkpoint=RELEASE, hardware=mac, engine="mlx", drafter="unsloth/DeepSeek-V4-Flash-0731-GGUF:dspark-Q8_0"
        )


def test_auto_stays_with_llamacpp_and_says_what_mlx_would_give(mac):
    """Nothing was served on a Mac here, so the engine with thinking and tools comes first."""
    plan = make_plan(hardware=mac)
    assert "llamacpp" == plan.engine
    assert f"mlx would run {RELEASE} (fits)" in texts(plan)
    assert "thinks and calls tools" in texts(plan)


@pytest.mark.parametrize("checkpoint", [RELEASE, "mlx-community/DeepSeek-V4-Flash-4bit"])
def test_auto_takes_mlx_if_nothing_else_loads_what_was_named(mac, checkpoint):
    """A person who names the official release on a Mac gets a plan that runs."""
    plan = make_plan(checkpoint=checkpoint, hardware=mac)
    assert ("fits", "mlx") == (plan.verdict, plan.engine)


def test_a_community_checkpoint_says_what_is_not_known():
    """Its size fits; nobody has reported loading it."""
    row = find_checkpoint("mlx-community/DeepSeek-V4-Flash-2bit-DQ")
    plan = make_plan(hardware=detect_hardware("m5-max-128gb"), engine="mlx")
    assert ("mlx", "nobody has reported" in texts(plan)) == (plan.engine, True)
    assert "nobody has reported" in row.note
