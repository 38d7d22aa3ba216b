"""Weights from a config.json alone: exact for every published total, sensible for any other config."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.memory.configs import DSPARK, flash, pro

from seatrial.catalog import checkpoints, model_of
from seatrial.memory import config_footprint, count_parameters
from seatrial.memory.shape import read_shape
from seatrial.memory.storage import Tensor, format_name, stored
from seatrial.memory.tensors import tensors


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (flash(), 159_609_485_896),
        (flash(**DSPARK), 166_878_536_440),
        (pro(), 864_704_792_696),
        (pro(dspark_target_layer_ids=[58, 59, 60], dspark_markov_rank=512), 892_727_580_904),
    ],
    ids=["Flash", "Flash-0731", "Pro", "Pro-0813"],
)
def test_published_totals_are_exact(config, expected):
    """To the byte, tensor by tensor; each total is published."""
    footprint = config_footprint(config)
    assert expected == footprint.weights_bytes
    assert expected == sum(footprint.by_class.values())


def test_pro_has_the_published_stored_elements():
    """A packed byte of two FP4 values counts as one there, and so does a scale."""
    assert 861_608_274_846 == config_footprint(pro()).stored_elements


@pytest.mark.parametrize(
    ("config", "expected"),
    [(flash(), (284_332_240_471, 13_270_101_591)), (pro(), (1_572_997_201_763, 48_852_402_019))],
    ids=["Flash", "Pro"],
)
def test_parameters_are_exact(config, expected):
    """In all, and for one token without the input embedding; the draft head does not count."""
    assert expected == count_parameters(config)
    without = {name: value for name, value in config.items() if name != "num_nextn_predict_layers"}
    assert expected == count_parameters(without)


def test_the_mtp_head_has_the_published_parameters():
    """Flash holds 290,942,289,362 parameters with its MTP head, Pro 1,598,837,347,742."""
    for config, expected in ((flash(), 290_942_289_362), (pro(), 1_598_837_347_742)):
        assert expected == sum(tensor.parameters for tensor in tensors(read_shape(config)))


def test_every_safetensors_row_of_the_catalog_is_the_sum_of_its_tensors():
    """What the catalog says and what its config gives are one number."""
    rows = [row for row in checkpoints() if row.format == "safetensors" and row.weights_bytes is not None]
    assert 16 == len(rows)
    for row in rows:
        assert row.weights_bytes == config_footprint({**model_of(row).config, **row.config}).weights_bytes, row.id


@pytest.mark.parametrize(
    ("name", "published_gb"),
    [
        ("sgl-project/DeepSeek-V4-Flash-FP8", 294),
        ("nvidia/DeepSeek-V4-Flash-NVFP4", 168),
        ("deepseek-ai/DeepSeek-V4-Flash-Base", 292.5),
        ("deepseek-ai/DeepSeek-V4-Pro-0813", 893),
        ("nvidia/DeepSeek-V4-Flash-0731-NVFP4", 175.5),
        ("deepseek-ai/DeepSeek-V4.1-Flash", 510),
    ],
)
def test_repacks_agree_with_their_rounded_published_sizes(name, published_gb):
    """Within half of the last digit that was published."""
    (row,) = (row for row in checkpoints() if row.id == name)
    assert pytest.approx(published_gb, abs=0.5) == row.weights_bytes / 1e9


def test_vision_exp_is_flash_with_a_tower():
    """Published as 167.8 GB; the rest of its tensors are those of Flash-0731, to the byte."""
    (row,) = (row for row in checkpoints() if row.id == "deepseek-ai/DeepSeek-V4-Flash-Vision-Exp")
    assert 1678 == round(row.weights_bytes / 1e8)
    by_class = config_footprint({**model_of(row).config, **row.config}).by_class
    plain = config_footprint(flash(**DSPARK)).by_class
    assert by_class.pop("vision") + by_class.pop("router") - plain.pop("router") == row.weights_bytes - sum(
        config_footprint(flash(**DSPARK)).by_class.values()
    )
    assert plain == by_class
    tower = [each for each in tensors(read_shape(model_of(row).config)) if each.group == "vision"]
    assert pytest.approx(0.5, abs=0.05) == sum(each.parameters for each in tower) / 1e9


def test_the_files_of_an_nvfp4_release_are_its_tensors_and_headers():
    """NVIDIA's 48 files of Flash-0731 hold 175,550,788,904 bytes: a hundred bytes of header for each tensor more."""
    (row,) = (row for row in checkpoints() if row.id == "nvidia/DeepSeek-V4-Flash-0731-NVFP4")
    headers = 175_550_788_904 - row.weights_bytes
    assert 10_000_000 < headers < 20_000_000


def test_experts_are_most_of_the_weights():
    """97 % of Flash's parameters are routed experts; that is why memory follows the total."""
    shape = read_shape(flash())
    experts = sum(each.parameters for each in tensors(shape) if each.group == "experts" and not each.draft)
    assert pytest.approx(0.9743, abs=1e-4) == experts / count_parameters(flash())[0]


def test_block_scales_round_up():
    """A matrix of 130 x 130 has four FP8 blocks; a row of 40 FP4 values has two."""
    assert (16_900, 4, 16_904) == stored(Tensor("x", "linear", 130, 130), "fp4")
    assert (20, 2, 22) == stored(Tensor("x", "expert", 1, 40), "fp4")


REFERENCE = json.loads((Path(__file__).parent / "reference_weights.json").read_text(encoding="utf-8"))["rows"]
KINDS = {
    "bf16": "bfloat16", "f32": "float32", "i64": "int64", "fp8": "float8_e4m3fn", "mxfp4": "float4_e2m1fn_x2",
}  # fmt: skip


def made_up(row):
    """Return the config of a row of the reference."""
    storage = {} if row["storage"] != "bf16" else {"quantization_config": None}
    expert_dtype = None if row["storage"] == "bf16" else row["storage"]
    return flash(**row["config"], **storage, expert_dtype=expert_dtype)


@pytest.mark.parametrize("row", REFERENCE)
def test_made_up_configs_have_the_official_code_s_bytes(row):
    """Bytes of each stored type, scales apart, of the official model code built with the same config."""
    shape = read_shape(made_up(row))
    by_kind = Counter()
    for tensor in tensors(shape):
        payload, scales, _ = stored(tensor, shape.layout)
        by_kind[KINDS[format_name(tensor, shape.layout)]] += payload
        by_kind["float8_e8m0fnu"] += scales
    assert row["bytes"] == {kind: size for kind, size in by_kind.items() if size}
    assert sum(row["bytes"].values()) == config_footprint(made_up(row)).weights_bytes


@pytest.mark.parametrize("row", REFERENCE)
def test_made_up_configs_have_the_official_code_s_parameters(row):
    """Draft head, scales and integer tables left out."""
    assert row["parameters"] == count_parameters(made_up(row))[0]


def test_several_shared_experts_are_one_wider_one():
    """Engines build one of n times the width, whose blocks round up once: 300 columns are 3 blocks, not 3 x 1."""
    config = flash(n_shared_experts=3, moe_intermediate_size=100, num_nextn_predict_layers=0)
    shapes = {(each.rows, each.columns) for each in tensors(read_shape(config)) if each.group == "shared"}
    assert {(300, 4096), (4096, 300)} == shapes


def test_without_shared_experts_there_is_no_such_class():
    """None of their matrices is left."""
    assert "shared" not in config_footprint(flash(n_shared_experts=0)).by_class


def test_packed_rows_are_whole_bytes():
    """Two rows of 33 FP4 values take 17 bytes each."""
    assert 34 == stored(Tensor("x", "expert", 2, 33), "fp4")[0]


def test_a_draft_layer_may_be_compressed():
    """A list as long as layers and draft head gives the draft its ratio; a cut config's list does not."""
    ratios = flash()["compress_ratios"][:43]
    plain, compressed = (config_footprint(flash(compress_ratios=[*ratios, last])) for last in (0, 4))
    assert plain.by_class["draft"] < compressed.by_class["draft"]
    assert plain.by_class["compressor"] == compressed.by_class["compressor"]
    assert plain.by_class["draft"] == config_footprint(flash(num_hidden_layers=4)).by_class["draft"]


GROWING = [
    "hidden_size", "num_hidden_layers", "num_attention_heads", "q_lora_rank", "o_lora_rank", "n_routed_experts",
    "n_shared_experts", "moe_intermediate_size", "vocab_size", "hc_mult", "index_n_heads", "index_head_dim",
]  # fmt: skip

configs = st.builds(
    lambda layers, ratios, hashed, nextn, **sizes: flash(
        **sizes,
        num_hidden_layers=layers,
        compress_ratios=[ratios[layer % len(ratios)] for layer in range(layers + nextn + 8)],
        num_hash_layers=min(hashed, layers),
        num_nextn_predict_layers=nextn,
        o_groups=4,
    ),
    layers=st.integers(1, 80),
    ratios=st.lists(st.sampled_from([0, 4, 128]), min_size=1, max_size=6),
    hashed=st.integers(0, 5),
    nextn=st.integers(0, 2),
    hidden_size=st.integers(64, 4096),
    num_attention_heads=st.integers(1, 32).map(lambda heads: 4 * heads),
    head_dim=st.sampled_from([64, 128, 512]),
    q_lora_rank=st.integers(32, 2048),
    o_lora_rank=st.integers(32, 1024),
    n_routed_experts=st.integers(6, 512),
    n_shared_experts=st.integers(0, 2),
    moe_intermediate_size=st.integers(64, 4096),
    vocab_size=st.integers(256, 200_000),
    hc_mult=st.integers(1, 4),
    index_n_heads=st.integers(1, 64),
    index_head_dim=st.sampled_from([64, 128]),
)


@settings(max_examples=150, deadline=None)
@given(config=configs, field=st.sampled_from(GROWING))
def test_more_of_anything_never_weighs_less(config, field):
    """Made-up members of the family: growing one field grows bytes and parameters, or leaves them."""
    step = 4 if field == "num_attention_heads" else 1
    bigger = {**config, field: config[field] + step}
    small, big = config_footprint(config), config_footprint(bigger)
    assert big.weights_bytes >= small.weights_bytes > 0
    assert big.parameters_total >= small.parameters_total >= small.parameters_active


@settings(max_examples=100, deadline=None)
@given(config=configs)
def test_classes_always_add_up_to_the_weights(config):
    """No byte is counted twice or lost, whatever the config."""
    footprint = config_footprint(config)
    assert footprint.weights_bytes == sum(footprint.by_class.values())
    assert min(footprint.by_class.values()) >= 0
