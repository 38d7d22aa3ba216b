"""What must hold for every machine and wish, not only for the examples."""

from hypothesis import given, settings
from hypothesis import strategies as some

from seatrial.catalog import checkpoints
from seatrial.engines import build_command
from seatrial.engines.snapshot import rejected
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.plan.types import Plan
from seatrial.records import from_dict, to_dict

MACHINES = (
    "h100x4",
    "h100x8",
    "h200x4",
    "h200x8",
    "b200x8",
    "gb300x4",
    "rtxpro6000x4",
    "mi300xx8",
    "mi355xx8",
    "a100-80gbx8",
    "rtx4090x2",
    "rtx3090x1",
    "gb10x1",
    "m3-ultra-512gb",
    "strix-halo-128gb",
    "cpu",
)
LOADABLE = tuple(row.id for row in checkpoints() if row.engines and row.weights_bytes)
CONTEXTS = some.integers(1, 1 << 20)
SKIPPED = {"vllm": 3, "sglang": 3}
"""Words of a command before its flags."""


def machine(name, host_gib):
    """The named machine, with host memory where it may have some of its own."""
    unified = name.startswith(("m3", "gb10", "strix"))
    return detect_hardware(name, host_memory_gib=None if unified else host_gib)


@given(
    name=some.sampled_from(MACHINES),
    checkpoint=some.sampled_from(LOADABLE),
    host=some.integers(8, 2048),
    data=some.data(),
)
@settings(max_examples=60, deadline=None)
def test_more_context_or_streams_never_need_less(name, checkpoint, host, data):
    """On one machine a larger wish needs at least as many bytes or waits, and runs only if the smaller one does."""
    hardware = machine(name, host)
    most = make_plan(checkpoint=checkpoint, hardware=hardware)
    limit = 4096 if most.model in {"smollm2", "tiny-v4"} else 1 << 20
    context = data.draw(some.integers(1, limit))
    larger = data.draw(some.integers(context, limit))
    streams = data.draw(some.integers(1, 64))
    more = data.draw(some.integers(streams, 128))
    small = make_plan(
        checkpoint=checkpoint,
        hardware=hardware,
        engine=most.engine,
        context_tokens=context,
        concurrency=streams,
        recipes=False,
    )
    large = make_plan(
        checkpoint=checkpoint,
        hardware=hardware,
        engine=most.engine,
        context_tokens=larger,
        concurrency=more,
        recipes=False,
    )
    same_way = (small.parallelism, small.verdict) == (large.parallelism, large.verdict)
    if same_way and large.footprint.concurrency == more:
        assert small.footprint.kv_bytes <= large.footprint.kv_bytes
    elif same_way and small.footprint.concurrency < streams:
        # Where the cache holds fewer than are sent, it holds no more of the longer ones: the rest wait.
        assert small.footprint.concurrency >= large.footprint.concurrency
    if large.runs:
        assert small.runs


@given(
    name=some.sampled_from(MACHINES),
    checkpoint=some.sampled_from(LOADABLE),
    host=some.integers(8, 2048),
    context=some.integers(1, 4096),
    streams=some.integers(1, 256),
    objective=some.sampled_from(("latency", "balanced", "throughput")),
    recipes=some.booleans(),
    nodes=some.sampled_from((1, 1, 2)),
)
@settings(max_examples=80, deadline=None)
def test_every_plan_is_sound(name, checkpoint, host, context, streams, objective, recipes, nodes):  # noqa: PLR0913, PLR0917
    """Verdict, numbers and command agree with one another, and the plan survives its dictionary."""
    plan = make_plan(
        checkpoint=checkpoint,
        hardware=machine(name, host),
        nodes=nodes,
        context_tokens=context,
        concurrency=streams,
        objective=objective,
        recipes=recipes,
    )
    assert plan == from_dict(Plan, to_dict(plan))
    assert ("does_not_fit" == plan.verdict) == (plan.shortfall_bytes > 0)
    if not plan.runs:
        assert plan.prediction is None
        return
    assert plan.footprint.total_bytes <= plan.capacity_bytes
    assert plan.smallest_change is None
    if not recipes:
        assert "fits" == plan.verdict
    command = build_command(plan)
    assert () == rejected(plan.engine, command.argv[SKIPPED.get(plan.engine, 3) :])
    for interval in (plan.prediction.tpot_s, plan.prediction.ttft_s, plan.prediction.decode_tokens_per_s):
        if interval is not None:
            assert 0 < interval.low <= interval.expected <= interval.high
