"""SmolLM2 in the real engine: the planner's bytes are those llama.cpp allocates (tiny-v4: tests/catalog/test_tiny.py)."""

import re

import pytest
from tests.fetch.test_tiny import engine_log

from seatrial.catalog import find_checkpoint
from seatrial.fetch.checkpoint import fetch_checkpoint
from seatrial.memory import compute_footprint

pytestmark = pytest.mark.engine

MIB = 2**20
LAUNCHES = [(4096, 2, "f16"), (8192, 1, "q8_0"), (1024, 4, "f16"), (2000, 3, "bf16"), (256, 8, "f32")]


@pytest.mark.parametrize(("context", "slots", "cache_type"), LAUNCHES)
def test_caches_and_weights_are_what_the_real_engine_allocates(require, context, slots, cache_type):
    """The KV cache to the byte, as cells, layers and sizes tell; the model's buffer to the last digit printed."""
    require("xllamacpp")
    require("stand-in model")
    checkpoint = find_checkpoint("smollm2")
    options = {"ubatch_tokens": 512, "cache_type": cache_type}
    footprint = compute_footprint(checkpoint, context_tokens=context, concurrency=slots, options=options)
    log = engine_log(fetch_checkpoint(checkpoint), context * slots, slots, 512, cache_type, "auto", "apart")
    cells, layers, streams, keys = re.search(
        r"llama_kv_cache: size = .*\( *(\d+) cells, +(\d+) layers, +(\d+)/\d+ seqs\), K \(\w+\): +([\d.]+) MiB", log
    ).groups()
    elements = int(cells) * int(layers) * int(streams)
    each = round(float(keys) * MIB / elements)  # bytes of one token's keys in one layer: a whole number
    assert footprint.kv_bytes == 2 * elements * each
    assert pytest.approx(float(keys), abs=0.0051) == footprint.kv_bytes / 2 / MIB
    (mapped,) = re.findall(r"_Mapped model buffer size = +([\d.]+) MiB", log)
    assert pytest.approx(footprint.weights_bytes / MIB, abs=0.0051) == float(mapped)
