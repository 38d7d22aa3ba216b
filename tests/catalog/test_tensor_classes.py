"""Tensor names of V4, V4.1 and their vision tower fall into the classes that footprints show."""

import pytest

from seatrial.catalog.tensor_classes import class_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("layers.1.engram.embed.weight", "engram"),
        ("layers.1.engram.embed.scale", "scales"),
        ("layers.14.engram.wkv.weight", "engram_projection"),
        ("vision.blocks.3.attn.wqkv.weight", "vision"),
        ("aligner.w1.weight", "vision"),
        ("image_newline", "vision"),
        ("layers.3.ffn.gate.bias_vl", "router"),
        ("layers.3.ffn.experts.7.w1.weight", "experts"),
        ("layers.3.ffn.shared_experts.w1.weight", "shared"),
        ("layers.20.attn.indexer.wk.weight", "indexer"),
        ("layers.2.attn.compressor.wkv.weight", "compressor"),
        ("mtp.0.ffn.experts.7.w1.weight", "draft"),
        ("embed.weight", "embeddings"),
        ("something_new", "other"),
    ],
)
def test_names_fall_into_their_class(name, expected):
    """The first rule that matches decides; a name that matches none is ``other``."""
    assert expected == class_of(name)
