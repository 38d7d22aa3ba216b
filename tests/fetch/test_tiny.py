"""tiny-v4: made by the kit, sized by its own header, and run by the real engine."""

import errno
import os
import re
import subprocess
import sys
import tempfile
from math import prod

import pytest

from seatrial.catalog import find_checkpoint
from seatrial.catalog.gguf import read_header
from seatrial.errors import DoesNotFitError, ModelFileError, UsageError
from seatrial.fetch.tiny import DRAFTER, write_tiny, write_tiny_drafter
from seatrial.memory import compute_footprint
from seatrial.memory.drafter import drafter_bytes
from seatrial.memory.options import Options

LOAD = """
import os, sys, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.n_ctx, parameters.n_parallel, parameters.n_ubatch = map(int, sys.argv[2:5])
attention = xllamacpp.llama_flash_attn_type
parameters.flash_attn_type = getattr(attention, "LLAMA_FLASH_ATTN_TYPE_" + sys.argv[6].upper())
parameters.kv_unified = sys.argv[7] == "unified"
parameters.cache_type_k = parameters.cache_type_v = getattr(xllamacpp.ggml_type, "GGML_TYPE_" + sys.argv[5].upper())
parameters.warmup = parameters.fit_params = False
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
    """Write the tiny model's file."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny-v4.gguf")


def test_the_file_is_what_the_catalog_says(tiny):
    """Bytes, classes and shape equal the catalog's row, so that a fetched one is known."""
    written, row = find_checkpoint(str(tiny)), find_checkpoint("tiny-v4")
    assert row.weights_bytes == written.weights_bytes
    assert row.weights_by_class == written.weights_by_class
    assert row.files[0].size_bytes == tiny.stat().st_size
    assert "tiny-v4" == written.model


def test_the_drafter_is_what_the_catalog_says(tmp_path):
    """Bytes and size equal the catalog's row; it has the 81 tensors of the drafter of Flash-0731."""
    path = write_tiny_drafter(tmp_path / "draft.gguf")
    written, row = find_checkpoint(str(path)), find_checkpoint(DRAFTER)
    assert row.weights_by_class == written.weights_by_class
    assert row.weights_bytes == written.weights_bytes == sum(written.weights_by_class.values())
    assert row.files[0].size_bytes == path.stat().st_size
    assert 81 == len(read_header(path).tensors)
    assert ("tiny-v4", "") == (row.drafts_for, written.drafts_for)


def test_parameters_are_those_of_the_tensors(tiny):
    """Every number of the file's tensors, integer tables left out, whatever they are stored in."""
    counted = sum(prod(each.shape) for each in read_header(tiny).tensors if "tid2eid" not in each.name)
    assert counted == compute_footprint(find_checkpoint(str(tiny))).parameters_total


def test_a_vocabulary_alone_is_no_model(tiny, tmp_path):
    """A header with the sizes and no tensors is an error, not a model of 0 bytes."""
    raw = bytearray(tiny.read_bytes())
    raw[8:16] = bytes(8)
    (tmp_path / "vocabulary.gguf").write_bytes(raw)
    with pytest.raises(ModelFileError, match="no tensors"):
        find_checkpoint(str(tmp_path / "vocabulary.gguf"))


def test_the_same_seed_gives_the_same_file(tiny, tmp_path):
    """Another seed gives another file."""
    assert tiny.read_bytes() == write_tiny(tmp_path / "again.gguf").read_bytes()
    assert tiny.read_bytes() != write_tiny(tmp_path / "other.gguf", seed=1).read_bytes()


def test_a_full_disk_does_not_fit(tmp_path, monkeypatch):
    """Exit code 3, as for every full disk."""

    def refuse(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(DoesNotFitError, match="No space left"):
        write_tiny(tmp_path / "x.gguf")


def test_a_folder_that_cannot_be_made_is_bad_usage(tmp_path):
    """Nothing half-written is left behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_tiny(tmp_path / "file" / "tiny.gguf")
    assert ["file"] == [path.name for path in tmp_path.iterdir()]


CREATED = r"creating +(?:DSV4 )?(non-SWA|SWA|CSA|HCA|lightning-indexer)[ a-z]* KV cache"
SIZE = r"llama_kv_cache: size = +([\d.]+) MiB \( *(\d+) cells, +(\d+) layers"
STATE = r"state = (\d+) x (\d+), streams = (\d+), rs_seq = 0, layers = (\d+)"


def engine_log(path, *words):
    """Return the log of the real engine while it loads ``path``."""
    command = [sys.executable, "-c", LOAD, str(path), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout + done.stderr


def caches_in(log):
    """Read MiB of each cache by name, and bytes of the compressor state: value and score of every row as FP32."""
    sizes = {}
    for created, size, _, _ in re.findall(f"{CREATED}|{SIZE}", log):
        if created:
            name = created
        elif name not in sizes:
            sizes[name] = float(size)
    state = sum(8 * rows * width * streams * layers for rows, width, streams, layers in
                (map(int, found) for found in re.findall(STATE, log)))  # fmt: skip
    return sizes, state


def computed(path, context, slots, ubatch, cache_type):
    """Compute the footprint of the same launch."""
    options = {"ubatch_tokens": ubatch, "cache_type": cache_type}
    checkpoint = find_checkpoint(str(path))
    return compute_footprint(checkpoint, context_tokens=context, concurrency=slots, options=options)


MODELS = {
    "tiny-v4": {},
    "wide heads": {"head_dim": 512, "index_head_dim": 128, "qk_rope_head_dim": 64},
    "other ratios": {"num_hidden_layers": 5, "compress_ratios": [4, 128, 4, 4, 128], "head_dim": 256},
    "no ratio 128": {"num_hidden_layers": 3, "compress_ratios": [4, 4, 0]},
    "wide window": {"sliding_window": 256},
    "no hash layers": {"num_hash_layers": 0, "n_routed_experts": 4, "vocab_size": 300},
}
LAUNCHES = [
    (8192, 1, 512, "f16", "auto"),
    (4096, 2, 512, "q8_0", "enabled"),
    (1000, 3, 128, "f16", "disabled"),
    (5000, 1, 1024, "q5_1", "auto"),
    (16384, 4, 256, "bf16", "auto"),
    (4097, 7, 513, "iq4_nl", "auto"),
    (257, 2, 2048, "f32", "disabled"),
]


@pytest.mark.engine
@pytest.mark.parametrize("sizes", MODELS.values(), ids=MODELS)
def test_caches_are_what_the_real_engine_allocates(tmp_path, require, sizes):
    """SWA, CSA, HCA, LID and state as llama.cpp prints them, for any context, slots, batch, type and shape."""
    require("xllamacpp")
    path = write_tiny(tmp_path / "model.gguf", **sizes)
    for context, slots, ubatch, cache_type, attention in LAUNCHES:
        footprint = computed(path, context, slots, ubatch, cache_type)
        log = engine_log(path, context * slots, slots, ubatch, cache_type, attention, "apart")
        caches, state = caches_in(log)
        expected = [footprint.kv_by_class[name] / 2**20 for name in ("SWA", "CSA", "HCA", "LID")]
        assert pytest.approx(expected, abs=0.0051) == [
            caches[name] for name in ("SWA", "CSA", "HCA", "lightning-indexer")
        ]
        assert footprint.state_bytes == state


DRAFTED = """
parameters.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_DSPARK]
parameters.speculative.draft.mparams.path, parameters.speculative.draft.n_max = sys.argv[8], int(sys.argv[9])
server = xllamacpp.Server(parameters)"""
"""What a drafter adds to LOAD, in the place of its last step."""


@pytest.mark.engine
@pytest.mark.parametrize("load", [(2048, 1, 512, 3), (512, 4, 512, 5), (4096, 2, 256, 1)])
def test_a_drafter_takes_what_the_real_engine_allocates(tiny, tmp_path, require, load):
    """Its weights, its window of keys and values, its buffer, and one more compressor state a drafted token."""
    context, slots, ubatch, drafted = load
    require("xllamacpp")
    drafter = write_tiny_drafter(tmp_path / "draft.gguf")
    script = LOAD.replace("\nserver = xllamacpp.Server(parameters)", DRAFTED)
    words = (tiny, context * slots, slots, ubatch, "f16", "auto", "apart", drafter, drafted)
    command = [sys.executable, "-c", script, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    log = done.stdout + done.stderr
    options = Options(ubatch_tokens=ubatch, draft_tokens=drafted)
    size = drafter_bytes(find_checkpoint(str(drafter)), context, slots, options)
    footprint = compute_footprint(
        find_checkpoint(str(tiny)), context_tokens=context, concurrency=slots, options=options
    )
    _, weights = re.findall(r"_Mapped model buffer size = +([\d.]+) MiB", log)
    assert float(weights) == pytest.approx(size.weights / 2**20, abs=0.0051)
    kv = re.findall(r"llama_kv_cache: size = +([\d.]+) MiB \( *\d+ cells, +3 layers", log)
    assert float(kv[-1]) == pytest.approx(size.kv / 2**20, abs=0.0051)
    states = re.findall(STATE.replace("rs_seq = 0", f"rs_seq = {drafted}"), log)
    assert footprint.state_bytes == sum(
        8 * rows * width * streams * layers * (1 + drafted)
        for rows, width, streams, layers in (map(int, found) for found in states)
    )
    buffer = float(re.findall(r"compute buffer size = +([\d.]+) MiB", log)[-1])
    assert size.buffer.low / 2**20 < buffer < size.buffer.high / 2**20


@pytest.mark.engine
@pytest.mark.parametrize("slots", [1, 2, 4])
def test_unified_slots_each_hold_the_whole_context(tiny, require, slots):
    """--kv-unified costs as much as slots of that many tokens; this kit never launches with it."""
    require("xllamacpp")
    footprint = computed(tiny, 4096 * slots, slots, 512, "f16")
    caches, state = caches_in(engine_log(tiny, 4096 * slots, slots, 512, "f16", "auto", "unified"))
    assert pytest.approx(sum(footprint.kv_by_class.values()) - state, abs=20_000) == sum(caches.values()) * 2**20


@pytest.mark.engine
@pytest.mark.parametrize("sizes", MODELS.values(), ids=MODELS)
def test_weights_and_compute_buffer_are_the_engine_s(tmp_path, require, sizes):
    """The model's buffer holds every tensor; the compute buffer lies in the stated interval."""
    require("xllamacpp")
    path = write_tiny(tmp_path / "model.gguf", **sizes)
    footprint = computed(path, 8192, 2, 512, "f16")
    log = engine_log(path, 16_384, 2, 512, "f16", "auto", "apart")
    (mapped,) = re.findall(r"_Mapped model buffer size = +([\d.]+) MiB", log)
    assert pytest.approx(footprint.weights_bytes / 2**20, abs=0.0051) == float(mapped)
    assert footprint.weights_bytes == sum(footprint.by_class.values())
    (buffer,) = re.findall(r"compute buffer size = +([\d.]+) MiB", log)
    stated = footprint.reserve_by_part["compute_buffer"]
    assert stated.low / 2**20 < float(buffer) < stated.high / 2**20
