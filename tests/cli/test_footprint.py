"""``seatrial footprint``: bytes of a checkpoint or of any deepseek_v4 config.json."""

import json

import pytest

from seatrial.catalog import find_model
from seatrial.cli.main import main


def asked(capsys, *words):
    """Return the JSON document of one command line, which must succeed."""
    assert 0 == main(["footprint", *words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_the_plain_native_checkpoint_has_its_exact_bytes(capsys):
    """The figure other tools put between 4 GB and 561 GB."""
    document = asked(capsys, "deepseek-ai/DeepSeek-V4-Flash")
    assert 159_609_485_896 == document["weights_bytes"]
    assert 159_609_485_896 == sum(document["by_class"].values())
    assert (284_332_240_471, 13_270_101_591) == (document["parameters_total"], document["parameters_active"])
    assert "derived" == document["origin"]


def test_a_config_alone_is_enough(capsys, tmp_path):
    """--config takes any deepseek_v4 config.json."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(find_model("pro").config))
    document = asked(capsys, "--config", str(path), "--engine", "vllm", "--context-tokens", "100000")
    assert 864_704_792_696 == document["weights_bytes"]
    assert ("vllm", 100_000) == (document["engine"], document["context_tokens"])


def test_llamacpp_reports_its_caches_by_name(capsys):
    """Options reach the formulas."""
    words = [
        "--engine",
        "llamacpp",
        "--option",
        "cache_type=q8_0",
        "--option",
        "ubatch_tokens=256",
        "--concurrency",
        "2",
    ]
    document = asked(capsys, "tiny-v4", *words)
    assert {"SWA", "CSA", "HCA", "LID", "state"} == document["kv_by_class"].keys()
    assert 2 * 512 * 6 * (128 // 32 * 34) == document["kv_by_class"]["SWA"]


@pytest.mark.parametrize(("engine", "noted"), [("sglang", True), ("llamacpp", False)])
def test_a_setting_of_another_engine_gets_a_note(capsys, engine, noted):
    """The type of llama.cpp's caches is no setting of SGLang."""
    main(["footprint", "flash", "--engine", engine, "--option", "cache_type=q8_0", "--json"])
    notes = " ".join(json.loads(capsys.readouterr().out)["notes"])
    assert noted == ("cache_type is a setting of llamacpp and changes nothing for sglang." in notes)


def test_people_see_tables(capsys):
    """What is needed, which weights weigh most, which caches there are."""
    assert 0 == main(["footprint", "flash"])
    shown = capsys.readouterr().out
    assert "166,878,536,440" in shown
    assert "routed experts" in shown
    assert "HCA" in shown


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "either a checkpoint or --config"),
        (["flash", "--config", "x.json"], 2, "either a checkpoint or --config"),
        (["deepseek-ai/DeepSeek-V4-Flsh"], 2, "Nearest: deepseek-ai/DeepSeek-V4-Flash"),
        (["unsloth/DeepSeek-V4-Flash-GGUF"], 2, "UD-Q4_K_XL"),
        (["RedHatAI/DeepSeek-V4-Flash-NVFP4-FP8"], 2, "not guessed"),
        (["v4-flash"], 2, "v4.1-flash here"),
        (["flash", "--engine", "tgi"], 2, "Unknown engine"),
        (["flash", "--option", "x=1"], 2, "Known: tensor_parallel"),
        (["flash", "--option", "cache_type"], 2, "NAME=VALUE"),
        (["flash", "--context-tokens", "2000000"], 2, "1,048,576"),
        (["flash", "--context-tokens", "-5"], 2, "whole number"),
        (["flash", "--concurrency", "0"], 2, "whole number"),
        (["--config", "/nowhere/config.json"], 2, "cannot be read"),
        (["--config", "/"], 2, "cannot be read"),
    ],
)
def test_bad_input_is_one_clear_message(capsys, words, code, message):
    """With the contract's exit code, no traceback, and nothing on stdout."""
    assert code == main(["footprint", *words, "--json"])
    answered = capsys.readouterr()
    assert message in answered.err
    assert "Traceback" not in answered.err
    assert "" == answered.out


def test_a_config_of_another_architecture_is_refused(capsys, tmp_path):
    """An unknown one is named instead of being sized by the wrong formulas."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "deepseek_v5", "hidden_size": 4096}))
    assert 3 == main(["footprint", "--config", str(path), "--json"])
    assert "deepseek_v5" in capsys.readouterr().err


def test_a_config_of_v41_is_sized(capsys, tmp_path):
    """The catalog's own config as a file, and in the nested form of the hub; the total is the catalog's."""
    config = find_model("v4.1-flash").config
    vision = {"num_hidden_layers": 32, "hidden_size": 1024, "intermediate_size": 2816, "patch_size": 14}
    text = {name: value for name, value in config.items() if not name.startswith("vision_")}
    nested = {
        "model_type": "deepseek_v41",
        "text_config": {**text, "model_type": "deepseek_v41_text"},
        "vision_config": {**vision, "num_attention_heads": 16, "downsample_ratio": 3},
    }
    for number, written in enumerate((config, nested)):
        path = tmp_path / f"config{number}.json"
        path.write_text(json.dumps(written))
        assert 510_286_021_464 == asked(capsys, "--config", str(path))["weights_bytes"]


def test_a_machine_adds_the_contexts_that_fit_there(capsys):
    """The planner's footprint, and what shorter and longer contexts need of what there is."""
    words = ["deepseek-ai/DeepSeek-V4-Flash-0731", "--hardware", "h200x4", "--concurrency", "256"]
    document = asked(capsys, *words)
    assert 166_878_536_440 == document["weights_bytes"]
    needs = [row["need_bytes"] for row in document["contexts"] if row["held_at_once"] == 256]
    assert sorted(needs) == needs
    largest = document["largest_context_tokens"]
    assert all((row["context_tokens"] <= largest) == (row["held_at_once"] == 256) for row in document["contexts"])
    assert 0 == main(["footprint", *words])
    shown = capsys.readouterr().out
    assert f"fits up to {largest:,} tokens" in shown
    assert "█" in shown


def test_a_machine_plans_with_its_own_settings(capsys, tmp_path):
    """Options that a plan decides are refused, not passed over."""
    for words in (["flash", "--option", "swa_ratio=0.2"], ["--config", str(tmp_path / "config.json")]):
        assert 2 == main(["footprint", *words, "--hardware", "h200x4"])
        assert "--hardware plans with a checkpoint" in capsys.readouterr().err


def test_a_model_s_name_is_what_a_plan_chooses_there(capsys):
    """On a card without FP4 kernels a GGUF with part of it in host memory, not the default release that is refused."""
    document = asked(capsys, "flash", "--hardware", "rtx4090x2", "--host-memory-gib", "192")
    assert ("fits", "llamacpp") == (document["verdict"], document["engine"])
    assert document["host_bytes"] > 0
    named = asked(capsys, "deepseek-ai/DeepSeek-V4-Flash", "--hardware", "rtx4090x2")
    assert "refused" == named["verdict"]
    stand_in = asked(capsys, "smollm2", "--hardware", "rtx4090x1")
    assert stand_in["contexts"]
