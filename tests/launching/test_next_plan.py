"""The next smaller plan after memory ran out: it runs, frees what was missing, and its command is whole."""

import shlex

import pytest

from seatrial.cli.main import build_parser
from seatrial.errors import DoesNotFitError, EngineError, UsageError
from seatrial.fetch.tiny import write_tiny
from seatrial.hardware import detect_hardware
from seatrial.launching.next_plan import advise, command_of, next_plan, next_step, shortage_of, with_share
from seatrial.plan import make_plan
from seatrial.server.failures.diagnosis import Diagnosis
from seatrial.units import GIB, MIB

OOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 7 has a total capacity of 79.10 GiB "
    "of which 512.00 MiB is free."
)
LONGEST = (
    "ValueError: To serve at least one request with the models's max seq len (262144), (21.00 GiB KV cache is needed, "
    "which is larger than the available KV cache memory (11.68 GiB). Based on the available memory, the estimated "
    "maximum model length is 145000."
)


def planned(machine, host_memory_gib=None, **wish):
    """Return a plan that fits."""
    plan = make_plan("flash", hardware=detect_hardware(machine, host_memory_gib=host_memory_gib), **wish)
    assert plan.runs
    return plan


def out_of(kind, phase, *evidence):
    """Return the diagnosis of memory that ran out."""
    return Diagnosis(f"{kind} out of memory", f"the {kind} ran out of memory", "Use less.", evidence, phase)


def test_figures_are_read_from_the_log():
    """Bytes that were missing, or the context there is room for."""
    assert 2 * GIB == shortage_of([OOM]).missing_bytes
    assert 145000 == shortage_of([LONGEST]).most_tokens
    assert (0, None) == (shortage_of(["cudaMalloc failed"]).missing_bytes, shortage_of([]).most_tokens)
    old = "CUDA out of memory. Tried to allocate 114.00 MiB (GPU 0; 2.00 GiB total capacity; 1.67 GiB already allocated; 0 bytes free; 1.72 GiB reserved)"
    assert 114 * MIB == shortage_of([old]).missing_bytes


@pytest.mark.parametrize("phase", ["allocating caches", "capturing graphs"])
def test_from_the_caches_on_a_smaller_share_comes_first(phase):
    """SGLang and vLLM fill the share they are given, so that fewer requests alone would free nothing."""
    plan = planned("h100x4", engine="vllm", concurrency=16)
    found = next_plan(plan, out_of("gpu", phase, OOM))
    assert (0.85, 16, plan.context_tokens) == (
        found.plan.gpu_memory_fraction,
        found.plan.concurrency,
        found.plan.context_tokens,
    )
    assert "--gpu-memory-fraction 0.85" in found.command
    assert found.plan.gpu_memory_fraction >= plan.gpu_memory_fraction_min


def test_the_context_an_engine_names_is_taken():
    """Fewer requests would not help where a single one has no room."""
    plan = planned("h100x4", engine="vllm", concurrency=16, context_tokens=262144)
    found = next_plan(plan, out_of("gpu", "allocating caches", LONGEST))
    assert (16, 144384) == (found.plan.concurrency, found.plan.context_tokens)
    assert found.plan.runs


def test_fewer_requests_free_what_was_missing():
    """No fewer than need be: the next step up would free too little. The log does not tell the phase."""
    plan = planned("h200x4", engine="vllm", concurrency=64, recipes=False)
    found = next_plan(plan, out_of("gpu", "", OOM))
    before, after = plan.footprint.per_gpu_bytes, found.plan.footprint.per_gpu_bytes
    assert found.plan.concurrency < 64
    assert before - after >= 2 * GIB


def test_while_weights_load_only_a_smaller_checkpoint_helps():
    """Neither requests nor context have taken memory yet."""
    plan = planned("cpu", 512, engine="llamacpp", concurrency=4)
    found = next_plan(plan, out_of("host", "loading weights"))
    assert found.plan.checkpoint != plan.checkpoint
    assert found.plan.footprint.weights_bytes < plan.footprint.weights_bytes
    assert (4, plan.context_tokens) == (found.plan.concurrency, found.plan.context_tokens)


def test_the_command_plans_the_same_again():
    """What is named can be typed, and is all that serve needs."""
    plan = planned("cpu", 512, engine="llamacpp", concurrency=4, objective="throughput")
    arguments = build_parser("serve").parse_args(shlex.split(command_of(plan))[2:])
    same = make_plan(
        checkpoint=arguments.checkpoint,
        hardware=plan.hardware,
        engine=arguments.engine,
        context_tokens=arguments.context_tokens,
        concurrency=arguments.concurrency,
        objective=arguments.objective,
    )
    assert (plan.footprint, plan.verdict) == (same.footprint, same.verdict)


def test_where_nothing_smaller_fits_that_is_said():
    """The last step down is another machine or model."""
    plan = planned("cpu", 512, engine="llamacpp", context_tokens=2048)
    remedy, command = next_step(plan, out_of("gpu", "allocating caches", OOM))
    assert ("", True) == (command, "No smaller plan fits this machine" in remedy)
    assert "nvidia-smi" in remedy


def test_an_error_says_the_next_plan():
    """Only where memory is the cause, and where there was a plan."""
    plan = planned("h100x4", engine="vllm", concurrency=16)
    error = EngineError("vllm ended.", remedy="Use less.", cause="gpu out of memory", evidence=(OOM,), phase="serving")
    told = advise(error, plan)
    assert (
        f"Next plan that fits: 0.85 of each GPU for weights and caches instead of 0.9, which still holds the requests. Run: {told.next_command}"
        in told.remedy
    )
    assert (error.cause, error.evidence, error.phase) == (told.cause, told.evidence, told.phase)
    other = EngineError("vllm ended.", cause="port in use")
    assert other is advise(other, plan)


@pytest.mark.parametrize(("share", "kind"), [(0.1, DoesNotFitError), (0.9, None)])
def test_a_share_must_hold_the_plan(share, kind):
    """Too small a share is refused before anything starts."""
    plan = planned("h100x4", engine="vllm", concurrency=16)
    if kind is None:
        assert share == with_share(plan, share).gpu_memory_fraction
    else:
        with pytest.raises(kind, match=r"it needs 0\.6"):
            with_share(plan, share)


def test_llamacpp_takes_no_share():
    """It has no such setting."""
    with pytest.raises(UsageError, match="no share"):
        with_share(planned("cpu", 512, engine="llamacpp"), 0.5)


def test_a_context_the_engine_has_room_for_is_no_next_plan():
    """Where the plan's context is shorter already than what the engine allows, something else is made smaller."""
    plan = planned("h100x8", engine="vllm", concurrency=16, context_tokens=32768)
    found = next_plan(plan, out_of("gpu", "allocating caches", LONGEST))
    assert found.plan.context_tokens <= plan.context_tokens < 145000
    assert (plan.concurrency, plan.gpu_memory_fraction_used) != (
        found.plan.concurrency,
        found.plan.gpu_memory_fraction_used,
    )


def test_the_first_step_down_is_the_same_without_a_drafter():
    """A drafter is what the model needs least; its command says the rest as before."""
    checkpoint = "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q2_K_XL"
    plan = make_plan(checkpoint=checkpoint, hardware=detect_hardware("gb10x1"), drafter="auto", draft_tokens=2)
    assert command_of(plan).endswith(f"--drafter {plan.drafter} --draft-tokens 2")
    found = next_plan(plan, out_of("gpu", "loading weights", "cudaMalloc failed: out of memory"))
    assert ("the same without the drafter", None) == (found.change, found.plan.drafter)
    assert "--drafter" not in found.command


def test_a_tensor_split_stays_one_in_the_next_plan():
    """The command asks for the ranks again."""
    checkpoint = "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-IQ3_XXS"
    hardware = detect_hardware("rtx3090x8", host_memory_gib=64)
    plan = make_plan(checkpoint=checkpoint, hardware=hardware, engine="llamacpp", concurrency=4, tensor_parallel=8)
    found = next_plan(plan, out_of("gpu", "allocating caches", "cudaMalloc failed: out of memory"))
    assert 8 == found.plan.parallelism.tensor
    assert "--tensor-parallel 8" in found.command


def test_a_persons_own_file_is_planned_smaller_too(tmp_path):
    """It is in no list of models, and has the same context with fewer requests; once it is removed nothing is smaller."""
    path = write_tiny(tmp_path / "own.gguf", num_experts_per_tok=1)
    plan = make_plan(
        checkpoint=str(path), hardware=detect_hardware("cpu", host_memory_gib=16), engine="llamacpp", concurrency=4
    )
    assert "local" == plan.model
    found = next_plan(plan, out_of("host", "allocating caches"))
    assert (str(path), 2) == (found.plan.checkpoint, found.plan.concurrency)
    path.unlink()
    assert next_plan(plan, out_of("host", "allocating caches")) is None
