"""What must hold for every machine and request, not only for the examples."""

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as some

from seatrial.catalog import Checkpoint, checkpoints, find_checkpoint, model_of
from seatrial.engines import build_command
from seatrial.engines.snapshot import rejected
from seatrial.hardware import Hardware, detect_hardware
from seatrial.memory import compute_footprint
from seatrial.memory.types import Footprint, Parallelism
from seatrial.plan import make_plan
from seatrial.plan.candidate import Candidate
from seatrial.plan.change import changes
from seatrial.plan.rank import speed_key
from seatrial.plan.request import Request
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
"""Words of a command before its flags."""


def machine(name, host_gib):
    """Return the named machine, with host memory unless its memory is unified."""
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
    """On one machine a larger request needs at least as many bytes or waits, and runs only if the smaller one does."""
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
    assert () == rejected(plan.engine, command.flags)
    for interval in (plan.prediction.tpot_s, plan.prediction.ttft_s, plan.prediction.decode_tokens_per_s):
        if interval is not None:
            assert 0 < interval.low <= interval.expected <= interval.high


V4 = tuple(row for row in LOADABLE if find_checkpoint(row).model in {"flash", "pro"})
OBJECTIVES = some.sampled_from(("latency", "balanced", "throughput"))
SPLITS = some.sampled_from(("sglang", "vllm"))


def asked_again(candidate):
    """Make the plan that a change suggests, as a person would ask for it."""
    request = candidate.request
    return make_plan(
        checkpoint=candidate.checkpoint,
        hardware=request.hardware,
        nodes=request.nodes,
        engine=candidate.engine,
        context_tokens=request.context_tokens,
        concurrency=request.concurrency,
        objective=request.objective,
        tensor_parallel=request.tensor_parallel,
        recipes=request.recipes,
    )


@given(
    name=some.sampled_from(MACHINES),
    checkpoint=some.sampled_from(V4),
    engine=some.sampled_from(("sglang", "vllm", "llamacpp")),
    host=some.integers(8, 512),
    context=some.integers(1, 1 << 20),
    streams=some.integers(1, 256),
    ranks=some.sampled_from((None, None, 1, 2, 3, 4)),
)
@settings(max_examples=60, deadline=None)
def test_following_the_smallest_change_gives_a_plan_that_runs(name, checkpoint, engine, host, context, streams, ranks):  # noqa: PLR0913, PLR0917
    """What is offered was not guessed: asked for as it says, it runs, whatever refused or did not fit before."""
    hardware = machine(name, host)
    assume(ranks is None or ranks <= max(1, len(hardware.gpus)))
    request = Request(hardware, context_tokens=context, concurrency=streams, tensor_parallel=ranks)
    row = find_checkpoint(checkpoint)
    plan = make_plan(
        checkpoint=row,
        hardware=hardware,
        engine=engine,
        context_tokens=context,
        concurrency=streams,
        tensor_parallel=ranks,
    )
    found = changes(plan, Candidate(model_of(row), row, engine, request))
    assert all(asked_again(change.candidate).runs for change in found)
    assert all(change.text in plan.smallest_change for change in found)
    assert bool(found) == (plan.smallest_change is not None)
    assert not (plan.runs and found)


@given(
    checkpoint=some.sampled_from([row for row in V4 if "sglang" in find_checkpoint(row).engines]),
    engine=SPLITS,
    context=some.integers(1, 1 << 20),
    streams=some.integers(1, 256),
    fewer=some.sampled_from((1, 2, 4, 8)),
    times=some.sampled_from((2, 4)),
    axis=some.sampled_from(("tensor", "spread", "pipeline", "context")),
)
@settings(max_examples=120, deadline=None)
def test_more_ranks_never_hold_more_each(checkpoint, engine, context, streams, fewer, times, axis):  # noqa: PLR0913, PLR0917
    """Split further along any axis, one GPU holds no more than before, but for rounding and what it keeps itself."""

    def bytes_of(ranks):
        forms = {
            "tensor": Parallelism(tensor=ranks),
            "spread": Parallelism(tensor=ranks, data=ranks, expert=ranks),
            "pipeline": Parallelism(pipeline=ranks),
            "context": Parallelism(tensor=ranks),
        }
        footprint = compute_footprint(
            find_checkpoint(checkpoint),
            engine=engine,
            context_tokens=context,
            concurrency=streams,
            parallelism=forms[axis],
            options={"context_parallel": ranks if axis == "context" else 1},
        )
        overhead = footprint.per_gpu_by_part["reserve"]
        return footprint.per_gpu_bytes - overhead, overhead

    few, overhead = bytes_of(fewer)
    many, _ = bytes_of(fewer * times)
    assert many <= few + overhead


@given(
    name=some.sampled_from([one for one in MACHINES if one != "cpu"]),
    checkpoint=some.sampled_from(V4),
    host=some.integers(8, 256),
    more_host=some.integers(0, 1024),
    growth=some.floats(1.0, 3.0),
    context=some.integers(1, 1 << 20),
    streams=some.integers(1, 64),
)
@settings(max_examples=60, deadline=None)
def test_more_memory_never_turns_a_plan_down(name, checkpoint, host, more_host, growth, context, streams):  # noqa: PLR0913, PLR0917
    """What runs on a machine runs on the same machine with larger GPUs and more host memory."""
    small, large = machine(name, host), machine(name, host + more_host)
    gpus = tuple(replace(gpu, memory_bytes=int(gpu.memory_bytes * growth)) for gpu in large.gpus)
    choices = {"checkpoint": checkpoint, "context_tokens": context, "concurrency": streams}
    before = make_plan(hardware=small, **choices)
    after = make_plan(hardware=replace(large, gpus=gpus), **choices)
    assert after.runs or not before.runs
    if before.engine == after.engine and not after.runs:
        assert after.shortfall_bytes <= before.shortfall_bytes


@given(
    name=some.sampled_from(MACHINES),
    host=some.integers(8, 1024),
    model=some.sampled_from(("flash", "pro")),
    objective=OBJECTIVES,
    streams=some.integers(1, 512),
)
@settings(max_examples=15, deadline=None)
def test_alternatives_run_are_distinct_and_in_order(name, host, model, objective, streams):
    """Ranked by predicted speed for the objective, unknown speeds last with the reason, none of them twice."""
    plan = make_plan(model, hardware=machine(name, host), objective=objective, concurrency=streams, alternatives=True)
    keys = [speed_key(objective)(other) for other in plan.alternatives]
    assert sorted(keys) == keys
    known = [other.prediction for other in plan.alternatives if other.prediction.tpot_s is not None]
    assert known == [other.prediction for other in plan.alternatives[: len(known)]]
    tpots = [prediction.tpot_s.expected for prediction in known]
    rates = [-prediction.decode_tokens_per_s.expected for prediction in known]
    assert sorted(tpots) == tpots if objective == "latency" else sorted(rates) == rates
    assert all(other.runs and not find_checkpoint(other.checkpoint).base for other in plan.alternatives)
    forms = [(one.engine, one.checkpoint, one.nodes, one.gpus_per_node, one.parallelism) for one in plan.alternatives]
    exact = [one.recipe.cell if one.recipe and not one.recipe.differences else None for one in plan.alternatives]
    assert len(set(zip(forms, exact, strict=True))) == len(forms)
    for other in plan.alternatives:
        assert other.prediction is not None
        assert other.prediction.tpot_s is not None or "not known" in other.prediction.basis
        command = build_command(other)
        assert () == rejected(other.engine, command.flags)


@given(name=some.sampled_from(MACHINES), host=some.integers(8, 2048), checkpoint=some.sampled_from(LOADABLE))
@settings(max_examples=30, deadline=None)
def test_machines_checkpoints_and_footprints_survive_their_dictionaries(name, host, checkpoint):
    """What is written as JSON reads back as the same."""
    hardware, row = machine(name, host), find_checkpoint(checkpoint)
    footprint = compute_footprint(row, context_tokens=1024, concurrency=3)
    assert hardware == from_dict(Hardware, to_dict(hardware))
    assert row == from_dict(Checkpoint, to_dict(row))
    assert footprint == from_dict(Footprint, to_dict(footprint))
