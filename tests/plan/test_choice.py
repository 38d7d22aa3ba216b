"""What is chosen for a machine when little is asked, and how it is explained."""

import re
from dataclasses import replace
from itertools import product

import pytest
from tests.plan.conftest import texts

from seatrial.hardware import detect_hardware
from seatrial.hardware.accelerators import accelerators
from seatrial.memory.types import Parallelism
from seatrial.plan import make_plan
from seatrial.plan.capacity import usable_host_bytes
from seatrial.plan.types import Plan
from seatrial.plan.vendor.recipes import cells
from seatrial.records import from_dict, to_dict


def test_a_verified_checkpoint_comes_before_the_default_release():
    """On 2x RTX PRO 6000 a vendor verified the preview only; the plan takes it and says why not the release."""
    plan = make_plan(hardware=detect_hardware("rtxpro6000x2"))
    assert ("verified", "deepseek-ai/DeepSeek-V4-Flash", "sglang") == (plan.verdict, plan.checkpoint, plan.engine)
    assert "default release deepseek-ai/DeepSeek-V4-Flash-0731" in texts(plan)


def test_a_verified_default_release_is_planned(four_h200s):
    """On 4x H200 SGLang's cookbook verified the release."""
    plan = make_plan(hardware=four_h200s)
    assert ("verified", "deepseek-ai/DeepSeek-V4-Flash-0731", "sglang") == (plan.verdict, plan.checkpoint, plan.engine)
    assert ("verified", "h200 flash-official fp4 balanced") == (plan.recipe.status, plan.recipe.cell)


def test_the_default_release_where_nothing_is_verified():
    """On 4x H100 nobody verified anything, so the official release is planned."""
    plan = make_plan(hardware=detect_hardware("h100x4"))
    assert ("fits", "deepseek-ai/DeepSeek-V4-Flash-0731") == (plan.verdict, plan.checkpoint)
    assert any("instead of" in sentence for sentence in plan.recipe.differences)


def test_consumer_gpus_get_llamacpp(one_4090):
    """SGLang and vLLM refuse SM89; the plan says so and splits layers between GPU and host."""
    plan = make_plan(hardware=one_4090)
    assert ("fits", "llamacpp") == (plan.verdict, plan.engine)
    assert plan.cpu_expert_layers > 0
    assert "Not sglang" in texts(plan)
    assert "Not vllm" in texts(plan)


@pytest.mark.parametrize("machine", ["gb200x4", "mi355xx8", "rtxpro6000x8"])
def test_the_verified_default_release_comes_before_another_verified_checkpoint(machine):
    """The recipes of vLLM run the default release, SGLang's verified ones the preview: the release, on all GPUs."""
    hardware = detect_hardware(machine)
    plan = make_plan(hardware=hardware)
    assert ("verified", "vllm") == (plan.verdict, plan.engine)
    assert "deepseek-ai/DeepSeek-V4-Flash-0731" == plan.checkpoint
    assert len(hardware.gpus) == plan.gpus_per_node
    why = " ".join(reason.text for reason in plan.reasons)
    assert "ran the default release with it on this machine, and only another checkpoint with sglang" in why
    assert "sglang would run deepseek-ai/DeepSeek-V4-Flash (verified): " in why


@pytest.mark.parametrize("machine", ["b200x8", "gb300x4", "h200x4"])
def test_of_engines_with_a_recipe_for_all_gpus_sglang_comes_first(machine):
    """Both vendors verified the default release there, or SGLang's only."""
    plan = make_plan(hardware=detect_hardware(machine))
    assert ("verified", "sglang", len(plan.hardware.gpus)) == (plan.verdict, plan.engine, plan.gpus_per_node)
    assert "deepseek-ai/DeepSeek-V4-Flash-0731" == plan.checkpoint


@pytest.mark.parametrize("machine", ["h200x8", "b300x8"])
@pytest.mark.parametrize("checkpoint", [None, "deepseek-ai/DeepSeek-V4-Flash"])
def test_of_verified_recipes_the_one_for_the_most_gpus_comes_first(machine, checkpoint):
    """SGLang's recipe leaves four of eight GPUs idle; vLLM's runs on all of them."""
    plan = make_plan(checkpoint=checkpoint, hardware=detect_hardware(machine))
    assert ("verified", "vllm", 8) == (plan.verdict, plan.engine, plan.gpus_per_node)
    assert "a vendor ran it on 8 GPUs of this machine, and sglang on 4" in texts(plan)


def test_of_engines_that_run_a_named_checkpoint_alike_sglang_comes_first():
    """Both have a recipe for the preview of Pro on 8x H200: who names it gets SGLang."""
    plan = make_plan(checkpoint="deepseek-ai/DeepSeek-V4-Pro", hardware=detect_hardware("h200x8"))
    assert ("verified", "sglang") == (plan.verdict, plan.engine)


def test_a_named_engine_is_what_is_planned():
    """SGLang asked for by name gets the checkpoint its own recipe runs."""
    plan = make_plan(hardware=detect_hardware("gb200x4"), engine="sglang")
    assert ("verified", "sglang", "deepseek-ai/DeepSeek-V4-Flash") == (plan.verdict, plan.engine, plan.checkpoint)


@pytest.mark.parametrize(
    "cell", [c for c in cells() if c.engine == "sglang" and c.verified], ids=lambda c: f"{c.name} x{c.nodes}"
)
def test_a_verified_cell_is_planned_where_its_checkpoint_is_named(cell):
    """Naming the checkpoint is enough: the engine is chosen, and what is planned is verified."""
    hardware = detect_hardware(f"{cell.accelerator}x{cell.gpus_per_node}")
    assert "verified" == make_plan(checkpoint=cell.checkpoint, hardware=hardware, nodes=cell.nodes).verdict
    assert "verified" == make_plan(cell.model, hardware=hardware, nodes=cell.nodes, engine="sglang").verdict


@pytest.mark.parametrize(
    ("machine", "verdict", "cell"),
    [
        ("b200x8", "fits", "b200 pro-official fp4 balanced"),
        ("rtx5090x8", "fits", "rtx5090 flash-official fp4 low-latency"),
    ],
)
def test_a_recipe_that_is_not_verified_gives_its_flags_and_says_what_it_is(machine, verdict, cell):
    """Nobody says that it ran: the verdict is the arithmetic's, and the first reason names the recipe's status."""
    checkpoint = "deepseek-ai/DeepSeek-V4-Pro-0813" if "pro" in cell else "deepseek-ai/DeepSeek-V4-Flash-0731"
    plan = make_plan(checkpoint=checkpoint, hardware=detect_hardware(machine), engine="sglang")
    assert (verdict, cell, "not verified", ()) == (plan.verdict, *_recipe_of(plan))
    assert f"SGLang's cookbook lists this configuration as not verified: {cell}." in plan.reasons[0].text
    assert "derived" == plan.reasons[0].origin


@pytest.mark.parametrize("model", ["flash", "pro"])
def test_a_verified_recipe_comes_before_one_that_suits_better_and_says_so(model):
    """SGLang's low-latency recipes for FP4 on H200 are in progress: the balanced one is planned instead."""
    machine = {"flash": "h200x4", "pro": "h200x8"}[model]
    checkpoint = f"deepseek-ai/DeepSeek-V4-{model.title()}"
    plan = make_plan(checkpoint=checkpoint, hardware=detect_hardware(machine), engine="sglang", objective="latency")
    assert ("verified", f"h200 {model} fp4 balanced", "verified", ()) == (plan.verdict, *_recipe_of(plan))
    passed = f"It comes before h200 {model} fp4 low-latency, which is listed as in progress."
    assert passed in plan.reasons[0].text


@pytest.mark.parametrize(
    ("machine", "objective", "checkpoint"),
    [
        ("b200x4", "balanced", "deepseek-ai/DeepSeek-V4-Flash"),
        ("b200x4", "throughput", "deepseek-ai/DeepSeek-V4-Flash"),
        ("b200x4", "latency", "nvidia/DeepSeek-V4-Flash-0731-NVFP4"),
        ("b300x4", "throughput", "deepseek-ai/DeepSeek-V4-Flash-0731"),
    ],
)
def test_of_other_verified_checkpoints_the_one_with_a_recipe_for_the_objective_comes_first(
    machine, objective, checkpoint
):
    """The default release counts whatever its recipe is for; NVFP4 of it is another checkpoint, for low latency only."""
    plan = make_plan(hardware=detect_hardware(machine), objective=objective)
    assert ("verified", "sglang", checkpoint) == (plan.verdict, plan.engine, plan.checkpoint)


def test_the_release_itself_comes_before_the_release_in_another_format():
    """On 8x B200 vLLM's recipe runs Pro-0813 itself, SGLang's verified one NVIDIA's NVFP4 of it."""
    plan = make_plan("pro", hardware=detect_hardware("b200x8"), objective="latency")
    assert ("verified", "vllm", "deepseek-ai/DeepSeek-V4-Pro-0813") == (plan.verdict, plan.engine, plan.checkpoint)


def test_a_recipe_that_is_not_verified_leaves_gpus_idle_if_nothing_else_runs():
    """On MI325X only one GPU was reported to work with vLLM."""
    plan = make_plan(hardware=detect_hardware("mi325xx8"), engine="vllm")
    assert ("fits", 1, "not verified") == (plan.verdict, plan.gpus_per_node, plan.recipe.status)
    assert "It runs on 1 of the 8 GPUs" in texts(plan)


def test_a_recipe_that_is_not_verified_leaves_no_gpus_idle():
    """NVIDIA's experimental recipe for two RTX PRO 6000 is no reason to leave two of four idle."""
    wishes = {"engine": "vllm", "checkpoint": "deepseek-ai/DeepSeek-V4-Flash-0731"}
    two, four = (make_plan(hardware=detect_hardware(f"rtxpro6000x{count}"), **wishes) for count in (2, 4))
    assert ("fits", 2, "in-progress") == (two.verdict, two.gpus_per_node, two.recipe.status)
    assert "lists this configuration as experimental" in two.reasons[0].text
    assert ("fits", 4) == (four.verdict, four.gpus_per_node)


def _recipe_of(plan):
    return plan.recipe.cell, plan.recipe.status, plan.recipe.differences


@pytest.mark.parametrize("objective", ["latency", "balanced", "throughput"])
def test_an_engine_expected_to_be_faster_is_named_with_how_to_get_it(objective):
    """Where vLLM is predicted to be better at what was asked for, the choice of SGLang says so."""
    choices = {
        "checkpoint": "deepseek-ai/DeepSeek-V4-Flash-0731",
        "hardware": detect_hardware("b200x8"),
        "concurrency": 64,
        "objective": objective,
    }
    plan, other = make_plan(**choices), make_plan(engine="vllm", **choices)
    assert ("sglang", "vllm") == (plan.engine, other.engine)
    rates = [one.prediction.decode_tokens_per_s.expected for one in (plan, other)]
    tpots = [one.prediction.tpot_s.expected for one in (plan, other)]
    faster = tpots[0] > 1.25 * tpots[1] if objective == "latency" else rates[1] > 1.25 * rates[0]
    # DeepEP, of the balanced recipe only, costs 20 ms a step.
    assert faster == (objective == "balanced")
    assert faster == ("vllm is expected to be faster: --engine vllm" in texts(plan))


def test_a_mac_gets_llamacpp(m3_ultra):
    """Unified memory is counted once, and MLX does not know V4."""
    plan = make_plan(hardware=m3_ultra)
    assert ("fits", "llamacpp", 999) == (plan.verdict, plan.engine, plan.gpu_layers)
    assert plan.capacity_bytes < 512e9


@pytest.mark.parametrize("model", ["smollm2", "tiny-v4"])
@pytest.mark.parametrize("hardware", ["cpu", "auto", "h100x8", "m3-ultra-512gb", "rtx4090x1"])
def test_stand_ins_run_anywhere(model, hardware):
    """The small models are planned on llama.cpp on every machine, by name and here."""
    plan = make_plan(model, hardware=detect_hardware(hardware))
    assert ("fits", "llamacpp") == (plan.verdict, plan.engine)


def test_requests_beyond_the_cache_wait_instead_of_failing():
    """SGLang queues what its KV cache does not hold: it runs, the plan says how many wait, the speed shows it."""
    plan = make_plan(
        "pro", hardware=detect_hardware("h200x8"), engine="sglang", concurrency=512, objective="throughput"
    )
    assert "verified" == plan.verdict
    assert f"prompt and 1,024 answer tokens {plan.running_requests} run at once" in texts(plan)
    assert f"{512 - plan.running_requests} of 512 requests wait" in plan.prediction.basis
    fewer = make_plan(
        "pro", hardware=detect_hardware("h200x8"), engine="sglang", concurrency=64, objective="throughput"
    )
    assert fewer.prediction.ttft_s.expected < plan.prediction.ttft_s.expected


def test_llamacpp_on_the_host_alone_needs_no_buffers_on_idle_gpus():
    """Where no layer fits on sixteen small GPUs, what is needed is no more than what is there."""
    plan = make_plan("pro", hardware=detect_hardware("rtx4060ti-16gbx16"), context_tokens=1_048_576)
    assert ("fits", 0) == (plan.verdict, plan.gpu_layers)
    assert plan.footprint.total_bytes <= plan.capacity_bytes


@pytest.mark.parametrize(("nodes", "named"), [(1, False), (4, True)])
def test_machines_that_llamacpp_leaves_idle_are_named(nodes, named):
    """It runs on one machine, however many were asked for."""
    plan = make_plan(hardware=detect_hardware("rtx4090x1", host_memory_gib=192), engine="llamacpp", nodes=nodes)
    assert 1 == plan.nodes
    assert named == ("3 of the 4 asked for would stay idle" in texts(plan))


def test_unknown_host_memory_is_said_to_be_assumed():
    """A named machine's host memory is taken as ample, and the plan says how much is needed."""
    plan = make_plan(hardware=detect_hardware("rtx4090x1"))
    reason = next(reason for reason in plan.reasons if "host memory" in reason.text and "not known" in reason.text)
    assert "assumed" == reason.origin


def test_every_reason_has_origin_and_source(four_h200s):
    """Every sentence names its source."""
    plan = make_plan(hardware=four_h200s, alternatives=True)
    for one in (plan, *plan.alternatives):
        assert one.reasons
        assert all(reason.origin and reason.source for reason in one.reasons)


def test_capacity_comes_before_speed():
    """Pro on 8x H200 holds about 15 requests; more of them wait, and the machine does not become faster."""
    choices = {"checkpoint": "deepseek-ai/DeepSeek-V4-Pro", "hardware": detect_hardware("h200x8"), "engine": "sglang"}
    plan = make_plan(concurrency=16, **choices)
    assert "of 16 requests wait" in plan.prediction.basis
    more = make_plan(concurrency=64, **choices)
    assert "49 of 64 requests wait" in more.prediction.basis
    # A short run spends more of its time on its last requests, so its rate is a little lower.
    assert pytest.approx(plan.prediction.decode_tokens_per_s.expected, rel=0.1) == (
        more.prediction.decode_tokens_per_s.expected
    )
    assert more.prediction.ttft_s.low > plan.prediction.ttft_s.high


def test_a_gpu_without_known_figures_has_no_prediction():
    """Where the compute rate is not known the prediction says so instead of guessing."""
    plan = make_plan(hardware=detect_hardware("mi350xx8"), engine="sglang")
    assert plan.runs
    assert plan.prediction.tpot_s is None
    assert "not known" in plan.prediction.basis


def test_a_plan_survives_its_dictionary(one_4090):
    """What is written as JSON reads back as the same plan."""
    plan = make_plan(hardware=one_4090)
    assert plan == from_dict(Plan, to_dict(plan))


@pytest.mark.parametrize("busy", [0, 5])
@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_one_busy_gpu_decides_for_all(engine, busy, eight_h100s):
    """Ranks are equal: if another program fills one of the GPUs, the free memory of the others does not help."""
    gpus = [
        replace(gpu, memory_free_bytes=10 << 30 if index == busy else gpu.memory_bytes)
        for index, gpu in enumerate(eight_h100s.gpus)
    ]
    plan = make_plan(hardware=replace(eight_h100s, gpus=tuple(gpus)), engine=engine)
    assert "does_not_fit" == plan.verdict


def test_ranks_over_all_machines_that_are_refused_leave_a_plan_over_fewer_or_with_experts_spread():
    """Pro in FP8 over 16 tensor ranks is refused (192 columns, blocks of 128); with the experts spread it is planned."""
    choices = {"checkpoint": "sgl-project/DeepSeek-V4-Pro-FP8", "hardware": detect_hardware("h200x8"), "nodes": 2}
    plan = make_plan(engine="sglang", recipes=False, **choices)
    assert ("fits", 1) == (plan.verdict, plan.parallelism.pipeline)
    assert Parallelism(tensor=16) != plan.parallelism
    refused = make_plan(engine="sglang", recipes=False, tensor_parallel=16, objective="latency", **choices)
    assert refused.runs or refused.smallest_change is not None


def test_what_cannot_chat_is_chosen_by_name_only():
    """On no machine by default, even if nothing else runs; a named one is planned, and the plan says what it is."""
    for gpu in accelerators().values():
        for count, model, engine in product((1, 8), ("flash", "pro"), ("sglang", "vllm")):
            if gpu.vendor == "apple" or gpu.memory_options_gb or count > gpu.gpus_per_node_max:
                continue
            plan = make_plan(model, hardware=detect_hardware(f"{gpu.key}x{count}"), engine=engine)
            assert not plan.checkpoint.endswith("-Base")
            assert "-Base" not in (plan.smallest_change or "")
    named = make_plan(checkpoint="deepseek-ai/DeepSeek-V4-Flash-Base", hardware=detect_hardware("h200x8"))
    assert named.runs
    assert "is a base checkpoint" in texts(named)


@pytest.mark.parametrize(
    ("model", "machine", "nodes", "engine"),
    [("pro", "h200x8", 1, "sglang"), ("flash", "h100x4", 1, "vllm"), ("pro", "h100x8", 1, "sglang"),
     ("pro", "h100x8", 2, "sglang"), ("flash", "b200x8", 1, "sglang")],
)  # fmt: skip
def test_the_memory_adds_up(model, machine, nodes, engine):
    """The parts make the need, the need is what is compared, and what one GPU holds tells the same."""
    plan = make_plan(model, hardware=detect_hardware(machine), nodes=nodes, engine=engine, concurrency=16)
    text = next(reason.text for reason in plan.reasons if " needs " in reason.text and "GiB" in reason.text)
    need, inner = re.search(r"needs ([\d,.]+) GiB [^(]*\((.*?)\)", text).groups()
    parts = [float(part.rsplit(" ", 1)[1].replace(",", "")) for part in inner.split(" + ")]
    assert sum(parts) == pytest.approx(float(need.replace(",", "")), abs=0.05 * (len(parts) + 1))
    assert plan.need_bytes / 2**30 == pytest.approx(float(need.replace(",", "")), abs=0.05)
    assert f"{plan.capacity_bytes / 2**30:,.1f} GiB" in text
    assert plan.runs == (plan.need_bytes <= plan.capacity_bytes)
    ranks = max(1, plan.ranks)
    assert f"{plan.need_bytes / ranks / 2**30:,.1f} on each" in text
    assert f"{plan.capacity_bytes / ranks / 2**30:,.1f} on each" in text


@pytest.mark.parametrize(("machine", "host"), [("rtx3090x8", 8), ("rtx4090x1", 32), ("rtx4090x2", 64)])
def test_what_llamacpp_lacks_is_host_memory(machine, host):
    """The shortfall is what the host lacks once the GPUs hold whole layers, whatever memory is left on them."""
    hardware = detect_hardware(machine, host_memory_gib=host)
    plan = make_plan(checkpoint="unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q4_K_XL", hardware=hardware)
    assert "does_not_fit" == plan.verdict
    assert plan.footprint.host_bytes - usable_host_bytes(hardware) == plan.shortfall_bytes
    assert plan.need_bytes - plan.capacity_bytes <= plan.shortfall_bytes


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_what_ranks_lack_is_need_less_capacity(engine):
    """Both over all GPUs."""
    plan = make_plan("pro", hardware=detect_hardware("h100x8"), engine=engine)
    assert "does_not_fit" == plan.verdict
    assert plan.need_bytes - plan.capacity_bytes == plan.shortfall_bytes


@pytest.mark.parametrize(
    ("model", "machine", "choices", "starts"),
    [
        (
            "flash",
            "h200x8",
            {},
            ["The vLLM team ran", "deepseek-ai/DeepSeek-V4-Flash-0731 needs", "vllm was", "Context"],
        ),
        ("flash", "h100x4", {}, ["deepseek-ai/DeepSeek-V4-Flash-0731 needs", "sglang was chosen", "Context"]),
        (
            "pro",
            "h200x8",
            {"engine": "sglang", "concurrency": 64},
            ["The SGLang team ran", "deepseek-ai/", "Of 64 req"],
        ),
        ("flash", "rtx4090x1", {}, ["unsloth/", "llamacpp was chosen", "The host memory", "Context"]),
    ],
)
def test_the_first_four_reasons_are_those_that_decided(model, machine, choices, starts):
    """Who ran it and the memory, the engine, what limits the plan, the context: a screen shows four reasons."""
    plan = make_plan(model, hardware=detect_hardware(machine), **choices)
    shown = [reason.text for reason in plan.reasons[:4]]
    assert all(text.startswith(start) for text, start in zip(shown, starts, strict=False))
    assert any("Context: " in text or "tokens of context" in text for text in shown)


def test_what_does_not_run_says_first_why_not_and_why_no_other_engine():
    """The memory and the number missing, then each other engine, then the context."""
    plan = make_plan("flash", hardware=detect_hardware("cpu", host_memory_gib=24))
    starts = ["unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-IQ1_S needs", "Not sglang: ", "Not vllm: ", "Context: "]
    assert all(reason.text.startswith(start) for reason, start in zip(plan.reasons, starts, strict=False))
