"""A config.json is read field by field: what it may say, and what is one typed error."""

import pytest
from tests.memory.configs import flash

from seatrial.errors import ModelFileError, RefusedError
from seatrial.memory import config_footprint
from seatrial.memory.shape import read_shape


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"torch_dtype": "float16", "quantization_config": None}, "bf16"),
        ({"expert_dtype": None, "quantization_config": {**flash()["quantization_config"], "expert_dtype": "fp8"}}, "fp8"),
        ({"expert_dtype": "nvfp4"}, "nvfp4"),
        ({"expert_dtype": None, "quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}, "nvfp4"),
        ({"expert_dtype": "fp8", "quantization_config": {"quant_method": "fp8"}}, "fp8_f32_scales"),
    ],
)  # fmt: skip
def test_storage_is_read_where_repacks_write_it(changes, expected):
    """Transformers 5 moves expert_dtype; NVIDIA's tool names its own algorithm."""
    assert expected == read_shape(flash(**changes)).layout


def test_ratios_beyond_the_layers_belong_to_the_draft_head():
    """compress_ratios is longer than the model: the rest changes nothing."""
    config = flash()
    longer = flash(compress_ratios=[*config["compress_ratios"], 128, 128, 4])
    assert config_footprint(config).weights_bytes == config_footprint(longer).weights_bytes


def test_code_in_a_config_is_ignored():
    """auto_map names code; nothing reads it."""
    assert config_footprint(flash()) == config_footprint(flash(auto_map={"AutoModel": "evil.Model"}))


@pytest.mark.parametrize("kind", ["deepseek_v5", "deepseek_v3", "llama", "qwen3_moe", "x" * 500])
def test_other_architectures_are_refused_by_name(kind):
    """Their sizes follow other formulas."""
    with pytest.raises(RefusedError, match=kind[:80]):
        config_footprint(flash(model_type=kind))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"architectures": ["DeepseekV41ForCausalLM"]}, "DeepseekV41ForCausalLM"),
        ({"architectures": ["DeepseekV4ForCausalLM", "DeepseekV41ForConditionalGeneration"]}, "V41"),
        ({"architectures": ["DeepseekV3ForCausalLM"]}, "DeepseekV3ForCausalLM"),
        ({"vision_config": {"hidden_size": 1152}}, "a vision part"),
        ({"engram_config": {"vocab_size": 1 << 20}}, "engram tables"),
    ],
)
def test_a_later_model_under_the_name_of_v4_is_refused(changes, named):
    """V4.1's class or parts beside model_type deepseek_v4: V4's formulas would leave hundreds of gigabytes out."""
    with pytest.raises(RefusedError, match=named) as caught:
        config_footprint(flash(**changes))
    assert 3 == caught.value.exit_code


@pytest.mark.parametrize("architectures", [None, [], ["DeepseekV4ForCausalLM"], ["DeepseekV4ForCausalLMNextN"]])
def test_the_classes_of_v4_are_taken(architectures):
    """With engines' names for them, and if none is named; empty parts are no parts."""
    config = flash(architectures=architectures, vision_config={})
    assert config_footprint(flash()).weights_bytes == config_footprint(config).weights_bytes


def test_an_error_names_the_file_it_was_given():
    """A GGUF has no config.json."""
    with pytest.raises(ModelFileError, match=r"^m\.gguf says hidden_size") as caught:
        read_shape(flash(hidden_size=0), file="m.gguf", remedy="Fetch it again.")
    assert "Fetch it again." == caught.value.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": None},
        {"architectures": "DeepseekV4ForCausalLM"},
        {"architectures": [4]},
        {"num_key_value_heads": 8},
        {"num_key_value_heads": 0},
        {"num_key_value_heads": True},
        {"num_key_value_heads": "1"},
        {"model_type": 4},
        {"hidden_size": None},
        {"hidden_size": "4096"},
        {"hidden_size": 4096.0},
        {"hidden_size": True},
        {"hidden_size": 0},
        {"hidden_size": -4096},
        {"hidden_size": 10**30},
        {"num_hidden_layers": 10**9},
        {"n_routed_experts": 10**9},
        {"vocab_size": [129280]},
        {"compress_ratios": None},
        {"compress_ratios": "0,4,128"},
        {"compress_ratios": [0, 4]},
        {"compress_ratios": [2] * 43},
        {"compress_ratios": [True] * 43},
        {"compress_ratios": [4.0] * 43},
        {"compress_ratios": [[]] * 43},
        {"o_groups": 7},
        {"num_experts_per_tok": 300},
        {"num_hash_layers": 44},
        {"qk_rope_head_dim": 1024},
        {"dspark_target_layer_ids": []},
        {"dspark_target_layer_ids": "40"},
        {"dspark_target_layer_ids": ["40"], "dspark_markov_rank": 256},
        {"dspark_target_layer_ids": [True], "dspark_markov_rank": 256},
        {"dspark_target_layer_ids": [-1], "dspark_markov_rank": 256},
        {"tie_word_embeddings": "true"},
        {"tie_word_embeddings": 1},
        {"compress_ratios": [*([0] * 43), 2]},
        {"quantization_config": None, "torch_dtype": "float32"},
        {"quantization_config": None, "torch_dtype": []},
        {"quantization_config": {"quant_method": "fp8"}},
        {"expert_dtype": None, "quantization_config": {"quant_method": "modelopt", "quant_algo": "FP8"}},
        {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}},
        {"quantization_config": {"quant_method": ["fp8"]}},
        {"dspark_target_layer_ids": [40]},
        {"dspark_target_layer_ids": [40], "dspark_markov_rank": -1},
        {"num_nextn_predict_layers": -1},
        {"num_nextn_predict_layers": 10**6},
        {"expert_dtype": "int3"},
        {"expert_dtype": []},
        {"quantization_config": "fp8"},
        {"quantization_config": {"quant_method": "awq"}},
        {"quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 64]}},
    ],
)
def test_absurd_configs_are_one_typed_error(changes):
    """A field that is missing, of the wrong type or out of bounds is named; nothing is computed."""
    with pytest.raises(ModelFileError) as caught:
        config_footprint(flash(**changes))
    assert caught.value.remedy
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("config", [[], "x", None, 4])
def test_a_config_must_be_an_object(config):
    """Anything else is refused."""
    with pytest.raises(ModelFileError):
        config_footprint(config)


def test_storage_follows_the_config():
    """FP8 experts weigh more than FP4, BF16 more than FP8."""
    native = config_footprint(flash()).weights_bytes
    base = config_footprint(flash(expert_dtype="fp8")).weights_bytes
    plain = config_footprint(flash(quantization_config=None, expert_dtype=None)).weights_bytes
    assert native < base < plain
    assert pytest.approx(2, rel=0.01) == plain / base
