"""A drafter beside the model: its bytes, where it lies, when it is offered, and what cannot draft."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from seatrial.catalog import find_checkpoint
from seatrial.engines import build_command
from seatrial.errors import ModelFileError, RefusedError, UnknownNameError, UsageError
from seatrial.fetch.tiny import write_tiny, write_tiny_drafter
from seatrial.hardware import detect_hardware
from seatrial.memory.drafter import DrafterBytes, drafter_bytes
from seatrial.memory.options import Options
from seatrial.plan import make_plan
from seatrial.plan.capacity import usable_gpu_bytes
from seatrial.plan.llamacpp.offload import Offload, _Division
from seatrial.plan.llamacpp.tensor_split import Layers, drafter_layers, with_output
from seatrial.plan.vendor.limits import limits
from seatrial.records import Interval
from seatrial.units import GIB

FLASH = "unsloth/DeepSeek-V4-Flash-0731-GGUF:"
DRAFTER = f"{FLASH}dspark-Q8_0"


def plan_of(machine, quantization="UD-Q2_K_XL", host_gib=None, **choices):
    """Make a plan for Flash-0731 with llama.cpp."""
    hardware = detect_hardware(machine, host_memory_gib=host_gib)
    return make_plan(checkpoint=FLASH + quantization, hardware=hardware, **{"engine": "llamacpp", **choices})


def texts(plan):
    """Return all reasons as one text."""
    return "\n".join(reason.text for reason in plan.reasons)


@pytest.mark.parametrize(("choices", "peak_gib"), [({}, 93.4), ({"drafter": "auto"}, 104.7)])
def test_memory_is_what_a_dgx_spark_used(choices, peak_gib):
    """Peak of two published runs at 16,384 tokens (a public GitHub file, no. 70945177173), within 3 %; both fit."""
    plan = plan_of("gb10x1", context_tokens=16_384, **choices)
    assert "fits" == plan.verdict
    assert peak_gib == pytest.approx(plan.footprint.total_bytes / GIB, rel=0.03)


def test_every_byte_of_the_drafter_is_counted():
    """Weights as a class of their own, a window of keys and values, a buffer, and one more state a drafted token."""
    alone, drafted = plan_of("gb10x1").footprint, plan_of("gb10x1", drafter="auto").footprint
    size = drafter_bytes(find_checkpoint(DRAFTER), 32_768, 1, Options())
    assert find_checkpoint(DRAFTER).weights_bytes == size.weights == drafted.by_class["draft"]
    assert 2 * 768 * 3 * 512 * 2 == size.kv == drafted.kv_by_class["draft"]
    assert 4 * alone.state_bytes == drafted.state_bytes
    grown = size.weights + size.kv + int(size.buffer.expected) + 3 * alone.state_bytes
    assert grown == drafted.total_bytes - alone.total_bytes


def filled(machine, free_gib):
    """Return a machine with so many free GiB on each GPU."""
    hardware = detect_hardware(machine, host_memory_gib=256)
    gpus = zip(hardware.gpus, free_gib, strict=True)
    return replace(hardware, gpus=tuple(replace(gpu, memory_free_bytes=free * GIB) for gpu, free in gpus))


@pytest.mark.parametrize("free_gib", [(0, 0), (1, 1), (0, 1)])
def test_gpus_that_others_have_filled_leave_model_and_drafter_to_the_host(free_gib):
    """There is no GPU to put a layer on, and that is a plan, not an error."""
    plan = make_plan(checkpoint=f"{FLASH}UD-Q4_K_XL", hardware=filled("rtx3090x2", free_gib), drafter="auto")
    assert ("fits", DRAFTER, 0, ()) == (plan.verdict, plan.drafter, plan.gpu_layers, plan.gpu_shares)


@pytest.mark.parametrize(
    ("quantization", "free_gib"),
    [("UD-Q4_K_XL", (15, 11)), ("UD-Q4_K_XL", (6, 0, 5, 14)), ("UD-Q8_K_XL", (16, 7)), ("UD-IQ1_M", (0, 14, 5))],
)
def test_an_uneven_division_is_said_if_no_even_one_leaves_the_drafter_its_place(quantization, free_gib):
    """Without --tensor-split llama.cpp would divide the layers by itself, and load more on a GPU than it holds."""
    hardware = filled(f"rtx3090x{len(free_gib)}", free_gib)
    plan = make_plan(checkpoint=FLASH + quantization, hardware=hardware, drafter="auto", context_tokens=8192)
    usable = [usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in hardware.gpus]
    assert ("fits", DRAFTER) == (plan.verdict, plan.drafter)
    assert min(plan.gpu_layers, 43) == sum(plan.gpu_shares)
    assert plan.footprint.per_gpu_bytes <= max(usable)
    assert "--tensor-split" in build_command(plan).flags


@given(
    free=some.lists(some.integers(0, 40), min_size=2, max_size=4),
    drafter=some.builds(
        DrafterBytes,
        weights=some.integers(1, 40),
        experts=some.just(0),
        kv=some.just(0),
        buffer=some.integers(0, 6).map(lambda size: Interval(size, size, size)),
        layers=some.integers(1, 3),
    ),
    layer=some.tuples(some.integers(1, 3), some.integers(0, 9)),
    counts=some.tuples(some.integers(0, 12), some.integers(0, 12)).filter(any),
)
def test_layers_that_fit_have_their_places(free, drafter, layer, counts):
    """Whatever is free of each GPU: what fits is divided so that every GPU holds its layers and the drafter's."""
    division = _Division(Offload(None, sum(counts), None, free, 3, drafter), free, layer[0], sum(layer))
    on_gpus = Layers(*counts, layer[0], sum(layer))
    shares = division.shares(on_gpus)
    assert shares is not None or not division.fits(sum(counts), counts[0])
    assert shares is None or (sum(counts) == sum(shares) and division._holds(on_gpus, shares))


def test_the_command_names_the_drafter_and_keeps_it_on_the_gpu():
    """The flags of the published run; --fit off, since llama.cpp's own fitting does not count a drafter."""
    flags = build_command(plan_of("gb10x1", drafter="auto")).flags
    asked = {name: flags[name] for name in flags if name.startswith("--spec") or name == "--fit"}
    expected = {"--spec-draft-model": DRAFTER, "--spec-type": "draft-dspark", "--spec-draft-n-max": "3"}
    assert {**expected, "--spec-draft-ngl": "999", "--fit": "off"} == asked
    assert "--spec-draft-model" not in build_command(plan_of("gb10x1")).flags


def test_it_is_offered_with_its_gain_and_its_option():
    """One sentence, with the source of the gain."""
    offer = next(reason for reason in plan_of("gb10x1").reasons if "--drafter auto" in reason.text)
    assert "1.55 to 1.60 times as fast" in offer.text
    assert "70945177173" in offer.source


@pytest.mark.parametrize(
    ("machine", "quantization", "host_gib"),
    [
        ("rtx4090x1", "UD-Q2_K_XL", 128),
        ("cpu", "UD-Q2_K_XL", 192),
        ("gb10x1", "UD-IQ3_XXS", None),
        ("rtxpro6000x1", "UD-IQ1_M", 256),
    ],
)
def test_it_is_offered_only_where_runs_gained_by_it_and_it_fits(machine, quantization, host_gib):
    """Not with experts in host memory, nor without a GPU, nor if it does not fit, nor if experts had to make way for it."""
    plan = plan_of(machine, quantization, host_gib)
    assert plan.runs
    assert "--drafter" not in texts(plan)


def test_it_is_not_offered_for_a_release_without_one():
    """The preview of Flash has no drafter in the catalog."""
    checkpoint = "unsloth/DeepSeek-V4-Flash-GGUF:UD-Q2_K_XL"
    plan = make_plan(checkpoint=checkpoint, hardware=detect_hardware("gb10x1"), engine="llamacpp")
    assert "--drafter" not in texts(plan)


def test_with_experts_in_host_memory_one_token_is_drafted():
    """The reason tells what a published run found; asking for another number is possible."""
    plan = plan_of("rtx4090x1", host_gib=128, drafter="auto")
    assert ("fits", 1) == (plan.verdict, plan.draft_tokens)
    assert plan.cpu_expert_layers > plan_of("rtx4090x1", host_gib=128).cpu_expert_layers
    assert "more than two were slower than none" in texts(plan)
    assert 2 == plan_of("rtx4090x1", host_gib=128, drafter="auto", draft_tokens=2).draft_tokens


@pytest.mark.parametrize("machine", ["rtx4090x4", "a100-80gbx4", "h100x2+rtx4090x2", "rtx3090x2"])
def test_no_gpu_gets_more_than_it_holds(machine):
    """llama.cpp divides the drafter's layers in the proportions of the model's; each GPU holds both."""
    plan = plan_of(machine, "UD-IQ3_XXS", 192, drafter="auto")
    assert plan.runs
    size = drafter_bytes(find_checkpoint(DRAFTER), plan.context_tokens, 1, Options())
    usable = [usable_gpu_bytes(gpu, limits().llamacpp_gpu_fraction) for gpu in plan.hardware.gpus]
    sizes = plan.footprint.by_class
    cache = plan.footprint.kv_bytes - size.kv + plan.footprint.state_bytes
    rest, experts = (sizes["rest"] + cache) / 43, sizes["experts"] / 43
    drafted = drafter_layers(with_output(plan.gpu_shares), size.layers)
    first, placed = 43 - sum(plan.gpu_shares), []
    for share, layers in zip(plan.gpu_shares, drafted, strict=True):
        heavy = sum(layer >= plan.cpu_expert_layers for layer in range(first, first + share))
        mine = (size.weights + size.kv) * layers / size.layers + (size.buffer.expected if layers else 0)
        placed.append(share * rest + heavy * experts + mine + plan.footprint.per_gpu_by_part["reserve"])
        first += share
    assert [True] * len(usable) == [found <= free for found, free in zip(placed, usable, strict=True)]
    assert plan.footprint.per_gpu_bytes == pytest.approx(max(placed), abs=64)


def test_a_drafter_s_layers_follow_the_model_s_proportions():
    """Its output counts as a layer; GPUs without layers of the model get none."""
    assert [3] == drafter_layers([44], 3)
    assert [1, 1, 1, 0] == drafter_layers([11, 11, 11, 11], 3)
    assert [0, 2, 1] == drafter_layers([0, 10, 10], 3)
    assert [3, 0] == drafter_layers([40, 4], 3)


def test_a_drafter_chooses_the_engine():
    """Of the engines this kit plans, llama.cpp takes one as a file."""
    plan = plan_of("gb10x1", drafter="auto", engine="auto")
    assert ("llamacpp", DRAFTER) == (plan.engine, plan.drafter)


REFUSED = [
    ("tiny-v4:dspark-MXFP4", {}, "it has 288 tokens in the vocabulary, the model 129,280"),
    ("auto", {"draft_tokens": 6}, "give --draft-tokens 5 or fewer"),
]


@pytest.mark.parametrize(("drafter", "choices", "why"), REFUSED)
def test_what_cannot_draft_is_refused_with_the_reason(drafter, choices, why):
    """llama.cpp itself would end with a failed check of its own; the change that helps is named."""
    plan = plan_of("gb10x1", drafter=drafter, **choices)
    assert "refused" == plan.verdict
    assert why in texts(plan)
    assert "no --drafter" in plan.smallest_change


def test_a_release_without_a_drafter_refuses_auto():
    """The reason names the checkpoint; another release's drafter is refused too."""
    checkpoint = "unsloth/DeepSeek-V4-Flash-GGUF:UD-Q2_K_XL"
    for drafter, why in (("auto", "The catalog has no drafter for"), (DRAFTER, "was trained for")):
        plan = make_plan(checkpoint=checkpoint, hardware=detect_hardware("gb10x1"), drafter=drafter)
        assert ("refused", True) == (plan.verdict, why in plan.reasons[0].text)


def test_a_drafter_that_is_too_large_names_itself_as_the_change():
    """Without it the same plan fits."""
    plan = plan_of("gb10x1", "UD-IQ3_XXS", drafter="auto")
    assert ("does_not_fit", True) == (plan.verdict, "no --drafter" in plan.smallest_change)


BAD = [
    ({"drafter": "auto", "engine": "sglang"}, UsageError, "takes no drafter"),
    ({"drafter": "auto", "draft_tokens": 0}, UsageError, "asks for nothing"),
    ({"drafter": "auto", "draft_tokens": -1}, UsageError, "asks for nothing"),
    ({"drafter": "auto", "draft_tokens": 1 << 40}, UsageError, "more than the"),
    ({"draft_tokens": 3}, UsageError, "no drafter is named"),
    ({"drafter": f"{FLASH}UD-Q2_K_XL"}, UsageError, "is a model, not a drafter"),
    ({"drafter": "nobody/nothing"}, UnknownNameError, "Unknown checkpoint"),
    ({"drafter": ""}, UsageError, "name is empty"),
    ({"drafter": "/nowhere/draft.gguf"}, UsageError, "There is no file or folder"),
]


@pytest.mark.parametrize(("choices", "error", "message"), BAD)
def test_bad_choices_are_usage_errors(choices, error, message):
    """Each with one message."""
    with pytest.raises(error, match=message):
        plan_of("gb10x1", **choices)


def test_a_drafter_is_no_model():
    """Given as the checkpoint it is named for what it is."""
    with pytest.raises(UsageError, match=r"is a draft of DeepSeek-V4-Flash-0731, not a model") as caught:
        plan_of("gb10x1", "dspark-Q8_0")
    assert "--drafter" in caught.value.remedy


def test_files_that_are_no_drafter_for_the_model(tmp_path):
    """A model, a folder, half a file and drafters of other shapes: one cause each."""
    model, drafter = write_tiny(tmp_path / "model.gguf"), write_tiny_drafter(tmp_path / "draft.gguf")
    hardware = detect_hardware("cpu", host_memory_gib=16)

    def verdict(path):
        return make_plan(checkpoint=str(model), hardware=hardware, drafter=str(path))

    assert ("fits", str(drafter)) == ((plan := verdict(drafter)).verdict, plan.drafter)
    with pytest.raises(UsageError, match="is a draft of another file, not a model"):
        make_plan(checkpoint=str(drafter), hardware=hardware)
    for path in (model, tmp_path):  # a folder means the one model in it, not the draft beside the model
        with pytest.raises(UsageError, match="is a model, not a drafter"):
            verdict(path)
    (tmp_path / "half.gguf").write_bytes(drafter.read_bytes()[:500_000])
    with pytest.raises(ModelFileError, match="is cut short"):
        verdict(tmp_path / "half.gguf")
    for sizes, why in (
        ({"vocab_size": 320}, "it has 320 tokens in the vocabulary, the model 288"),
        ({"hidden_size": 256}, "it has 256 hidden values, the model 128"),
        ({"dspark_target_layer_ids": [40, 41, 42]}, "it drafts from layer 42, and the model has 6"),
    ):
        plan = verdict(write_tiny_drafter(tmp_path / "other.gguf", **sizes))
        assert ("refused", True) == (plan.verdict, why in plan.reasons[0].text)


def test_llama_cpp_python_cannot_draft_with_a_file():
    """The command is refused before anything starts, with the runners that can."""
    plan = plan_of("gb10x1", drafter="auto")
    with pytest.raises(RefusedError, match="cannot draft with a file"):
        build_command(plan, runner="llama_cpp.server")
