"""tiny-v4: written here, sized by its own header, and run by the real engine."""

import re
import subprocess
import sys

import pytest

from seatrial.catalog import find_checkpoint
from seatrial.catalog.tiny import write_tiny
from seatrial.errors import UsageError
from seatrial.memory import compute_footprint

LOAD = """
import os, sys, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.n_ctx, parameters.n_parallel, parameters.n_ubatch = map(int, sys.argv[2:5])
parameters.cache_type_k = parameters.cache_type_v = getattr(xllamacpp.ggml_type, "GGML_TYPE_" + sys.argv[5].upper())
parameters.kv_unified = parameters.warmup = parameters.fit_params = False
parameters.verbosity = 5
parameters.port = 0
parameters.cpuparams.n_threads = 1
server = xllamacpp.Server(parameters)
sys.stderr.flush()
os._exit(0)
"""
"""Loads a model in the real engine, lets it report its buffers, and leaves."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The tiny model's file."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny-v4.gguf")


def test_the_file_is_what_the_catalog_says(tiny):
    """Bytes, classes and shape equal the catalog's row, so that a fetched one is known."""
    written, row = find_checkpoint(str(tiny)), find_checkpoint("tiny-v4")
    assert row.weights_bytes == written.weights_bytes
    assert row.weights_by_class == written.weights_by_class
    assert row.files[0].size_bytes == tiny.stat().st_size
    assert "tiny-v4" == written.model


def test_the_same_seed_gives_the_same_file(tiny, tmp_path):
    """And another seed another one."""
    assert tiny.read_bytes() == write_tiny(tmp_path / "again.gguf").read_bytes()
    assert tiny.read_bytes() != write_tiny(tmp_path / "other.gguf", seed=1).read_bytes()


def test_a_folder_that_cannot_be_made_is_bad_usage(tmp_path):
    """Nothing half-written is left behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_tiny(tmp_path / "file" / "tiny.gguf")
    assert ["file"] == [path.name for path in tmp_path.iterdir()]


def reported(path, setting):
    """Bytes of each cache as the engine's log gives them: cells x layers x row, checked against its MiB."""
    context, slots, ubatch, cache_type = setting
    words = [str(path), str(context * slots), str(slots), str(ubatch), cache_type]
    done = subprocess.run([sys.executable, "-c", LOAD, *words], capture_output=True, text=True, timeout=120, check=True)
    log = done.stdout + done.stderr
    caches = re.findall(r"llama_kv_cache: size = +([\d.]+) MiB \( *\d+ cells, +(\d+) layers", log)
    states = re.findall(r"DSV4 \w+ state buffer size = +([\d.]+) MiB", log)
    return [float(size) for size, layers in caches if layers != "0"], sum(map(float, states))


@pytest.mark.engine
@pytest.mark.parametrize(
    "setting",
    [
        (8192, 1, 512, "f16"),
        (4096, 2, 512, "q8_0"),
        (1000, 3, 128, "f16"),
        (5000, 1, 1024, "q5_1"),
        (16384, 4, 256, "bf16"),
    ],
)
def test_caches_are_what_the_real_engine_allocates(tiny, require, setting):
    """SWA, CSA, HCA, LID and state as llama.cpp prints them, for any context, slots, batch and type."""
    require("xllamacpp")
    context, slots, ubatch, cache_type = setting
    footprint = compute_footprint(
        find_checkpoint(str(tiny)),
        context_tokens=context,
        concurrency=slots,
        options={"ubatch_tokens": ubatch, "cache_type": cache_type},
    )
    expected = [footprint.kv_by_class[name] / 2**20 for name in ("SWA", "CSA", "HCA", "LID")]
    caches, state = reported(tiny, setting)
    assert pytest.approx(expected, abs=0.006) == caches
    assert pytest.approx(footprint.state_bytes / 2**20, abs=0.02) == state
