"""AMD GPUs on a made-up sysfs, laid out as the amdgpu driver lays it out."""

import pytest

from seatrial.hardware.amd import read_amd
from seatrial.units import GIB, MIB

IDS = "# List of AMDGPU IDs\n1.0.0\n74A1,\t00,\tAMD Instinct MI300X\n1586,\tC1,\tAMD Radeon Graphics\n"


INSTINCT = {"device_id": "0x74a1", "vram": 196592, "used": 300, "gtt": 1024, "gfx": 90402}


def card(number, node=None, **values):
    """Write out one GPU: its device folder and its node in the KFD topology; memory in MiB."""
    values = INSTINCT | values
    device = f"sys/class/drm/card{number}/device"
    nodes = f"sys/class/kfd/kfd/topology/nodes/{number + 1 if node is None else node}"
    return {
        f"{device}/vendor": "0x1002\n",
        f"{device}/device": f"{values['device_id']}\n",
        f"{device}/revision": "0x00\n",
        f"{device}/mem_info_vram_total": f"{values['vram'] * MIB}\n",
        f"{device}/mem_info_vram_used": f"{values['used'] * MIB}\n",
        f"{device}/mem_info_gtt_total": f"{values['gtt'] * MIB}\n",
        f"{device}/mem_info_gtt_used": "0\n",
        f"{device}/drm/renderD{128 + number}/dev": "226:128\n",
        f"{nodes}/properties": f"simd_count 8\ngfx_target_version {values['gfx']}\ndrm_render_minor {128 + number}\n",
    }


CPU_NODE = {"sys/class/kfd/kfd/topology/nodes/0/properties": "cpu_cores_count 48\ngfx_target_version 0\n"}
DRIVER = {"sys/module/amdgpu/version": "6.12.12\n", "usr/share/libdrm/amdgpu.ids": IDS}


def test_eight_mi300x(tree):
    """Names by libdrm's list, architecture by KFD, memory by the driver, the rest by the data file."""
    files = CPU_NODE | DRIVER
    for number in range(8):
        files |= card(number)
    gpus, driver, problems = read_amd(tree(files))
    assert (8, "6.12.12", ()) == (len(gpus), driver, problems)
    assert ("AMD Instinct MI300X", "mi300x", "gfx942", 196592 * MIB, 196292 * MIB, 5300e9) == (
        gpus[0].name,
        gpus[0].accelerator,
        gpus[0].compute_capability,
        gpus[0].memory_bytes,
        gpus[0].memory_free_bytes,
        gpus[0].bandwidth_bytes_per_s,
    )


def test_product_name_of_the_board_wins(tree):
    """The firmware's name comes before libdrm's list."""
    root = tree(
        card(0, device_id="0x75a3", vram=294896, gfx=90500)
        | {"sys/class/drm/card0/device/product_name": "AMD Instinct MI355X\n"}
    )
    assert [("AMD Instinct MI355X", "mi355x", "gfx950")] == [
        (gpu.name, gpu.accelerator, gpu.compute_capability) for gpu in read_amd(root)[0]
    ]


def test_without_a_name_memory_and_device_id_decide(tree):
    """MI325X is gfx942 with 256 GB."""
    gpus, _, _ = read_amd(tree(card(0, device_id="0x74a5", vram=262128)))
    assert [("Instinct MI325X", "mi325x")] == [(gpu.name, gpu.accelerator) for gpu in gpus]


def test_strix_halo_reaches_host_memory(tree):
    """An APU's own memory is small; the memory it may map counts too."""
    gpus, _, _ = read_amd(tree(card(0, device_id="0x1586", vram=512, gtt=120 * 1024, used=100, gfx=110501)))
    gpu = gpus[0]
    assert ("strix-halo", True, "gfx1151") == (gpu.accelerator, gpu.unified, gpu.compute_capability)
    assert (512 + 120 * 1024) * MIB == gpu.memory_bytes
    assert (412 + 120 * 1024) * MIB == gpu.memory_free_bytes


def test_an_unlisted_card_keeps_its_readings(tree):
    """A consumer card: its memory and architecture, no rates."""
    gpus, _, _ = read_amd(tree(card(1, device_id="0x744c", vram=24560, gfx=110000)))
    gpu = gpus[0]
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
    gpus, _, _ = read_amd(tree(card(0, gfx=version)))
    assert [name] == [gpu.compute_capability for gpu in gpus]


def test_order_is_that_of_the_compute_topology(tree):
    """Engines number GPUs as KFD does, not as the display driver does."""
    files = card(0, device_id="0x74a5", vram=262128, node=2) | card(1, node=1)
    assert ["mi300x", "mi325x"] == [gpu.accelerator for gpu in read_amd(tree(files))[0]]


def test_other_vendors_and_connectors_are_no_gpus(tree):
    """An Intel GPU and a display connector are left out."""
    root = tree(
        {"sys/class/drm/card0/device/vendor": "0x8086\n", "sys/class/drm/card0-HDMI-A-1/device/vendor": "0x1002\n"}
    )
    assert ((), None, ()) == read_amd(root)


def test_no_amd_gpu_at_all(tmp_path):
    """Nothing is found and nothing is wrong."""
    assert ((), None, ()) == read_amd(tmp_path)


def test_no_compute_driver_is_a_problem(tree):
    """Typical of a container without /dev/kfd."""
    files = {name: text for name, text in card(0).items() if "kfd" not in name}
    gpus, _, problems = read_amd(tree(files))
    assert 1 == len(gpus)
    assert [True] == ["KFD" in problem.what for problem in problems]


def test_unreadable_memory_is_unknown_and_named(tree):
    """The card stays in the list."""
    files = {name: text for name, text in card(0).items() if "vram_total" not in name}
    gpus, _, problems = read_amd(tree(files))
    assert [None] == [gpu.memory_bytes for gpu in gpus]
    assert [True] == ["memory could not be read" in problem.what for problem in problems]


def test_a_big_card_is_no_apu(tree):
    """192 GiB of its own beside 1 TiB of mappable host memory: listed, so not unified."""
    gpus, _, _ = read_amd(tree(card(0, gtt=1024 * 1024)))
    assert (False, True) == (gpus[0].unified, gpus[0].memory_bytes > 190 * GIB)
