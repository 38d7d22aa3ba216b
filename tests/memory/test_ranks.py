"""What each GPU holds under tensor, data-attention, expert, pipeline and context parallelism."""

import pytest

from seatrial.catalog import find_checkpoint
from seatrial.errors import UsageError
from seatrial.memory import compute_footprint
from seatrial.memory.tables import table
from seatrial.memory.types import Footprint, Parallelism
from seatrial.records import from_dict, to_dict

FLASH = find_checkpoint("deepseek-ai/DeepSeek-V4-Flash")
PRO = find_checkpoint("deepseek-ai/DeepSeek-V4-Pro")


def on(parallelism, checkpoint=FLASH, engine="sglang", context_parallel=1):
    """Return the footprint of eight requests of 32k tokens with that split."""
    return compute_footprint(
        checkpoint,
        engine=engine,
        context_tokens=32_768,
        concurrency=8,
        parallelism=parallelism,
        options={"context_parallel": context_parallel},
    )


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_tensor_parallelism_does_not_split_the_cache(engine):
    """There is one KV head: every rank keeps all of it, however many ranks there are."""
    one, eight = on(Parallelism(), engine=engine), on(Parallelism(tensor=8), engine=engine)
    assert one.per_gpu_by_part["kv"] == eight.per_gpu_by_part["kv"] == one.kv_bytes


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
@pytest.mark.parametrize(
    ("parallelism", "context_parallel", "parts"),
    [
        (Parallelism(tensor=8, data=8, expert=8), 1, 8),
        (Parallelism(tensor=8), 4, 4),
        (Parallelism(pipeline=43), 1, 43),
    ],
)
def test_replicas_stages_and_context_parallelism_split_the_cache(engine, parallelism, context_parallel, parts):
    """Eight replicas, four ranks of one cache, or a stage for each layer hold that part of it."""
    whole = on(Parallelism(), engine=engine)
    split = on(parallelism, engine=engine, context_parallel=context_parallel)
    assert whole.kv_bytes / parts == pytest.approx(split.per_gpu_by_part["kv"], rel=0.01)


def test_replicated_attention_keeps_a_copy_on_every_rank():
    """Data-parallel attention shares the cache out and pays with copies of everything but the experts."""
    plain, spread = on(Parallelism(tensor=8)), on(Parallelism(tensor=8, data=8, expert=8))
    assert plain.per_gpu_by_part["weights_replicated"] < spread.per_gpu_by_part["weights_replicated"]
    # Only experts are left to distribute, an eighth each: their bytes and scales (a byte for 16), of 43 layers
    # and of the draft head, which is one layer more.
    experts = spread.by_class["experts"] * (1 + 1 / 16) * 44 / 43 / 8
    assert experts == pytest.approx(spread.per_gpu_by_part["weights_sharded"], rel=0.001)


def test_what_a_gpu_was_reported_to_hold():
    """Pro on eight ranks with eight attention replicas: 125.65 GiB were reported after loading (InferenceX#2128)."""
    footprint = on(Parallelism(tensor=8, data=8, expert=8), PRO)
    held = sum(size for name, size in footprint.per_gpu_by_part.items() if name.startswith("weights"))
    assert 125.65 == pytest.approx(held / 2**30, rel=0.02)


@pytest.mark.parametrize(
    "parallelism",
    [Parallelism(tensor=4), Parallelism(tensor=4, data=2, expert=4), Parallelism(tensor=2, pipeline=2)],
)
@pytest.mark.parametrize("context_parallel", [1, 2])
def test_parts_of_a_gpu_add_up_to_it(parallelism, context_parallel):
    """Every byte on a GPU has a name, and the reserve is the sum of its own parts."""
    footprint = on(parallelism, context_parallel=context_parallel)
    assert footprint.per_gpu_bytes == sum(footprint.per_gpu_by_part.values())
    for end in ("low", "expected", "high"):
        whole = getattr(footprint.reserve_interval, end)
        assert whole == sum(getattr(part, end) for part in footprint.reserve_by_part.values())
    assert {"cuda_context", "graphs", "activations"} == set(footprint.reserve_by_part)


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_reported_reserves_lie_inside_the_interval(engine):
    """Contexts, graphs and activations of V4 in engines' logs are inside the interval."""
    parts = on(Parallelism(), engine=engine).reserve_by_part
    reported = table("reserve")["engines"][engine]["reported"]
    outside = [row for row in reported if not parts[row["part"]].low <= row["bytes"] <= parts[row["part"]].high]
    assert [] == outside
    assert all(row["source"] for row in reported)


def test_a_footprint_survives_its_dictionary():
    """What is written as JSON reads back as the same footprint."""
    footprint = on(Parallelism(tensor=8, data=4), context_parallel=2)
    assert footprint == from_dict(Footprint, to_dict(footprint))


@pytest.mark.parametrize("engine", ["sglang", "vllm", "mlx"])
def test_context_parallelism_says_what_the_engine_does(engine):
    """No engine of today shares out V4's cache that way, and the footprint does not keep that to itself."""
    notes = on(Parallelism(tensor=4), engine=engine, context_parallel=4).notes
    assert any("share" in note and "cache" in note for note in notes[-1:])


def test_ranks_that_cannot_be_formed_are_refused():
    """Replicas times ranks of one cache divide the ranks there are."""
    with pytest.raises(UsageError, match="4 ranks cannot be divided into 2 attention replicas of 4"):
        on(Parallelism(tensor=4, data=2), context_parallel=4)


def test_context_parallelism_is_an_option():
    """``--option context_parallel=8`` is the same as the axis itself."""
    asked = compute_footprint(
        FLASH,
        engine="vllm",
        context_tokens=32_768,
        concurrency=8,
        options={"tensor_parallel": "8", "context_parallel": "8"},
    )
    assert on(Parallelism(tensor=8), engine="vllm", context_parallel=8) == asked
