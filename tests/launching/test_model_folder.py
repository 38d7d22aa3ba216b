"""A checkpoint for an engine that misreads one field of config.json: links, and a copy without the field."""

import json

import pytest

from seatrial.errors import SeatrialError, UsageError
from seatrial.launching.model_folder import readable_folder

V4 = {"model_type": "deepseek_v4", "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Keep the links in a folder of the test's own."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def checkpoint(tmp_path):
    """Return what writes a folder with this configuration."""

    def written(config):
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "tokenizer.json").write_text("{}")
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        return folder

    return written


def test_the_field_is_gone_and_the_rest_is_linked(checkpoint):
    """The engine sees every file; the checkpoint keeps its own config.json."""
    folder = checkpoint(V4)
    readable = readable_folder("mlx", folder)
    assert {"model_type": "deepseek_v4", "quantization_config": {"quant_method": "fp8"}} == json.loads(
        (readable / "config.json").read_text()
    )
    assert V4 == json.loads((folder / "config.json").read_text())
    links = {path.name: path.resolve() for path in readable.iterdir() if path.is_symlink()}
    assert {name: folder / name for name in ("model.safetensors", "tokenizer.json")} == links


def test_the_same_checkpoint_gets_the_same_folder(checkpoint, cache):
    """Another revision gets another one, and no half-made folder is left."""
    first = [readable_folder("mlx", checkpoint(V4)) for _ in range(2)]
    other = readable_folder("mlx", checkpoint({**V4, "revision": 2}))
    assert 1 == len({*first})
    assert {first[0].name, other.name} == {path.name for path in (cache / "readable").iterdir()}


@pytest.mark.parametrize(
    ("engine", "config"),
    [
        ("vllm", V4),
        ("mlx", {**V4, "model_type": "llama"}),
        ("mlx", {"model_type": "deepseek_v4"}),
        ("mlx", {**V4, "quantization_config": None}),
        ("mlx", {**V4, "quantization_config": [1]}),
        ("mlx", {**V4, "quantization_config": {"quant_method": "fp8"}}),
        ("mlx", []),
    ],
)
def test_what_is_read_as_it_is_stays_itself(checkpoint, cache, engine, config):
    """Another engine, another architecture, or nothing to leave out: no folder is made."""
    folder = checkpoint(config)
    assert folder == readable_folder(engine, folder)
    assert not (cache / "readable").exists()


@pytest.mark.parametrize("text", ["", "{", "\x00", "{" * 100_000])
def test_a_broken_config_is_one_message(checkpoint, cache, text):
    """Cut, empty or nested without end: said once, nothing written."""
    with pytest.raises(UsageError, match=r"config\.json"):
        readable_folder("mlx", checkpoint(text))
    assert not (cache / "readable").exists()


def test_a_cache_that_cannot_be_written_is_said(checkpoint, monkeypatch):
    """With the variable that moves it."""
    monkeypatch.setenv("SEATRIAL_CACHE", "/proc/seatrial")
    with pytest.raises(SeatrialError, match="cannot be written") as raised:
        readable_folder("mlx", checkpoint(V4))
    assert "SEATRIAL_CACHE" in raised.value.remedy
