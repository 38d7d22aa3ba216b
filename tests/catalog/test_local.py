"""Models on this machine: exact bytes from their own headers, whatever the catalog knows."""

import json
import os

import pytest
from tests.gguf_bytes import STRING, UINT32, gguf, numbers, pair, small, tensor
from tests.safetensors_bytes import vectors

from seatrial.catalog import find_checkpoint, find_model, model_of
from seatrial.catalog.local import check_no_code
from seatrial.catalog.tensor_classes import class_of
from seatrial.errors import ModelFileError, RefusedError, UsageError


@pytest.fixture
def v4_folder(tmp_path):
    """Make a folder with V4's config and two small tensors."""
    (tmp_path / "config.json").write_text(
        json.dumps({**find_model("flash").config, "auto_map": {"AutoModel": "evil.py"}})
    )
    weights = vectors(**{"layers.0.attn.wq_a.weight": 8, "mtp.0.norm.weight": 4})
    (tmp_path / "m.safetensors").write_bytes(weights)
    return tmp_path


def test_a_folder_of_safetensors_is_summed_up(v4_folder):
    """Bytes by class come from the headers; code named in the config is never touched."""
    checkpoint = find_checkpoint(str(v4_folder))
    assert 24 == checkpoint.weights_bytes
    assert {"attention": 16, "draft": 8} == checkpoint.weights_by_class
    assert ("safetensors", "mtp", "local") == (checkpoint.format, checkpoint.draft, checkpoint.model)
    assert ("sglang", "vllm", "mlx") == checkpoint.engines
    assert 1_048_576 == model_of(checkpoint).context_tokens


def test_another_architecture_in_a_folder_is_refused(v4_folder):
    """V4.1 is not sized by V4's formulas."""
    (v4_folder / "config.json").write_text(json.dumps({"model_type": "deepseek_v5"}))
    with pytest.raises(RefusedError, match="deepseek_v5"):
        find_checkpoint(str(v4_folder))


@pytest.mark.parametrize(
    "part",
    [{"architectures": ["DeepseekV41ForCausalLM"]}, {"vision_config": {"depth": 27}}, {"engram_config": {"n": 2}}],
)
def test_a_later_model_under_the_name_of_v4_is_refused(v4_folder, part):
    """Its own class and parts distinguish it; the message names the file."""
    config = v4_folder / "config.json"
    config.write_text(json.dumps({**find_model("flash").config, **part}))
    with pytest.raises(RefusedError, match="another architecture than deepseek_v4") as caught:
        find_checkpoint(str(v4_folder))
    assert caught.value.what.startswith(str(config))


def write_drafter(path, *, drop=()):
    """Write a tiny DSpark drafter without some of its keys."""
    keys = [
        pair("general.architecture", STRING, "dflash"),
        *(pair(f"dflash.{key}", UINT32, value) for key, value in DRAFTER_KEYS.items() if key not in drop),
        numbers("dflash.target_layers", [3, 4, 5] if "target_layers" not in drop else []),
    ]
    path.write_bytes(gguf(keys, [tensor("markov_w1.weight", (32,), 8, 0)], b"\1" * 34))
    return path


DRAFTER_KEYS = {
    "embedding_length": 128,
    "block_count": 3,
    "attention.key_length": 128,
    "hyper_connection.count": 4,
    "attention.sliding_window": 128,
    "block_size": 5,
    "vocab_size": 288,
}


def test_a_drafter_is_read_as_one(tmp_path):
    """Its own bytes and shape; it is no model, so nobody can plan it."""
    checkpoint = find_checkpoint(str(write_drafter(tmp_path / "d.gguf")))
    assert (True, 34) == (checkpoint.is_drafter, checkpoint.weights_bytes)
    assert [3, 4, 5] == checkpoint.config["dspark_target_layer_ids"]
    with pytest.raises(UsageError, match="is a draft of another file, not a model"):
        model_of(checkpoint)


@pytest.mark.parametrize(
    ("drop", "error", "message"),
    [
        (("hyper_connection.count",), RefusedError, "a draft of another file, and not of DeepSeek V4"),
        (("block_size",), ModelFileError, "block_size = None"),
        (("vocab_size",), ModelFileError, "vocab_size = None"),
        (("target_layers",), ModelFileError, "which layers it drafts from"),
    ],
)
def test_a_drafter_that_lacks_a_field_is_named(tmp_path, drop, error, message):
    """What is missing, and of which file."""
    path = write_drafter(tmp_path / "d.gguf", drop=drop)
    with pytest.raises(error, match=message) as caught:
        find_checkpoint(str(path))
    assert str(path) in caught.value.what


def test_a_config_with_a_byte_order_mark_is_read(v4_folder):
    """As editors of Windows save it."""
    (v4_folder / "config.json").write_text(json.dumps(find_model("flash").config), encoding="utf-8-sig")
    assert 24 == find_checkpoint(str(v4_folder)).weights_bytes


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '"x"'])
def test_a_malformed_config_is_bad_input(v4_folder, text):
    """Not JSON, not an object, or nested without end."""
    (v4_folder / "config.json").write_text(text)
    with pytest.raises(UsageError):
        find_checkpoint(str(v4_folder))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl"])
def test_pickled_weights_are_refused(tmp_path, name):
    """Loading them would run code from the file."""
    (tmp_path / name).write_bytes(b"\x80\x04.")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(RefusedError, match="pickled"):
            find_checkpoint(str(path))


def test_an_empty_folder_is_bad_usage(tmp_path):
    """The message names the files that are missing."""
    with pytest.raises(UsageError, match=r"neither config\.json"):
        find_checkpoint(str(tmp_path))


def test_a_gguf_of_another_architecture_is_refused(tmp_path):
    """It names the architecture."""
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf([pair("general.architecture", STRING, "deepseek41")]))
    with pytest.raises(RefusedError, match="deepseek41"):
        find_checkpoint(str(path))


def test_a_gguf_without_its_sizes_is_malformed(tmp_path):
    """Architecture alone is not enough."""
    path = tmp_path / "m.gguf"
    path.write_bytes(small())
    with pytest.raises(ModelFileError, match=r"llama\.embedding_length"):
        find_checkpoint(str(path))


def test_a_folder_with_two_ggufs_asks_which(tmp_path):
    """Nothing is chosen for a person."""
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(gguf([], [tensor("w", (4,), 0, 0)], b"\0" * 16))
    with pytest.raises(UsageError, match="2 models"):
        find_checkpoint(str(tmp_path))


def test_one_file_of_a_model_points_to_its_folder(v4_folder):
    """The size of one part is not the size of the model."""
    with pytest.raises(UsageError, match="one file of a model"):
        find_checkpoint(str(v4_folder / "m.safetensors"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("blk.3.ffn_gate_exps.weight", "experts"),
        ("layers.3.ffn.experts.7.w1.weight", "experts"),
        ("layers.3.ffn.experts.7.w1.scale", "scales"),
        ("layers.3.ffn.shared_experts.w1.weight", "shared"),
        ("blk.0.ffn_up_shexp.weight", "shared"),
        ("layers.4.attn.indexer.wq_b.weight", "indexer"),
        ("blk.2.indexer_compressor_kv.weight", "indexer"),
        ("layers.4.attn.compressor.wkv.weight", "compressor"),
        ("layers.4.attn.wo_a.weight", "attention"),
        ("blk.2.attn_norm.weight", "norms"),
        ("layers.0.hc_attn_fn", "hyper_connections"),
        ("layers.0.ffn.gate.tid2eid", "hash_tables"),
        ("layers.9.ffn.gate.weight", "router"),
        ("embed.weight", "embeddings"),
        ("head.weight", "output_head"),
        ("output.weight", "output_head"),
        ("mtp.0.ffn.experts.0.w1.weight", "draft"),
        ("something.else", "other"),
    ],
)
def test_tensor_names_have_their_class(name, expected):
    """Names of both formats fall into the same classes."""
    assert expected == class_of(name)


@pytest.mark.parametrize("value", [None, "big", 0, -1, 4096.0, True, 10**30])
@pytest.mark.parametrize("field", ["max_position_embeddings", "index_topk"])
def test_what_no_size_follows_from_is_checked_before_it_is_used(v4_folder, field, value):
    """The context and the keys the indexer chooses are read beside the sizes; a wrong one is named."""
    config = {**find_model("flash").config, field: value}
    (v4_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match=field):
        find_checkpoint(str(v4_folder))


@pytest.mark.parametrize("config", [{}, {"model_type": ["deepseek_v4"]}])
def test_a_config_without_an_architecture_is_malformed(v4_folder, config):
    """It is no other architecture: it names none."""
    (v4_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match="no model_type"):
        find_checkpoint(str(v4_folder))


def test_a_config_beside_pickled_weights_is_refused(v4_folder):
    """A config.json does not change that."""
    (v4_folder / "m.safetensors").rename(v4_folder / "pytorch_model.bin")
    with pytest.raises(RefusedError, match="pickled"):
        find_checkpoint(str(v4_folder))


def test_configuration_that_is_a_pipe_is_not_waited_for(tmp_path):
    """A downloaded folder may hold anything; the error comes before an engine reads it."""
    os.mkfifo(tmp_path / "tokenizer_config.json")
    with pytest.raises(UsageError, match="is not a file"):
        check_no_code(tmp_path)
