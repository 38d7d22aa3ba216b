"""Recipes in the current spelling: written from a vendor's facts, and checked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_recipes(*arguments):
    """Run the tool."""
    command = [sys.executable, ROOT / "tools" / "recipes.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def written(tmp_path):
    """Return a function that gives the recipes file the tool writes for one cell."""

    def write(engine, *words):
        cell = {"accelerator": "h200", "checkpoint": "c", "argv": list(words)}
        facts, data = tmp_path / "facts.json", tmp_path / f"{engine}_recipes.json"
        facts.write_text(json.dumps({"source": "made up", "cells": [cell]}))
        done = run_recipes(facts, data)
        assert (0, "") == (done.returncode, done.stderr)
        assert 0 == run_recipes(facts, data, "--check").returncode
        data.write_text(data.read_text().replace("h200", "h100"))
        assert 1 == run_recipes(facts, data, "--check").returncode
        document = json.loads(data.read_text())
        return document["rewritten"], document["cells"][0]

    return write


def test_old_vllm_spellings_are_rewritten(written):
    """What 0.33 renamed is written anew, with the reason."""
    reasons, cell = written(
        "vllm",
        "--attention_config.use_fp4_indexer_cache",
        "True",
        "--no-enable-flashinfer-autotune",
        "--block-size=256",
    )
    assert {
        "--attention-config.indexer_kv_dtype": "mxfp4",
        "--disable-flashinfer-autotune": None,
        "--block-size": "256",
    } == cell["flags"]
    assert {
        "--attention_config.use_fp4_indexer_cache": "--attention-config.indexer_kv_dtype",
        "--no-enable-flashinfer-autotune": "--disable-flashinfer-autotune",
    } == cell["rewritten"]
    assert "replaced by indexer_kv_dtype" in reasons["--attention_config.use_fp4_indexer_cache"]["why"]


def test_an_old_sglang_graph_flag_is_rewritten(written):
    """The flag that became ambiguous is written as what it meant, and what is never started is left out."""
    reasons, cell = written("sglang", "--tp", "8", "--cuda-graph-max-bs", "128", "--trust-remote-code")
    assert {"--tensor-parallel-size": "8", "--cuda-graph-max-bs-decode": "128"} == cell["flags"]
    assert "ambiguous" in reasons["--cuda-graph-max-bs"]["why"]


def test_data_parallel_attention_has_a_flag_of_its_own_now(written):
    """SGLang 0.5.23 takes --attn-dp-size for --dp with --enable-dp-attention, and plain --dp still counts replicas."""
    reasons, cell = written("sglang", "--tp", "8", "--dp", "8", "--enable-dp-attention")
    assert {"--tensor-parallel-size": "8", "--attn-dp-size": "8"} == cell["flags"]
    assert {"--tp": "--tensor-parallel-size", "--dp": "--attn-dp-size", "--enable-dp-attention": None} == cell[
        "rewritten"
    ]
    assert "0.5.23" == reasons["--dp"]["since"]
    assert {"--data-parallel-size": "2"} == written("sglang", "--dp", "2")[1]["flags"]


def test_a_flag_given_twice_stays_twice(written):
    """Its values are a list."""
    assert {"--origin": ["a", "b"]} == written("vllm", "--origin", "a", "--origin", "b")[1]["flags"]


def test_the_cookbook_of_sglang_is_read_as_it_is(tmp_path):
    """Its names become those of a recipes file; what is not verified is left out, and a release needs no container."""
    cell = {
        "hw": "rtx6000", "variant": "flash-official", "quant": "fp4", "strategy": "balanced", "nodes": 1,
        "gpus_per_node": 2, "model_id": "deepseek-ai/DeepSeek-V4-Flash-0731", "env": {}, "argv": ["--tp", "2"],
        "status": "verified", "docker_image": "lmsysorg/sglang:latest",
    }  # fmt: skip
    others = [cell | {"status": "in-progress"}, cell | {"hw": "mi355x", "docker_image": "rocm:1"}]
    facts, data = tmp_path / "facts.json", tmp_path / "sglang_recipes.json"
    facts.write_text(json.dumps({"source": "made up", "playground": {}, "cells": [cell, *others]}))
    assert 0 == run_recipes(facts, data).returncode
    document = json.loads(data.read_text())
    assert ["source", "rewritten", "cells"] == list(document)
    assert [("rtxpro6000", "flash", None), ("mi355x", "flash", "rocm:1")] == [
        (row["accelerator"], row["model"], row.get("image")) for row in document["cells"]
    ]
    assert {"--tensor-parallel-size": "2"} == document["cells"][0]["flags"]


def test_no_recipe_holds_an_old_spelling():
    """The package's own recipes are as the tool would write them."""
    done = run_recipes("--check")
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
