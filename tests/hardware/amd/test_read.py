"""AMD GPUs on a made-up sysfs, laid out as the amdgpu driver lays it out."""

import pytest
from tests.amdgpu_files import PROCESSOR, gpu_files

from seatrial.hardware import Host
from seatrial.hardware.amd import AmdReading, read_amd
from seatrial.units import GIB, MIB

IDS = "# List of AMDGPU IDs\n1.0.0\n74A1,\t00,\tAMD Instinct MI300X\n1586,\tC1,\tAMD Radeon Graphics\n"
DRIVER = {"sys/module/amdgpu/version": "6.12.12\n", "usr/share/libdrm/amdgpu.ids": IDS}
HOST = Host(memory_bytes=188 * GIB, memory_available_bytes=180 * GIB)
INSTINCT = {"vram": 196592, "used": 300, "gtt": 1024}
R9700 = {"vram": 32768, "gtt": 94 * 1024, "device": "0x7551", "gfx": 120001}
DESKTOP = {"vram": 512, "gtt": 94 * 1024, "device": "0x164e", "gfx": 100306}
"""The two compute units inside a Ryzen processor for desktops."""


def read(root, host=HOST, environment=(), **options):
    """Read the GPUs of a desktop with 188 GiB."""
    return read_amd(host, root=root, environment=dict(environment), **options)


def test_eight_mi300x(tree):
    """Names by libdrm's list, architecture by KFD, memory by the driver, the rest by the data file."""
    files = PROCESSOR | DRIVER
    for number in range(8):
        files |= gpu_files(number, **INSTINCT)
    found = read(tree(files))
    assert (8, "6.12.12", (), ()) == (len(found.gpus), found.driver, found.problems, found.engine_env)
    gpu = found.gpus[0]
    assert ("AMD Instinct MI300X", "mi300x", "gfx942", 196592 * MIB, 196292 * MIB, 5300e9, False) == (
        gpu.name,
        gpu.accelerator,
        gpu.compute_capability,
        gpu.memory_bytes,
        gpu.memory_free_bytes,
        gpu.bandwidth_bytes_per_s,
        gpu.unified,
    )


def test_product_name_of_the_board_wins(tree):
    """The firmware's name comes before libdrm's list."""
    files = gpu_files(0, vram=294896, gtt=1024, device="0x75a3", gfx=90500)
    root = tree(files | {"sys/class/drm/card0/device/product_name": "AMD Instinct MI355X\n"})
    assert [("AMD Instinct MI355X", "mi355x", "gfx950")] == [
        (gpu.name, gpu.accelerator, gpu.compute_capability) for gpu in read(root).gpus
    ]


def test_without_a_name_memory_and_device_id_decide(tree):
    """MI325X is gfx942 with 256 GB."""
    gpus = read(tree(gpu_files(0, vram=262128, gtt=1024, device="0x74a5"))).gpus
    assert [("Instinct MI325X", "mi325x")] == [(gpu.name, gpu.accelerator) for gpu in gpus]


def test_an_unlisted_card_keeps_its_readings(tree):
    """A consumer card: its memory and architecture, no rates."""
    (gpu,) = read(tree(gpu_files(1, vram=24560, gtt=31949, device="0x744c", gfx=110000))).gpus
    assert ("AMD GPU (0x744c, gfx1100)", None, False, 24560 * MIB) == (
        gpu.name,
        gpu.accelerator,
        gpu.unified,
        gpu.memory_bytes,
    )


@pytest.mark.parametrize(
    ("version", "name"),
    [(90402, "gfx942"), (90010, "gfx90a"), (110501, "gfx1151"), (120001, "gfx1201"), (90500, "gfx950")],
)
def test_architecture_names(tree, version, name):
    """The kernel's number in the spelling engines use."""
    gpus = read(tree(gpu_files(0, gfx=version, **INSTINCT))).gpus
    assert [name] == [gpu.compute_capability for gpu in gpus]


def test_order_is_that_of_the_compute_topology(tree):
    """Engines number GPUs as KFD does, not as the display driver does."""
    files = gpu_files(0, vram=262128, gtt=1024, device="0x74a5", node=2) | gpu_files(1, node=1, **INSTINCT)
    assert ["mi300x", "mi325x"] == [gpu.accelerator for gpu in read(tree(files)).gpus]


def test_nodes_are_numbered_not_spelled(tree):
    """Node 10 comes after node 9."""
    files = gpu_files(0, vram=262128, gtt=1024, device="0x74a5", node=10) | gpu_files(1, node=9, **INSTINCT)
    assert ["mi300x", "mi325x"] == [gpu.accelerator for gpu in read(tree(files)).gpus]


def test_other_vendors_and_connectors_are_no_gpus(tree):
    """An Intel GPU and a display connector are left out."""
    root = tree(
        {"sys/class/drm/card0/device/vendor": "0x8086\n", "sys/class/drm/card0-HDMI-A-1/device/vendor": "0x1002\n"}
    )
    assert AmdReading() == read(root)


def test_no_amd_gpu_at_all(tmp_path):
    """Nothing is found and nothing is wrong."""
    assert AmdReading() == read(tmp_path)


def test_no_compute_driver_is_a_problem(tree):
    """Typical of a container without /dev/kfd."""
    found = read(tree(gpu_files(0, **INSTINCT | {"gfx": None})))
    assert 1 == len(found.gpus)
    assert [True] == ["KFD" in problem.what for problem in found.problems]


def test_unreadable_memory_is_unknown_and_named(tree):
    """The card stays in the list."""
    files = {name: text for name, text in gpu_files(0, **INSTINCT).items() if "vram_total" not in name}
    found = read(tree(files))
    assert [None] == [gpu.memory_bytes for gpu in found.gpus]
    assert [True] == ["memory could not be read" in problem.what for problem in found.problems]


@pytest.mark.parametrize("text", ["", "many\n", "-1\n", "1e9\n", "\0\0", "12 34\n"])
def test_odd_numbers_are_unknown(tree, text):
    """A file that holds no number of bytes tells nothing."""
    files = gpu_files(0, **INSTINCT) | {"sys/class/drm/card0/device/mem_info_vram_total": text}
    assert [None] == [gpu.memory_bytes for gpu in read(tree(files)).gpus]


def test_more_in_use_than_there_is(tree):
    """The two files are read one after the other; nothing is free then."""
    (gpu,) = read(tree(gpu_files(0, **INSTINCT | {"used": 200_000}))).gpus
    assert 0 == gpu.memory_free_bytes


def test_the_gpu_inside_the_processor_is_left_out_beside_a_card(tree):
    """The card's own memory counts, the engine sees only the card, and the source says what was left out."""
    found = read(tree(PROCESSOR | gpu_files(0, **R9700) | gpu_files(1, **DESKTOP)))
    assert [(32768 * MIB, False)] == [(gpu.memory_bytes, gpu.unified) for gpu in found.gpus]
    assert ("HIP_VISIBLE_DEVICES=0",) == found.engine_env
    assert "amdgpu sysfs; left out: AMD GPU (0x164e, gfx1036), inside the processor" == found.source


def test_it_may_come_first(tree):
    """Firmware may list the processor's GPU before the card."""
    found = read(tree(PROCESSOR | gpu_files(0, **DESKTOP) | gpu_files(1, **R9700)))
    assert ("gfx1201", ("HIP_VISIBLE_DEVICES=1",)) == (found.gpus[0].compute_capability, found.engine_env)


@pytest.mark.parametrize("inside", [DESKTOP, {"vram": 512, "gtt": 64000, "device": "0x1586", "gfx": 110501}])
def test_left_out_beside_a_card_of_another_vendor(tree, inside):
    """HIP shows none of it, be it small or the large one of a Strix Halo: the plan is that of the card."""
    found = read(tree(PROCESSOR | gpu_files(0, **inside)), beside_cards=True)
    assert ((), (), ("HIP_VISIBLE_DEVICES=-1",)) == (found.gpus, found.problems, found.engine_env)


def test_a_small_one_alone_is_left_out_too(tree):
    """The processor does better; neither HIP nor Vulkan shows it to the engine."""
    found = read(tree(PROCESSOR | gpu_files(0, **DESKTOP)))
    assert ((), (), ("HIP_VISIBLE_DEVICES=-1", "GGML_VK_VISIBLE_DEVICES=")) == (
        found.gpus,
        found.problems,
        found.engine_env,
    )


def test_a_small_one_is_left_out_when_a_variable_hides_the_card(tree):
    """What is visible decides: the engine would see the small one only."""
    root = tree(PROCESSOR | gpu_files(0, **R9700) | gpu_files(1, **DESKTOP))
    found = read(root, environment={"HIP_VISIBLE_DEVICES": "1"})
    assert ((), ("HIP_VISIBLE_DEVICES=-1", "GGML_VK_VISIBLE_DEVICES=")) == (found.gpus, found.engine_env)
    assert "HIP_VISIBLE_DEVICES=1 leaves 1 of 2" in found.source


@pytest.mark.parametrize(
    ("environment", "kept", "said"),
    [
        ({"HIP_VISIBLE_DEVICES": "0"}, ["gfx1201"], ()),
        ({"ROCR_VISIBLE_DEVICES": "0"}, ["gfx1201"], ()),
        ({"ROCR_VISIBLE_DEVICES": "1,0"}, ["gfx1201"], ("HIP_VISIBLE_DEVICES=1",)),  # HIP counts what ROCr leaves
        ({"HIP_VISIBLE_DEVICES": "1,0"}, ["gfx1201"], ("HIP_VISIBLE_DEVICES=0",)),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, ["gfx1201"], ("HIP_VISIBLE_DEVICES=0",)),
    ],
)
def test_variables_and_the_processors_gpu(tree, environment, kept, said):
    """The engine gets a variable only if those of the person would show it more than the plan has."""
    found = read(tree(PROCESSOR | gpu_files(0, **R9700) | gpu_files(1, **DESKTOP)), environment=environment)
    assert (kept, said) == ([gpu.compute_capability for gpu in found.gpus], found.engine_env)


@pytest.mark.parametrize(
    "environment",
    [
        {"ROCR_VISIBLE_DEVICES": ""},
        {"HIP_VISIBLE_DEVICES": "-1"},
        {"CUDA_VISIBLE_DEVICES": "7"},
        {"ROCR_VISIBLE_DEVICES": "0", "HIP_VISIBLE_DEVICES": "1"},
        {"GPU_DEVICE_ORDINAL": "none"},
    ],
)
def test_a_variable_that_hides_every_card_is_a_problem(tree, environment):
    """The message names what was set, and to unset it."""
    found = read(tree(PROCESSOR | gpu_files(0, **R9700) | gpu_files(1, **R9700)), environment=environment)
    assert ((), 1) == (found.gpus, len(found.problems))
    assert all(f"{name}={value}" in found.problems[0].what for name, value in environment.items())
    assert f"Unset {' and '.join(environment)} to use them." == found.problems[0].remedy


def test_hiding_the_processors_gpu_is_no_problem(tree):
    """CUDA's variable names an NVIDIA card; HIP reads it too."""
    root = tree(PROCESSOR | gpu_files(0, **DESKTOP))
    found = read(root, environment={"CUDA_VISIBLE_DEVICES": "GPU-0b1c"}, beside_cards=True)
    assert ((), (), ()) == (found.gpus, found.problems, found.engine_env)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, ()),
        ({"HIP_VISIBLE_DEVICES": "1,0"}, ()),
        ({"ROCR_VISIBLE_DEVICES": "1"}, ()),
        ({"GPU_DEVICE_ORDINAL": "1,0"}, ("HIP_VISIBLE_DEVICES=1,0",)),  # HIP itself takes no notice of it
        ({"ROCR_VISIBLE_DEVICES": "1,0", "GPU_DEVICE_ORDINAL": "1"}, ("HIP_VISIBLE_DEVICES=1",)),
    ],
)
def test_what_the_engine_is_told(tree, environment, said):
    """Nothing if HIP shows the same by itself."""
    root = tree(PROCESSOR | gpu_files(0, **R9700) | gpu_files(1, **R9700))
    assert said == read(root, environment=environment).engine_env


def test_cards_of_both_vendors(tree):
    """HIP reads CUDA's variable too, which may come to hold the UUIDs of NVIDIA cards: its own variable goes before."""
    found = read(tree(PROCESSOR | gpu_files(0, **R9700) | gpu_files(1, **DESKTOP)), beside_cards=True)
    assert (1, ("HIP_VISIBLE_DEVICES=0",)) == (len(found.gpus), found.engine_env)


def test_a_strix_halo_without_the_compute_driver(tree):
    """Its device id tells which machine it is."""
    found = read(tree(gpu_files(0, vram=512, gtt=62 * 1024, device="0x1586", gfx=None)), Host(memory_bytes=125 * GIB))
    assert [("strix-halo", True)] == [(gpu.accelerator, gpu.unified) for gpu in found.gpus]


@pytest.mark.parametrize(("vram", "said"), [(512, []), (2048, []), (16384, ["16.0 GiB"]), (98304, ["96.0 GiB"])])
def test_memory_kept_for_a_gpu_that_serves_nothing(tree, vram, said):
    """The firmware's setup gives it back to the host, where the experts lie."""
    found = read(tree(PROCESSOR | gpu_files(0, **DESKTOP | {"vram": vram})), beside_cards=True)
    assert said == [problem.what.partition(" of ")[0].removeprefix("The firmware keeps ") for problem in found.problems]


def test_a_gpu_that_the_compute_driver_does_not_show(tree):
    """A container with one of two GPUs sees both in /sys and one in KFD; numbers in variables count that one."""
    files = PROCESSOR | gpu_files(0, **R9700 | {"gfx": None}) | gpu_files(1, **R9700)
    found = read(tree(files), environment={"HIP_VISIBLE_DEVICES": "0"})
    assert (["gfx1201"], ()) == ([gpu.compute_capability for gpu in found.gpus], found.engine_env)
    assert "amdgpu sysfs; left out: AMD GPU (0x7551), not in the KFD topology" == found.source


@pytest.mark.parametrize("environment", [{"ROCR_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": "-1"}])
def test_vulkan_hides_what_rocm_hides(tree, environment):
    """A person who hides the only GPU gets an engine that does not use it either."""
    strix = gpu_files(0, vram=512, gtt=64000, device="0x1586", gfx=110501)
    found = read(tree(PROCESSOR | strix), environment=environment)
    assert (("GGML_VK_VISIBLE_DEVICES=",), 1) == (found.engine_env, len(found.problems))
