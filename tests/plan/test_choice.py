"""What is chosen for a machine when little is asked, and how it is explained."""

import re
from dataclasses import replace
from itertools import product

import pytest

from seatrial.errors import RefusedError, UnknownNameError, UsageError
from seatrial.hardware import detect_hardware
from seatrial.hardware.accelerators import accelerators
from seatrial.memory.types import Parallelism
from seatrial.plan import make_plan
from seatrial.plan.types import Plan
from seatrial.records import from_dict, to_dict


def texts(plan):
    """All reasons in one text."""
    return "\n".join(reason.text for reason in plan.reasons)


def test_a_verified_checkpoint_comes_before_the_default_release(four_h200s):
    """On 4x H200 a vendor verified the preview; the plan takes it and says why not the release."""
    plan = make_plan(hardware=four_h200s)
    assert ("verified", "deepseek-ai/DeepSeek-V4-Flash", "sglang") == (plan.verdict, plan.checkpoint, plan.engine)
    assert "default release deepseek-ai/DeepSeek-V4-Flash-0731" in texts(plan)


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


def test_an_engine_expected_to_be_faster_is_named_with_how_to_get_it():
    """On 8x H200 vLLM's recipe drafts with DSpark; where it is predicted faster, the choice of SGLang says so."""
    plan = make_plan(hardware=detect_hardware("h200x8"))
    other = make_plan(hardware=detect_hardware("h200x8"), engine="vllm")
    rates = [one.prediction.decode_tokens_per_s.expected for one in (plan, other)]
    assert "sglang" == plan.engine
    assert (rates[1] > 1.25 * rates[0]) == ("vllm is expected to be faster here: --engine vllm" in texts(plan))


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


def test_a_machine_too_small_says_by_how_much_and_what_helps():
    """The message holds both numbers, the shortfall and a change that was tried."""
    plan = make_plan(
        checkpoint="sgl-project/DeepSeek-V4-Flash-FP8", hardware=detect_hardware("h200x2"), engine="sglang"
    )
    assert "does_not_fit" == plan.verdict
    assert plan.shortfall_bytes > 0
    first = plan.reasons[0].text
    assert "sgl-project/DeepSeek-V4-Flash-FP8 needs" in first
    assert "on 2 GPUs, 141.0 on each (weights 273.8 + KV and state" in first
    assert "usable at fraction 0.90" in first
    assert "too little" in first
    assert "DeepSeek-V4-Flash-0731" in plan.smallest_change
    assert "4 x H200" in plan.smallest_change


def test_fewer_streams_are_the_smallest_change_where_the_weights_fit(no_gpu):
    """With too many long requests llama.cpp's plan names a number of requests that fits, and it does."""
    wishes = {
        "hardware": no_gpu,
        "checkpoint": "unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL",
        "context_tokens": 131_072,
    }
    plan = make_plan(concurrency=64, **wishes)
    assert "does_not_fit" == plan.verdict
    count = int(plan.smallest_change.split("fits: ")[1].split()[0])
    assert make_plan(concurrency=count, **wishes).runs
    assert not make_plan(concurrency=count + 1, **wishes).runs


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


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_no_machine_is_suggested_that_does_not_exist(engine):
    """A DGX Station holds one GB300, so a larger model asks for more machines, not for more in one."""
    wishes = {"model": "pro", "engine": engine}
    plan = make_plan(hardware=detect_hardware("dgx-station-gb300x1"), **wishes)
    count, each = re.search(r"(\d+) machines with (\d+) x DGX Station", plan.smallest_change).groups()
    there = detect_hardware(f"dgx-station-gb300x{each}")
    assert make_plan(hardware=there, nodes=int(count), **wishes).runs


def test_llamacpp_on_the_host_alone_needs_no_buffers_on_idle_gpus():
    """Where no layer fits on sixteen small GPUs, what is needed is no more than what is there."""
    plan = make_plan("pro", hardware=detect_hardware("rtx4060ti-16gbx16"), context_tokens=1_048_576)
    assert ("fits", 0) == (plan.verdict, plan.gpu_layers)
    assert plan.footprint.total_bytes <= plan.capacity_bytes


@pytest.mark.parametrize(("nodes", "told"), [(1, False), (4, True)])
def test_machines_that_llamacpp_leaves_idle_are_said(nodes, told):
    """It runs on one machine, however many were asked for."""
    plan = make_plan(hardware=detect_hardware("rtx4090x1", host_memory_gib=192), engine="llamacpp", nodes=nodes)
    assert 1 == plan.nodes
    assert told == ("3 of the 4 asked for would stay idle" in texts(plan))


def test_more_host_memory_is_named_and_fits():
    """On a CPU the plan says how much memory would do, and it does."""
    wishes = {"checkpoint": "unsloth/DeepSeek-V4-Flash-GGUF:UD-IQ1_S", "engine": "llamacpp"}
    plan = make_plan(hardware=detect_hardware("cpu", host_memory_gib=24), **wishes)
    size = int(plan.smallest_change.split(" GiB of host memory")[0].split()[-1])
    assert make_plan(hardware=detect_hardware("cpu", host_memory_gib=size), **wishes).runs


def test_unknown_host_memory_is_said_to_be_assumed():
    """A named machine's host memory is taken as ample, and the plan says how much is needed."""
    plan = make_plan(hardware=detect_hardware("rtx4090x1"))
    reason = next(reason for reason in plan.reasons if "host memory" in reason.text and "not known" in reason.text)
    assert "assumed" == reason.origin


def test_every_reason_has_origin_and_source(four_h200s):
    """No sentence without saying where it comes from."""
    plan = make_plan(hardware=four_h200s, alternatives=True)
    for one in (plan, *plan.alternatives):
        assert one.reasons
        assert all(reason.origin and reason.source for reason in one.reasons)


def test_alternatives_run_and_are_ranked(four_h200s):
    """Every alternative runs, of those that chat the fastest first, and the chosen plan is none of them."""
    plan = make_plan(hardware=four_h200s, alternatives=True)
    rates = [other.prediction.decode_tokens_per_s.expected for other in plan.alternatives if other.chat]
    assert sorted(rates, reverse=True) == rates
    assert all(other.runs for other in plan.alternatives)
    chosen, *others = [(one.engine, one.checkpoint, one.parallelism, one.recipe) for one in (plan, *plan.alternatives)]
    assert chosen not in others


@pytest.mark.parametrize("engine", ["auto", "sglang", "vllm", "llamacpp", "mlx"])
def test_v41_is_refused_by_name(engine, four_h200s):
    """Another architecture is not sized with the wrong formulas, whatever engine it is asked for."""
    with pytest.raises(RefusedError, match="another architecture"):
        make_plan(checkpoint="deepseek-ai/DeepSeek-V4.1-Flash", hardware=four_h200s, engine=engine)


@pytest.mark.parametrize(
    ("machine", "nodes", "ranks", "used"),
    [("h100x2", 3, 4, (2, 2)), ("h100x8", 2, 8, (2, 4)), ("h100x2", 1024, 2, (1, 2)), ("h100x8", 3, 8, (1, 8))],
)
def test_ranks_are_shared_out_evenly_among_machines(machine, nodes, ranks, used):
    """Engines refuse ranks that the machines do not divide, so only as many machines are used as do."""
    plan = make_plan(
        hardware=detect_hardware(machine), nodes=nodes, tensor_parallel=ranks, engine="sglang", recipes=False
    )
    assert (used, ranks) == ((plan.nodes, plan.gpus_per_node), plan.parallelism.tensor)


def test_no_model_is_cut_into_more_stages_than_layers():
    """Pro has 61 layers: 100 machines cannot hold a stage each, and no other way over all of them is left."""
    plan = make_plan("pro", hardware=detect_hardware("h100x8"), nodes=100, engine="sglang", recipes=False)
    assert ("refused", 1) == (plan.verdict, plan.parallelism.pipeline)


@pytest.mark.parametrize(("machine", "nodes", "ranks"), [("h100x2+rtx4090x2", 1, 4), ("h100x3", 3, 8)])
def test_ranks_that_equal_gpus_cannot_form_are_bad_input(machine, nodes, ranks):
    """GPUs of another kind do not count, and neither do ranks no number of machines divides."""
    with pytest.raises(UsageError, match=f"tensor_parallel = {ranks}"):
        make_plan(hardware=detect_hardware(machine), nodes=nodes, tensor_parallel=ranks)


@pytest.mark.parametrize("machine", ["m3-ultra-512gb", "h100x8"])
def test_an_mlx_checkpoint_is_refused_by_mlx(machine):
    """Where nothing runs a checkpoint, the engine made for its format says why, and no other."""
    plan = make_plan(checkpoint="mlx-community/DeepSeek-V4-Flash-4bit", hardware=detect_hardware(machine))
    assert ("refused", "mlx") == (plan.verdict, plan.engine)
    assert "no model class for deepseek_v4" in texts(plan)


def test_tensor_parallel_three_is_refused_with_the_divisor(eight_h100s):
    """64 heads cannot be divided by three; the plan says which numbers can."""
    plan = make_plan(hardware=eight_h100s, engine="sglang", tensor_parallel=3)
    assert "refused" == plan.verdict
    assert "choose a divisor of 64" in plan.reasons[0].text


def test_capacity_comes_before_speed():
    """Pro on 8x H200 holds about 15 requests; more of them wait, and the machine does not become faster."""
    wishes = {"checkpoint": "deepseek-ai/DeepSeek-V4-Pro", "hardware": detect_hardware("h200x8"), "engine": "sglang"}
    plan = make_plan(concurrency=16, **wishes)
    assert "of 16 requests wait" in plan.prediction.basis
    more = make_plan(concurrency=64, **wishes)
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


BAD = {
    "no nodes": ({"nodes": 0}, UsageError),
    "absurd nodes": ({"nodes": 10**9}, UsageError),
    "no requests": ({"concurrency": 0}, UsageError),
    "no context": ({"context_tokens": 0}, UsageError),
    "context beyond the model": ({"context_tokens": 1_048_577}, UsageError),
    "more ranks than GPUs": ({"tensor_parallel": 16}, UsageError),
    "unknown engine": ({"engine": "tgi"}, UnknownNameError),
    "unknown model": ({"model": "flsh"}, UnknownNameError),
    "unknown objective": ({"objective": "cheap"}, UnknownNameError),
    "unknown checkpoint": ({"checkpoint": "deepseek-ai/DeepSeek-V5"}, UnknownNameError),
    "model and checkpoint disagree": ({"model": "pro", "checkpoint": "deepseek-ai/DeepSeek-V4-Flash"}, UsageError),
    "a size nobody published": ({"checkpoint": "RedHatAI/DeepSeek-V4-Flash-NVFP4-FP8"}, UsageError),
}


@pytest.mark.parametrize(("wishes", "error"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_clear_error(wishes, error, eight_h100s):
    """Numbers no machine has and names that do not exist raise a typed error with a remedy."""
    with pytest.raises(error) as raised:
        make_plan(hardware=eight_h100s, **wishes)
    assert raised.value.remedy


def test_an_engine_that_cannot_load_the_format_is_refused(no_gpu, eight_h100s):
    """GGUF on vLLM, and safetensors on llama.cpp, name the engine that would load them."""
    plan = make_plan(checkpoint="unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL", hardware=eight_h100s, engine="vllm")
    assert "refused" == plan.verdict
    assert "llamacpp does" in plan.reasons[0].text
    plan = make_plan(checkpoint="deepseek-ai/DeepSeek-V4-Flash", hardware=no_gpu, engine="llamacpp")
    assert "refused" == plan.verdict


def test_a_plan_survives_its_dictionary(one_4090):
    """What is written as JSON reads back as the same plan."""
    plan = make_plan(hardware=one_4090)
    assert plan == from_dict(Plan, to_dict(plan))


def test_tensor_parallelism_is_refused_where_layers_are_split():
    """llama.cpp never takes a wish for ranks in silence."""
    plan = make_plan("flash", hardware=detect_hardware("h200x4"), engine="llamacpp", tensor_parallel=2)
    assert ("refused", True) == (plan.verdict, "tensor parallel 2" in plan.reasons[0].text)


@pytest.mark.parametrize("busy", [0, 5])
@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_one_busy_gpu_decides_for_all(engine, busy, eight_h100s):
    """Ranks are alike: where another program holds one of the GPUs, whichever it is, the others' memory is no help."""
    gpus = [
        replace(gpu, memory_free_bytes=10 << 30 if index == busy else gpu.memory_bytes)
        for index, gpu in enumerate(eight_h100s.gpus)
    ]
    plan = make_plan(hardware=replace(eight_h100s, gpus=tuple(gpus)), engine=engine)
    assert "does_not_fit" == plan.verdict


def test_a_model_of_another_architecture_is_refused_by_name():
    """V4.1 is named and refused, not sized by the formulas of V4."""
    with pytest.raises(RefusedError, match="another architecture"):
        make_plan("v4.1-flash", hardware=detect_hardware("h200x8"))


def test_alternatives_of_all_engines_are_predicted_for_one_load(four_h200s):
    """llama.cpp alone is predicted for a short chat; beside SGLang and vLLM it is for what these are predicted for."""
    plan = make_plan(hardware=four_h200s, alternatives=True)
    assert {"sglang", "vllm", "llamacpp"} == {other.engine for other in plan.alternatives}
    local = [other.prediction.basis for other in plan.alternatives if other.engine == "llamacpp"]
    assert all("8,192 prompt and 1,024 answer tokens" in basis for basis in local)


@pytest.mark.parametrize("objective", ["latency", "throughput"])
def test_latency_ranks_by_time_per_token(four_h200s, objective):
    """What is fastest for one is not what gives most to all."""
    plan = make_plan(hardware=four_h200s, objective=objective, concurrency=64, alternatives=True)
    known = [other.prediction for other in plan.alternatives if other.chat]
    tpots = [prediction.tpot_s.expected for prediction in known]
    rates = [-prediction.decode_tokens_per_s.expected for prediction in known]
    assert sorted(tpots) == tpots if objective == "latency" else sorted(rates) == rates


def test_every_way_to_split_is_weighed():
    """Tensor, attention replicas, experts and stages, over eight, four and two GPUs."""
    plan = make_plan(hardware=detect_hardware("b200x8"), alternatives=True)
    splits = {other.parallelism for other in plan.alternatives if other.checkpoint.endswith("Flash-0731")}
    assert {
        Parallelism(tensor=8),
        Parallelism(tensor=8, data=8, expert=8),
        Parallelism(tensor=8, expert=8),
        Parallelism(tensor=4, pipeline=2),
        Parallelism(tensor=2),
    } <= splits


def test_without_known_figures_alternatives_come_last_with_the_reason():
    """An MI350X's figures are not known: every plan is listed, and says so."""
    plan = make_plan(hardware=detect_hardware("mi350xx8"), alternatives=True)
    unknown = [other.prediction.tpot_s is None for other in plan.alternatives]
    assert sorted(unknown) == unknown
    assert all("not known" in other.prediction.basis for other in plan.alternatives if other.prediction.tpot_s is None)


@pytest.mark.parametrize(
    ("hardware", "engines"),
    [("h200x4", {"sglang", "vllm", "llamacpp"}), ("m3-ultra-512gb", {"sglang", "vllm", "llamacpp", "mlx"})],
)
def test_each_engine_is_said_what_it_gives(hardware, engines):
    """One sentence for each engine: chosen, what it would give, or why it cannot."""
    told = texts(make_plan(hardware=detect_hardware(hardware)))
    for engine in engines:
        assert f"{engine} would run" in told or f"Not {engine}:" in told or f"{engine} was chosen" in told


def test_stages_are_planned_where_ranks_over_all_machines_are_refused():
    """Pro in FP8 over 16 ranks is refused (192 columns, blocks of 128); two stages of eight ranks are not."""
    plan = make_plan("pro", hardware=detect_hardware("h200x8"), nodes=2, engine="sglang", alternatives=True)
    repacks = [one for one in (plan, *plan.alternatives) if one.checkpoint == "sgl-project/DeepSeek-V4-Pro-FP8"]
    splits = {(one.engine, one.parallelism) for one in repacks}
    assert ("sglang", Parallelism(tensor=8, pipeline=2)) in splits
    assert ("sglang", Parallelism(tensor=16)) not in splits


def test_ranks_are_the_smallest_change_where_they_alone_are_too_few():
    """Two of eight GPUs do not hold the FP8 repack: more of those that are there do."""
    wishes = {
        "checkpoint": "sgl-project/DeepSeek-V4-Flash-FP8",
        "hardware": detect_hardware("h200x8"),
        "engine": "sglang",
    }
    plan = make_plan(tensor_parallel=2, **wishes)
    ranks = int(re.search(r"tensor parallel (\d+) instead of 2", plan.smallest_change).group(1))
    assert make_plan(tensor_parallel=ranks, **wishes).runs


@pytest.mark.parametrize("streams", [1, 64])
def test_stages_are_predicted_with_caution(streams):
    """No published run has stages: in one machine they are no faster than tensor parallelism, the interval is wider."""
    plan = make_plan(
        "pro",
        hardware=detect_hardware("b200x8"),
        recipes=False,
        engine="sglang",
        concurrency=streams,
        alternatives=True,
    )
    for row in {one.checkpoint for one in plan.alternatives}:
        found = {one.parallelism: one.prediction.tpot_s for one in (plan, *plan.alternatives) if one.checkpoint == row}
        staged, plain = found.get(Parallelism(tensor=4, pipeline=2)), found.get(Parallelism(tensor=8))
        if staged and plain:
            assert plain.expected <= staged.expected
            assert plain.high / plain.low < staged.high / staged.low


@pytest.mark.parametrize("objective", ["latency", "throughput"])
@pytest.mark.parametrize("machine", ["h200x8", "b200x8", "mi355xx8"])
def test_what_cannot_chat_ranks_last(machine, objective):
    """Pre-training checkpoints run and are listed, after all that chat, and the plan says why."""
    plan = make_plan("flash", hardware=detect_hardware(machine), objective=objective, concurrency=32, alternatives=True)
    bases = [other.checkpoint.endswith("-Base") for other in plan.alternatives]
    assert any(bases)
    assert sorted(bases) == bases
    assert "Base) come last, however fast: they cannot chat" in texts(plan)


def test_what_cannot_chat_is_chosen_by_name_alone():
    """On no machine by default, not even where nothing else runs; named it is planned, and the plan says what it is."""
    for gpu in accelerators().values():
        for count, model, engine in product((1, 8), ("flash", "pro"), ("sglang", "vllm")):
            if gpu.vendor == "apple" or gpu.memory_options_gb or count > gpu.gpus_per_node_max:
                continue
            plan = make_plan(model, hardware=detect_hardware(f"{gpu.key}x{count}"), engine=engine)
            assert not plan.checkpoint.endswith("-Base")
            assert "-Base" not in (plan.smallest_change or "")
    named = make_plan(checkpoint="deepseek-ai/DeepSeek-V4-Flash-Base", hardware=detect_hardware("h200x8"))
    assert named.runs
    assert "comes from pre-training alone" in texts(named)


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
