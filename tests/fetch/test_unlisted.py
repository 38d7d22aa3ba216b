"""Hub ids that are in no catalog: looked at first, refused with what they are, fetched, and then planned by the same id."""

import json
import os

import pytest
from tests.fetch.test_checkpoint import cache
from tests.gguf_bytes import STRING, UINT32, gguf, pair
from tests.hub_cache import HubCache
from tests.safetensors_bytes import vectors
from tests.standin_hub import StandinHub

from seatrial.catalog import find_checkpoint
from seatrial.cli.main import main
from seatrial.errors import ModelFileError, NetworkError, RefusedError, UnknownNameError, UsageError
from seatrial.fetch.checkpoint import fetch_checkpoint
from seatrial.fetch.progress import ignore
from seatrial.fetch.tiny import write_tiny
from seatrial.fetch.unlisted import unlisted_checkpoint
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan

__all__ = ["cache"]

NAME = "someone/model-GGUF"
V4 = {"model_type": "deepseek_v4", "architectures": ["DeepseekV4ForCausalLM"]}


@pytest.fixture
def hub(monkeypatch):
    """Serve a hub with an empty repository, of which nothing is in any cache."""
    with StandinHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Make a small DeepSeek V4."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf").read_bytes()


def of_kind(architecture, *before):
    """Make a GGUF of an architecture, with other entries before it and many bytes after."""
    return gguf([*before, pair("general.architecture", STRING, architecture)], data=bytes(3 << 20))


def safetensors(config):
    """Return the files of a repository with this config.json."""
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    return {"model.safetensors": vectors(w=9), "config.json": text, "tokenizer.json": b"{}"}


def downloaded(hub):
    """List the files asked for in full."""
    return [path.rpartition("/")[2] for path, headers in hub.requests if "/resolve/" in path and "Range" not in headers]


@pytest.mark.parametrize("text", [NAME, f"{NAME}:Q4_K_M"])
def test_a_gguf_is_looked_at_fetched_and_planned(hub, tiny, cache, text):
    """A megabyte tells what it is; afterwards plan, footprint and serve take it by its id, without a request."""
    hub.files = {"tiny-Q4_K_M.gguf": tiny, "mmproj-F16.gguf": b"a projector"}
    row = unlisted_checkpoint(text, ignore)
    assert ["bytes=0-1048575"] == [headers.get("Range") for headers in hub.asked("/resolve/")]
    path = fetch_checkpoint(row)
    assert tiny == path.read_bytes()
    assert path.is_relative_to(cache)
    hub.requests.clear()
    for name in {text, NAME, text.casefold()}:
        assert str(path) == find_checkpoint(name).id
        assert path == fetch_checkpoint(unlisted_checkpoint(name, ignore))
    assert [] == hub.requests


@pytest.mark.parametrize("kind", ["qwen3moe", "deepseek2", "gemma3", "clip", "imatrix", ""])
def test_a_gguf_of_another_architecture_is_refused_with_what_it_is(hub, cache, kind):
    """Before its bytes."""
    hub.files = {"m-Q4_K_M.gguf": of_kind(kind)}
    with pytest.raises(RefusedError, match=f"architecture '{kind}'"):
        unlisted_checkpoint(NAME, ignore)
    assert [] == downloaded(hub)
    assert not cache.exists()


def test_the_architecture_need_not_come_first(hub):
    """Some writers put other entries before it."""
    hub.files = {"m-Q4_K_M.gguf": of_kind("deepseek4", pair("a", UINT32, 1), pair("b", STRING, "x" * 1000))}
    assert ("gguf", ("llamacpp",)) == ((row := unlisted_checkpoint(NAME, ignore)).format, row.engines)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("kind", ["deepseek_v4", "deepseek_v41"])
def test_safetensors_are_known_by_their_config(hub, kind, ranges):
    """A hub without Range sends the whole of the small file."""
    hub.ranges = ranges
    classes = {"deepseek_v4": "DeepseekV4ForCausalLM", "deepseek_v41": "DeepseekV41ForCausalLM"}
    hub.files = safetensors({"model_type": kind, "architectures": [classes[kind]]})
    row = unlisted_checkpoint(NAME, ignore)
    assert ("safetensors", NAME) == (row.format, row.id)
    assert {"sglang", "vllm"} <= set(row.engines)
    assert "model.safetensors" not in downloaded(hub)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"model_type": "qwen3_moe"}, RefusedError), ({"model_type": "deepseek_v3"}, RefusedError),
        (V4 | {"architectures": ["QwenForCausalLM"]}, RefusedError), ({}, ModelFileError), (b"<html>", ModelFileError),
        (b"[" * 100_000, ModelFileError), (b"[]", ModelFileError), (b"", ModelFileError), (b"{" * 9_000_000, ModelFileError),
    ],
)  # fmt: skip
def test_safetensors_of_another_architecture_are_refused(hub, cache, config, kind):
    """Before their bytes, with what config.json says."""
    hub.files = safetensors(config)
    with pytest.raises(kind):
        unlisted_checkpoint(NAME, ignore)
    assert "model.safetensors" not in downloaded(hub)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, UsageError), ({"README.md": b"x"}, UsageError), ({"model.safetensors": vectors(w=1)}, ModelFileError),
        ({"pytorch_model.bin": b"x", "config.json": b"{}"}, RefusedError), ({"m-Q4_K_M.gguf": b"<html>"}, ModelFileError),
        ({"m-Q4_K_M.gguf": b""}, ModelFileError), ({"m-Q4_K_M.gguf": b"GGUF"}, ModelFileError),
        ({"a-Q4_K_M.gguf": of_kind("deepseek4"), "b-Q8_0.gguf": b""}, UsageError),
    ],
)  # fmt: skip
def test_a_repository_that_is_no_model_is_one_clear_error(hub, cache, files, kind):
    """Empty, without weights, without config, pickled, a page, cut, several models."""
    hub.files = files
    with pytest.raises(kind):
        unlisted_checkpoint(NAME, ignore)
    assert not cache.exists()


@pytest.mark.parametrize("text", ["a--b/c", "a/b--c", "../x", "a/..", "a/b/c", "-a/b"])
def test_names_that_no_repository_has_are_bad_input(hub, text):
    """Before any request; two ids can never mean one folder."""
    with pytest.raises(UsageError):
        unlisted_checkpoint(text, ignore)
    assert [] == hub.requests


def test_a_folder_is_a_source_of_it_too(tiny, tmp_path, monkeypatch):
    """--source: looked at in the folder, without a request."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "tiny-Q4_K_M.gguf").write_bytes(tiny)
    row = unlisted_checkpoint(NAME, ignore, tmp_path / "stick")
    assert tiny == fetch_checkpoint(row, source=tmp_path / "stick").read_bytes()


def test_what_the_other_cache_holds_is_looked_at_there(tiny, monkeypatch):
    """Complete in Hugging Face's cache: no request; of another architecture: refused with what it is."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    theirs = HubCache(os.environ["HF_HUB_CACHE"])
    snapshot = theirs.add({"tiny-Q4_K_M.gguf": tiny})
    assert snapshot / "tiny-Q4_K_M.gguf" == fetch_checkpoint(unlisted_checkpoint(NAME, ignore))
    HubCache(os.environ["HF_HUB_CACHE"], "someone/qwen").add({"m.gguf": of_kind("qwen3")})
    with pytest.raises(RefusedError, match="qwen3"):
        unlisted_checkpoint("someone/qwen", ignore)


def test_the_commands_take_its_id(hub, tiny, capsys):
    """Fetch, then footprint and plan by the id, as by the path of the file."""
    hub.files = {"tiny-Q4_K_M.gguf": tiny}
    assert 0 == main(["fetch", NAME, "--anyway", "--json"])
    path = json.loads(capsys.readouterr().out)["path"]
    plans = []
    for name in (NAME, path):
        assert 0 == main(["plan", f"--checkpoint={name}", "--hardware=cpu", "--engine=llamacpp", "--json"])
        plans.append(json.loads(capsys.readouterr().out))
    assert [path, path] == [plan["checkpoint"] for plan in plans]
    assert plans[0]["argv"] == plans[1]["argv"]
    assert path == make_plan(checkpoint=NAME, hardware=detect_hardware("cpu")).checkpoint
    assert 0 == main(["footprint", NAME])


def test_a_hub_that_does_not_know_it_is_bad_input(hub, capsys):
    """Exit code 2, and the nearest of the catalog."""
    assert 2 == main(["fetch", "deepseek-ai/DeepSeek-V4-Flsh"])
    said = capsys.readouterr().err
    assert "nothing of that name" in said
    assert "Nearest: deepseek-ai/DeepSeek-V4-Flash" in said
    assert 1 == len(hub.requests)


@pytest.mark.parametrize("words", [["plan", "--checkpoint"], ["footprint"], ["serve", "--checkpoint"]])
def test_other_commands_ask_no_hub(hub, words, capsys):
    """What is not here is unknown to them."""
    assert 2 == main([*words[:-1], f"{words[-1]}={NAME}"] if words[-1].startswith("-") else [*words, NAME])
    assert "Unknown checkpoint" in capsys.readouterr().err
    assert [] == hub.requests


def test_offline_it_is_a_network_error(monkeypatch):
    """Only the hub knows what it is."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NetworkError, match="cannot be reached"):
        unlisted_checkpoint(NAME, ignore)
    with pytest.raises(UnknownNameError):
        find_checkpoint(NAME)
