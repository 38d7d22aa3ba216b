"""Footprints of models on this machine, which the catalog does not know."""

import json
import struct

import pytest
from tests.gguf_bytes import STRING, UINT32, gguf, numbers, pair, tensor

from seatrial.catalog import find_checkpoint, find_model
from seatrial.catalog.local import DEEPSEEK4
from seatrial.errors import ModelFileError
from seatrial.memory import Parallelism, compute_footprint, config_footprint


@pytest.fixture
def folder(tmp_path):
    """Write a V4 whose size does not follow from config.json, with one tensor of 4 GiB (a sparse file)."""
    config = {**find_model("flash").config, "quantization_config": {"quant_method": "compressed-tensors"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    size = 4 << 30
    header = {"layers.0.ffn.experts.0.w1.weight_packed": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    raw = json.dumps(header).encode()
    with (tmp_path / "m.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        file.truncate(8 + len(raw) + size)
    return tmp_path


def test_bytes_come_from_the_headers(folder):
    """What the files hold counts, not what their config would suggest."""
    footprint = compute_footprint(find_checkpoint(str(folder)), context_tokens=4096)
    assert 4 << 30 == footprint.weights_bytes
    assert {"experts": 4 << 30} == footprint.by_class
    assert 284_332_240_471 == footprint.parameters_total


def test_its_caches_are_those_of_its_shape(folder):
    """The KV cache depends only on the shape."""
    expected = config_footprint(find_model("flash").config, context_tokens=4096).kv_by_class
    assert expected == compute_footprint(find_checkpoint(str(folder)), context_tokens=4096).kv_by_class


def test_its_weights_are_split_in_the_shape_s_proportions(folder):
    """A rank of four holds a little more than a quarter."""
    one = compute_footprint(find_checkpoint(str(folder)))
    four = compute_footprint(find_checkpoint(str(folder)), parallelism=Parallelism(tensor=4))
    held = four.per_gpu_bytes - (one.per_gpu_bytes - one.weights_bytes)
    assert one.weights_bytes / 4 < held < one.weights_bytes / 3.5


def v4_gguf(path, **changes):
    """Write a GGUF with Flash's sizes, some changed, and one small tensor."""
    config = {**find_model("flash").config, **changes}
    keys = {**DEEPSEEK4, "vocab_size": "vocab_size", "num_key_value_heads": "attention.head_count_kv"}
    sizes = [pair(f"deepseek4.{key}", UINT32, config[field]) for field, key in keys.items()]
    ratios = numbers("deepseek4.attention.compress_ratios", config["compress_ratios"])
    architecture = pair("general.architecture", STRING, "deepseek4")
    path.write_bytes(gguf([architecture, *sizes, ratios], [tensor("token_embd.weight", (4, 2), 0, 0)], b"\1" * 32))
    return find_checkpoint(str(path))


def test_a_gguf_is_sized_by_its_own_header(tmp_path):
    """Also one the catalog does not know."""
    assert 32 == compute_footprint(v4_gguf(tmp_path / "m.gguf"), engine="llamacpp").weights_bytes


@pytest.mark.parametrize("changes", [{"hidden_size": 1 << 20}, {"num_key_value_heads": 8}])
def test_a_wrong_field_of_a_gguf_names_the_gguf(tmp_path, changes):
    """There is no config.json to look into."""
    checkpoint = v4_gguf(tmp_path / "m.gguf", **changes)
    with pytest.raises(ModelFileError, match=f"m.gguf says {next(iter(changes))} = ") as caught:
        compute_footprint(checkpoint, engine="llamacpp")
    assert "config.json" not in str(caught.value)
