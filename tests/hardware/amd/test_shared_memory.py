"""Memory that processor and GPU share: how much there is, how much the kernel lets the GPU take, how that is raised."""

import pytest
from tests.amdgpu_files import PROCESSOR, gpu_files

from seatrial.hardware import Host
from seatrial.hardware.amd import read_amd
from seatrial.hardware.named import machine_name
from seatrial.units import GIB, MIB

STRIX = {"device": "0x1586", "gfx": 110501}
GTTSIZE = "sys/module/amdgpu/parameters/gttsize"
PAGES = "sys/module/ttm/parameters/pages_limit"


def read(root, memory_gib, available_gib=None):
    """Read the GPU of a machine whose kernel has so much memory."""
    available = None if available_gib is None else round(available_gib * GIB)
    return read_amd(
        Host(memory_bytes=round(memory_gib * GIB), memory_available_bytes=available), root=root, environment={}
    )


@pytest.mark.parametrize(
    ("sizes_gib", "name", "limit_gib"),
    [
        ((0.5, 62.5, 125), "strix-halo-128gb", 62.5),  # as the kernel sets it: half
        ((0.5, 120, 125), "strix-halo-128gb", 120),  # raised
        ((0.5, 140, 125), "strix-halo-128gb", 125),  # raised above what there is
        ((4, 60.5, 121), "strix-halo-128gb", 60.5),
        ((32, 47, 94), "strix-halo-128gb", 47),
        ((64, 31, 62), "strix-halo-128gb", 64),  # what the firmware set aside is more than the GTT
        ((96, 15.5, 31), "strix-halo-128gb", 96),
        ((0.5, 46.5, 93), "strix-halo-96gb", 46.5),
        ((48, 23, 46), "strix-halo-96gb", 48),
        ((0.5, 31, 62), "strix-halo-64gb", 31),
        ((32, 15, 30.5), "strix-halo-64gb", 32),
        ((0.5, 15, 30.5), "strix-halo-32gb", 15),
    ],
)
def test_the_machine_is_what_was_sold(tree, sizes_gib, name, limit_gib):
    """Its memory is that of the kernel and what the firmware set aside, whatever the GPU may take of it."""
    vram_gib, gtt_gib, memory_gib = sizes_gib
    files = gpu_files(0, vram=round(vram_gib * 1024), gtt=round(gtt_gib * 1024), **STRIX)
    (gpu,) = read(tree(PROCESSOR | files), memory_gib).gpus
    assert (name, True, round((vram_gib + memory_gib) * GIB), round(limit_gib * GIB)) == (
        machine_name((gpu,)),
        gpu.unified,
        gpu.memory_bytes,
        gpu.memory_limit_bytes,
    )


@pytest.mark.parametrize(
    ("own", "mapped", "available_gib", "free_mib"),
    [
        ((512, 100), (64000, 4000), 120, 60000),
        ((512, 100), (120 * 1024, 0), 30, 30 * 1024),  # other programs have filled the host
        ((98304, 1000), (15 * 1024, 500), 20, 97304),
        ((512, 600), (64000, 65000), 120, 0),
    ],
)
def test_free_memory(tree, own, mapped, available_gib, free_mib):
    """What the GPU maps comes out of the host's free memory; what was set aside for it does not."""
    files = gpu_files(0, vram=own[0], used=own[1], gtt=mapped[0], gtt_used=mapped[1], **STRIX)
    (gpu,) = read(tree(files), 125, available_gib).gpus
    assert free_mib * MIB == gpu.memory_free_bytes


@pytest.mark.parametrize(
    ("memory_gib", "pages"),
    [
        (125, 30720000),  # 117 GiB of 125.5
        (93, 22272000),
        (62, 14336000),
        (30.5, 6912000),
    ],
)
def test_a_narrow_limit_is_a_problem(tree, memory_gib, pages):
    """The kernel parameter is named with its pages of 4 KiB; an eighth, at most 8 GiB, is left to the system."""
    files = gpu_files(0, vram=512, gtt=round(memory_gib * 512), **STRIX)
    (problem,) = read(tree(PROCESSOR | files), memory_gib).problems
    assert f"may take {memory_gib / 2:,.1f} GiB of the {memory_gib + 0.5:,.1f} GiB it shares" in problem.what
    assert f"the kernel parameter ttm.pages_limit={pages} (" in problem.remedy
    assert "reboot" in problem.remedy
    assert "firmware" not in problem.remedy


@pytest.mark.parametrize(("device", "gfx"), [("0x150e", 110500), ("0x15bf", 110003), ("0x1681", 100305)])
def test_smaller_chips_have_the_same_limit(tree, device, gfx):
    """Strix Point, Phoenix and Rembrandt with 96 GB."""
    found = read(tree(PROCESSOR | gpu_files(0, vram=4096, gtt=45 * 1024, device=device, gfx=gfx)), 90)
    assert [(True, 45 * GIB)] == [(gpu.unified, gpu.memory_limit_bytes) for gpu in found.gpus]
    assert ["ttm.pages_limit=" in problem.remedy for problem in found.problems] == [True]


def test_a_raised_limit_is_no_problem(tree):
    """108 GiB of 128 GB is what people set."""
    assert () == read(tree(PROCESSOR | gpu_files(0, vram=512, gtt=108 * 1024, **STRIX)), 125).problems


def test_memory_set_aside_by_the_firmware(tree):
    """64 GB of 128: the kernel's limit helps once the firmware gives the memory back."""
    (problem,) = read(tree(PROCESSOR | gpu_files(0, vram=64 * 1024, gtt=31 * 1024, **STRIX)), 62).problems
    assert "with the GPU's own memory set to the smallest in the firmware" in problem.remedy
    assert problem.what.endswith(
        "may take 64.0 GiB of the 126.0 GiB it shares with the processor (the firmware's setting)."
    )


def test_the_older_parameter_is_named(tree):
    """Where amdgpu.gttsize is set, the newer parameter does nothing beside it."""
    files = gpu_files(0, vram=512, gtt=65536, **STRIX) | {GTTSIZE: "65536\n"}
    (problem,) = read(tree(PROCESSOR | files), 125).problems
    assert "instead of amdgpu.gttsize=65536, which is deprecated" in problem.remedy


@pytest.mark.parametrize("value", ["-1\n", "", "auto\n"])
def test_the_older_parameter_is_not_set(tree, value):
    """-1 is the driver's own choice."""
    files = gpu_files(0, vram=512, gtt=64000, **STRIX) | {GTTSIZE: value}
    (problem,) = read(tree(PROCESSOR | files), 125).problems
    assert "gttsize" not in problem.remedy


def test_the_older_parameter_above_what_the_kernel_hands_out(tree):
    """The driver warns of it: GTT size has been set as ... but TTM size has been set as ..., this is unusual."""
    files = gpu_files(0, vram=512, gtt=120 * 1024, **STRIX) | {GTTSIZE: "122880\n", PAGES: f"{62 * GIB // 4096}\n"}
    found = read(tree(PROCESSOR | files), 125, 120)
    assert [(62 * GIB, 62 * GIB)] == [(gpu.memory_limit_bytes, gpu.memory_free_bytes) for gpu in found.gpus]
    assert 1 == len(found.problems)


def test_the_driver_package_has_a_module_of_its_own(tree):
    """With AMD's own package (DKMS) the kernel's parameter is silently ignored."""
    files = gpu_files(0, vram=512, gtt=64000, **STRIX) | {"sys/module/amdttm/parameters/pages_limit": "16384000\n"}
    (problem,) = read(tree(PROCESSOR | files), 125).problems
    assert " amdttm.pages_limit=30720000 " in problem.remedy


@pytest.mark.parametrize("text", ["", "-1\n", "0\n", "many\n"])
def test_odd_page_limits_tell_nothing(tree, text):
    """The size of the GTT counts then."""
    files = gpu_files(0, vram=512, gtt=64000, **STRIX) | {PAGES: text}
    (gpu,) = read(tree(PROCESSOR | files), 125).gpus
    assert 64000 * MIB == gpu.memory_limit_bytes


def test_unknown_sizes(tree):
    """Neither the driver's files nor the host's memory can be read: unknown, and named."""
    files = {name: text for name, text in gpu_files(0, vram=512, gtt=64000, **STRIX).items() if "mem_info" not in name}
    found = read_amd(Host(), root=tree(PROCESSOR | files), environment={})
    assert [(None, None, None)] == [
        (gpu.memory_bytes, gpu.memory_free_bytes, gpu.memory_limit_bytes) for gpu in found.gpus
    ]
    assert ["memory could not be read" in problem.what for problem in found.problems] == [True]


def test_unknown_host(tree):
    """The two parts that the driver names are all that is known."""
    found = read_amd(Host(), root=tree(gpu_files(0, vram=512, gtt=64000, **STRIX)), environment={})
    assert [(64512 * MIB, 64000 * MIB)] == [(gpu.memory_bytes, gpu.memory_limit_bytes) for gpu in found.gpus]
