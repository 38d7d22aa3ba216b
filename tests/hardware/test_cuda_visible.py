"""CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER: the kit and the engine mean the same GPUs, in the same order."""

from dataclasses import replace

import pytest

from seatrial.engines import build_command
from seatrial.hardware import Hardware, Host
from seatrial.hardware.named import named_machine
from seatrial.hardware.nvidia.visible import visible_gpus
from seatrial.plan import make_plan
from seatrial.units import GIB

ORDER = "CUDA_DEVICE_ORDER=PCI_BUS_ID"


def entry(index, name, gib, capability, **more):
    """Return what NVML says of a GPU."""
    return {
        "index": index,
        "name": name,
        "memory_bytes": int(gib * GIB),
        "capability": capability,
        "uuid": f"GPU-{index}{index}aa-{index}",
        **more,
    }


THREE = [entry(0, "3090", 24, (8, 6)), entry(1, "5090", 32, (12, 0)), entry(2, "4090", 24, (8, 9))]
ALIKE = [entry(0, "a", 8, (9, 0), uuid="GPU-abc1"), entry(1, "a", 8, (9, 0), uuid="GPU-abc2")]
SLICED = [
    entry(0, "a", 8, (9, 0), slices=[{"uuid": "MIG-one"}, {"uuid": "MIG-two"}]),
    entry(1, "a", 8, (9, 0), slices=[{"uuid": "MIG-three"}]),
]


def names(entries, **environment):
    """Return the numbers of the GPUs that are left, in the engine's order."""
    return [one["index"] for one in visible_gpus(entries, environment).entries]


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        ("0", [0]),
        ("2,0", [2, 0]),
        (" 1 , 2 ", [1, 2]),
        ("0,1,", [0, 1]),
        ("+1", [1]),
        ("1st,2nd", [1, 2]),
        ("0,3,1", [0]),
        ("0,-1,1", [0]),
        ("-1", []),
        ("", []),
        (" ", []),
        ("NoDevFiles", []),
        ("\u0661", []),
        ("9" * 5000, []),
        ("0,0", []),
        ("0,1,0", []),
        ("GPU-11aa", [1]),
        ("GPU-22aa,GPU-00aa-0", [2, 0]),
        ("GPU-11aa,GPU-1", []),
        ("GPU-11aa,GPU-99,GPU-00aa", [1]),
        ("GPU-11aa,0", [1]),
        ("0,GPU-11aa", [0]),
        ("gpu-11aa", []),
        ("GPU-", []),
        ("all", []),
    ],
)
def test_the_list_is_read_as_cuda_reads_it(setting, left):
    """By number or UUID, in the list's order, up to the first invalid entry; a repetition hides all."""
    assert left == names(THREE, CUDA_VISIBLE_DEVICES=setting)


@pytest.mark.parametrize(
    ("setting", "slices"),
    [
        ("MIG-two", [["MIG-two"]]),
        ("MIG-three,MIG-one", [["MIG-three"], ["MIG-one"]]),
        ("MIG-t", []),
        ("MIG-four", []),
        ("MIG-two,MIG-two", []),
        ("0", [["MIG-one", "MIG-two"]]),
    ],
)
def test_slices_are_chosen_by_uuid(setting, slices):
    """A prefix must fit one slice only; the number of a GPU stands for all its slices."""
    found = visible_gpus(SLICED, {"CUDA_VISIBLE_DEVICES": setting}).entries
    assert slices == [[part["uuid"] for part in one["slices"]] for one in found]


def test_a_prefix_of_two_uuids_is_invalid():
    """Nothing is guessed."""
    assert [] == names(ALIKE, CUDA_VISIBLE_DEVICES="GPU-abc")
    assert [1] == names(ALIKE, CUDA_VISIBLE_DEVICES="GPU-abc2")


@pytest.mark.parametrize("order", [None, "PCI_BUS_ID", "", "fastest_first"])
def test_numbers_are_nvml_s_and_the_engine_is_told_so(order):
    """Without a wish the kit decides: CUDA counts as NVML does."""
    environment = {"CUDA_VISIBLE_DEVICES": "0"} | ({} if order is None else {"CUDA_DEVICE_ORDER": order})
    visible = visible_gpus(THREE, environment)
    assert (["3090"], (ORDER, "CUDA_VISIBLE_DEVICES=0")) == (
        [one["name"] for one in visible.entries],
        visible.engine_env,
    )


@pytest.mark.parametrize(
    ("setting", "said"), [(" 2 ,0,9", "2,0"), ("1st", "1"), ("GPU-11aa,GPU-00,x", "GPU-11aa,GPU-00")]
)
def test_the_engine_gets_the_valid_part_of_the_list(setting, said):
    """A command that is copied to another shell means the same GPUs."""
    assert f"CUDA_VISIBLE_DEVICES={said}" in visible_gpus(THREE, {"CUDA_VISIBLE_DEVICES": setting}).engine_env


def test_numbers_of_whoever_wants_the_fastest_first_count_so():
    """The engine gets the same GPUs by UUID, which no order changes; the source says so."""
    visible = visible_gpus(THREE, {"CUDA_VISIBLE_DEVICES": "0,2", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"})
    assert ["5090", "3090"] == [one["name"] for one in visible.entries]
    assert (ORDER, "CUDA_VISIBLE_DEVICES=GPU-11aa-1,GPU-00aa-0") == visible.engine_env
    assert "CUDA_DEVICE_ORDER=FASTEST_FIRST" in visible.note


def test_listed_gpus_are_ordered_by_their_data_sheets():
    """An RTX PRO 6000 is faster than an RTX 5090 of the same architecture."""
    pro = "NVIDIA RTX PRO 6000 Blackwell Workstation Edition"
    two = [entry(0, "NVIDIA GeForce RTX 5090", 31.84, (12, 0)), entry(1, pro, 95.59, (12, 0))]
    assert [1] == names(two, CUDA_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="FASTEST_FIRST")


def test_without_uuids_the_wished_order_stays():
    """The engine then counts as the person wanted."""
    unnamed = [one | {"uuid": None} for one in THREE]
    visible = visible_gpus(unnamed, {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"})
    assert ("CUDA_DEVICE_ORDER=FASTEST_FIRST",) == visible.engine_env


def test_the_order_decides_about_numbers_only():
    """A UUID means its GPU, and all GPUs are all."""
    assert [2] == names(THREE, CUDA_VISIBLE_DEVICES="GPU-22aa", CUDA_DEVICE_ORDER="FASTEST_FIRST")
    assert [0, 1, 2] == names(THREE, CUDA_DEVICE_ORDER="FASTEST_FIRST")


@pytest.mark.parametrize(
    ("setting", "what", "remedy"),
    [("", "hides all 3", "Unset"), ("7", "'7' is none", "Unset"), ("1,1", "twice", "once")],
)
def test_nothing_left_is_a_problem_with_its_reason(setting, what, remedy):
    """The variable is named, and what is wrong with it."""
    problems = visible_gpus(THREE, {"CUDA_VISIBLE_DEVICES": setting}).problems
    assert [True] == [what in problem.what and remedy in problem.remedy for problem in problems]


@pytest.mark.parametrize("runner", ["xllamacpp", "llama-server", "llama_cpp.server"])
def test_every_runner_of_llamacpp_counts_as_the_kit_does(runner):
    """Shares of --tensor-split mean the GPUs of the plan."""
    machine = named_machine("rtx4090x2")
    plan = make_plan("tiny-v4", hardware=machine, engine="llamacpp")
    assert "PCI_BUS_ID" == build_command(plan, runner=runner).env["CUDA_DEVICE_ORDER"]


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_every_engine_counts_as_the_kit_does(engine):
    """Whatever the recipe sets beside."""
    plan = make_plan("flash", hardware=named_machine("h200x4"), engine=engine)
    assert "PCI_BUS_ID" == build_command(plan).env["CUDA_DEVICE_ORDER"]


@pytest.mark.parametrize(
    "machine",
    [named_machine("m3-ultra-512gb"), Hardware("cpu", (), Host(memory_bytes=64 * GIB), None, None, "measured", "")],
)
def test_machines_without_nvidia_need_no_order(machine):
    """The variable would say nothing there."""
    plan = make_plan("tiny-v4", hardware=machine, engine="llamacpp")
    assert "CUDA_DEVICE_ORDER" not in build_command(plan).env


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ((), "1,2"),
        (("CUDA_VISIBLE_DEVICES=5,3,1",), "3,1"),
        (("CUDA_VISIBLE_DEVICES=GPU-a,GPU-b,GPU-c",), "GPU-b,GPU-c"),
    ],
)
@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_engines_that_need_equal_gpus_get_those_of_the_plan(engine, seen, said):
    """The first GPU they see is another card here."""
    machine = replace(named_machine("rtx3090x1+rtxpro6000x2"), engine_env=(ORDER, *seen))
    plan = make_plan("flash", hardware=machine, engine=engine)
    assert (True, said) == (plan.runs, build_command(plan).env["CUDA_VISIBLE_DEVICES"])


def test_equal_gpus_that_come_first_need_no_list():
    """The engine takes these by itself."""
    plan = make_plan("flash", hardware=named_machine("rtxpro6000x2+rtx3090x1"), engine="sglang")
    assert "CUDA_VISIBLE_DEVICES" not in build_command(plan).env


@pytest.mark.parametrize(("name", "said"), [("rtx3090x1+rtx5090x1", True), ("rtx3090x2", False)])
def test_a_named_mixture_says_whose_order_its_shares_have(name, said):
    """Nobody knows on which bus the cards of a named machine are."""
    plan = make_plan("flash", hardware=named_machine(name, 192), engine="llamacpp")
    assert said == any("follow the order of the name" in reason.text for reason in plan.reasons)
