"""Named machines: the names people may type, and the names refused with a reason."""

import psutil
import pytest

from seatrial.errors import UnknownNameError, UsageError
from seatrial.hardware import accelerators, detect_hardware
from seatrial.hardware.accelerators import Accelerator
from seatrial.hardware.named import named_machine
from seatrial.units import GB, GIB, MIB


def _sold_sizes(row: Accelerator) -> list[str]:
    if row.memory_gb is None:
        return []
    if row.memory_options_gb:
        return [f"{row.key}-{size}gb" for size in row.memory_options_gb]
    return [f"{row.key}x{count}" for count in sorted({1, row.gpus_per_node_max})]


@pytest.mark.parametrize("name", [name for row in accelerators().values() for name in _sold_sizes(row)])
def test_every_listed_machine_can_be_named(name):
    """Each accelerator, alone and as many as one machine holds, keeps its name and its memory."""
    hardware = detect_hardware(name)
    assert name == hardware.name
    assert "assumed" == hardware.origin
    assert all(gpu.memory_bytes for gpu in hardware.gpus)


@pytest.mark.parametrize(
    ("name", "count", "memory_bytes", "bandwidth", "architecture"),
    [
        ("h100x8", 8, 81559 * MIB, 3350e9, "9.0"),
        ("rtx4090x2", 2, 24564 * MIB, 1008e9, "8.9"),
        ("gb300x4", 4, 284208 * MIB, 8000e9, "10.3"),
        ("mi300xx8", 8, 196592 * MIB, 5300e9, "gfx942"),
        ("a100-80gbx8", 8, 81920 * MIB, 2039e9, "8.0"),
        ("rtxpro6000x4", 4, 97887 * MIB, 1792e9, "12.0"),
        ("rtx4060ti-16gbx1", 1, 16380 * MIB, 288e9, "8.9"),
        ("dgx-station-gb300x1", 1, 252 * 10**9, None, "10.3"),
        ("mi350xx8", 8, 288 * 10**9, 8000e9, "gfx950"),
    ],
)
def test_memory_is_what_the_driver_shows_or_else_what_is_marketed(name, count, memory_bytes, bandwidth, architecture):
    """Plans rest on these figures."""
    hardware = detect_hardware(name)
    found = {(gpu.memory_bytes, gpu.bandwidth_bytes_per_s, gpu.compute_capability) for gpu in hardware.gpus}
    assert {(memory_bytes, bandwidth, architecture)} == found
    assert count == len(hardware.gpus)
    assert hardware.host.memory_bytes is None


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("m3-ultra-512gb", 512 * GIB),
        ("m5-max-128gb", 137_438_953_472),
        ("strix-halo-128gb", 128 * GB),
        ("gb10x1", 128 * GB),
    ],
)
def test_unified_memory_is_shared_with_the_host(name, size):
    """One memory, counted once: the GPU's is the host's. Apple's sizes are binary, as sysctl hw.memsize shows them."""
    hardware = detect_hardware(name)
    assert [size] == [gpu.memory_bytes for gpu in hardware.gpus]
    assert size == hardware.host.memory_bytes
    assert all(gpu.unified for gpu in hardware.gpus)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("h100", "h100x1"),
        ("H100x8", "h100x8"),
        ("mi300x", "mi300xx1"),
        ("mi355x8", "mi355xx8"),
        ("mi300xx8", "mi300xx8"),
        ("gb10", "gb10x1"),
        ("M3-Ultra-96GB", "m3-ultra-96gb"),
        ("dgx-spark", "gb10x1"),
        ("DGX-Station", "dgx-station-gb300x1"),
        ("dgx-stationx1", "dgx-station-gb300x1"),
    ],
)
def test_case_and_a_missing_count_do_not_matter(typed, name):
    """``h100`` is one of them; eight of mi355x need no second x."""
    assert name == detect_hardware(typed).name


def test_different_accelerators_in_one_machine():
    """A person can type the name under which a mixed machine is detected."""
    hardware = detect_hardware("h100x4+l40sx1")
    assert "h100x4+l40sx1" == hardware.name
    assert ["h100"] * 4 + ["l40s"] == [gpu.accelerator for gpu in hardware.gpus]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("h100x0", "asks for 0"),
        ("h100x1000000000", "1,000,000,000"),
        ("h100x99999999999999999999999", "at most 16"),
        ("gb200x8", "at most 4"),
        ("h100x16+l40sx16", "asks for 32"),
        ("gb10x2", "at most 1"),
        ("m5-max-128gbx2", "at most 1"),
        ("m3-ultra-500gb", "never sold with 500 GB"),
        ("m3-ultra", "sizes are 96, 256, 512 GB"),
        ("gb10-64gb", "has 128 GB, not 64"),
        ("m4-ultra", "never released"),
        ("m4-ultra-512gb", "never released"),
        ("m5-ultra-768gb", "never released"),
        ("gb10x1+h100x1", "no such machine"),
    ],
)
def test_machines_that_do_not_exist_are_refused_with_the_number(name, words):
    """The message holds what was asked for and what there is."""
    with pytest.raises(UsageError) as caught:
        detect_hardware(name)
    assert words in caught.value.what
    assert caught.value.remedy
    assert 2 == caught.value.exit_code


@pytest.mark.parametrize(
    "name",
    ["", "x", "x8", "h100xx8", "h100x", "h100x-1", "h100x1.5", "h100x\uff18", "\uff48100", "rtx9999", "h100 x8", "h100x8x8", "h100+", "+",
     "h100-80gb", "cpux2", "../h100", "h100\n", "h100\x1b[31m", "9" * 5000, "h100x" + "9" * 5000, "a" * 256_000],
)  # fmt: skip
def test_unknown_names_are_refused_with_known_ones(name):
    """Nothing is guessed; the remedy names machines that exist."""
    with pytest.raises(UnknownNameError) as caught:
        detect_hardware(name)
    assert any(known in caught.value.remedy for known in [*accelerators(), "cpu"])
    assert len(str(caught.value)) < 500


def test_a_near_miss_names_the_nearest():
    """``a100`` is two machines; both are offered."""
    with pytest.raises(UnknownNameError) as caught:
        detect_hardware("a100")
    assert {"a100-80gb", "a100-40gb"} <= set(caught.value.nearest)


def test_host_memory_of_a_named_machine():
    """A person gives GiB, the description has bytes."""
    assert 192 * GIB == detect_hardware("rtx3090x2", host_memory_gib=192).host.memory_bytes


@pytest.mark.parametrize("size", [0, -1, float("nan"), float("inf"), 1e9])
def test_absurd_host_memory_is_refused(size):
    """No plan is made with it."""
    with pytest.raises(UsageError, match="makes no sense"):
        detect_hardware("h100x8", host_memory_gib=size)


def test_host_memory_beside_unified_memory_contradicts():
    """The name gives the size already."""
    with pytest.raises(UsageError, match="one memory"):
        detect_hardware("m3-ultra-512gb", host_memory_gib=64)


def test_cpu_is_this_machine_without_accelerators():
    """Its memory is that of the host, and the source names this machine."""
    hardware = detect_hardware("cpu")
    assert () == hardware.gpus
    assert psutil.virtual_memory().total == hardware.host.memory_bytes
    assert "this machine" in hardware.source


def test_cpu_with_a_given_memory_is_a_described_machine():
    """Nothing of this machine counts then."""
    hardware = detect_hardware("cpu", host_memory_gib=24)
    assert (24 * GIB, None, "assumed") == (hardware.host.memory_bytes, hardware.host.cpu, hardware.origin)


def test_cpu_is_a_name_that_needs_no_detection():
    """Its host memory is the given one, or unknown; ``auto`` needs a detection."""
    assert (None, "assumed") == (named_machine("cpu").host.memory_bytes, named_machine("CPU").origin)
    assert detect_hardware("cpu", host_memory_gib=24) == named_machine("cpu", 24)
    with pytest.raises(UsageError, match="auto is this machine"):
        named_machine("auto")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("gb10x2", "--hardware gb10 --nodes 2."),
        ("dgx-sparkx4", "--hardware dgx-spark --nodes 4."),
        ("gb200x8", "--nodes."),
    ],
)
def test_more_than_a_machine_has_is_told_with_how_to_write_it(name, remedy):
    """Two DGX Spark are two machines of one GPU each."""
    with pytest.raises(UsageError) as caught:
        detect_hardware(name)
    assert caught.value.remedy.endswith(remedy)
