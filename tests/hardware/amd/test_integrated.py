"""A card or a GPU inside a processor: what the kernel says about the chip decides, and no figure of the machine does."""

import ast
import datetime as dt
import json
from pathlib import Path

import pytest
from tests.amdgpu_files import PROCESSOR, gpu_files

import seatrial
from seatrial.hardware import accelerators
from seatrial.hardware.amd import cards, is_integrated, serving
from seatrial.hardware.amd.integrated import chips

LIBRARY = Path(seatrial.__file__).parent
CARDS = [("0x744c", 110000), ("0x7551", 120001), ("0x73bf", 100300), ("0x74a1", 90402), ("0x9999", 130000)]
INSIDE = [
    ("0x164e", 100306),
    ("0x13c0", 100306),
    ("0x1681", 100305),
    ("0x15bf", 110003),
    ("0x150e", 110500),
    ("0x1586", 110501),
    ("0x1638", 90012),
    ("0x9999", 110502),  # a later model of a known architecture
]
METRICS = "sys/class/drm/card0/device/gpu_metrics"
SIZES = [(512, 62 * 1024), (20464, 53248), (24560, 64204), (98304, 15 * 1024), (32768, 96256), (16368, 16368)]


def only(root):
    """Return the machine's only GPU."""
    (card,) = cards(root)
    return card


@pytest.mark.parametrize(("vram", "gtt"), SIZES)
@pytest.mark.parametrize(("device", "gfx"), CARDS)
def test_a_card_stays_a_card(tree, device, gfx, vram, gtt):
    """Whatever its memory is beside that of the host."""
    root = tree(PROCESSOR | gpu_files(0, vram=vram, gtt=gtt, device=device, gfx=gfx))
    assert not is_integrated(only(root))


@pytest.mark.parametrize(("vram", "gtt"), SIZES)
@pytest.mark.parametrize(("device", "gfx"), INSIDE)
def test_a_gpu_inside_a_processor_stays_one(tree, device, gfx, vram, gtt):
    """Also if the firmware gives it more than the kernel lets it map."""
    root = tree(PROCESSOR | gpu_files(0, vram=vram, gtt=gtt, device=device, gfx=gfx))
    assert is_integrated(only(root))


@pytest.mark.parametrize("device", [device for chip in chips() for device in chip.pci_device_ids])
def test_the_device_id_is_enough(tree, device):
    """In a container without /dev/kfd there is no architecture."""
    root = tree(gpu_files(0, vram=512, gtt=1024, device=device.upper().replace("0X", "0x"), gfx=None))
    assert is_integrated(only(root))


@pytest.mark.parametrize(
    ("header", "integrated"),
    [
        (b"\x78\x00\x01\x03", False),  # cards
        (b"\x78\x00\x02\x03", True),
        (b"\x08\x01\x03\x00", True),  # Strix Point and later
        (b"\x78\x00", False),
        (b"", False),
    ],
)
def test_a_chip_that_is_not_listed_yet(tree, header, integrated):
    """The driver's table of readings has another revision for chips with processor cores."""
    root = tree(PROCESSOR | gpu_files(0, vram=512, gtt=64_000, device="0x9999", gfx=130100))
    (root / METRICS).write_bytes(header + b"\xff" * 16)
    assert integrated == is_integrated(only(root))


def test_one_node_with_cores_and_gpu(tree):
    """Older drivers list both as one node of the topology."""
    root = tree(gpu_files(0, vram=512, gtt=64_000, device="0x9999", gfx=80100, cpu_cores=4))
    assert is_integrated(only(root))


def test_no_listed_accelerator_contradicts_the_chips():
    """Of AMD's accelerators those with unified memory are the chips of the list."""
    known = {chip.architecture for chip in chips()}
    rows = [row for row in accelerators().values() if row.vendor == "amd"]
    assert [row.unified_memory for row in rows] == [row.architecture in known for row in rows]


def test_the_list_has_a_source_and_a_day():
    """Facts are data, with where they come from."""
    document = json.loads((LIBRARY / "hardware/amd/chips.json").read_text())
    assert document["source"]
    assert document["checked"] == dt.date.fromisoformat(document["checked"]).isoformat()
    ids = [device for chip in chips() for device in chip.pci_device_ids]
    assert sorted(ids) == sorted({device.casefold() for device in ids})


@pytest.mark.parametrize(
    ("gfx", "serves"), [(100306, False), (100307, False), (110003, True), (110500, True), (110501, True), (90012, True)]
)
def test_which_serve_alone(tree, gfx, serves):
    """Two compute units show a desktop; eight and more are worth the layers."""
    found = cards(tree(PROCESSOR | gpu_files(0, vram=512, gtt=64_000, device="0x9999", gfx=gfx)))
    assert serves == bool(serving(found, beside_cards=False))
    assert [] == serving(found, beside_cards=True)


# Where a GPU's memory is called unified, by what the vendor's driver or the data file says of the chip.
DECIDES = {"hardware/accelerators.py", "hardware/amd/read.py", "hardware/apple.py", "hardware/nvidia/gpus.py"}
READS_GTT = {"hardware/amd/shared_memory.py"}


def modules():
    """Return the syntax tree of each module of the library, by its path."""
    return {str(path.relative_to(LIBRARY)): ast.parse(path.read_text()) for path in LIBRARY.rglob("*.py")}


def test_no_other_place_decides_what_a_gpu_is():
    """A new place that sets ``unified`` fails here: it has to ask ``is_integrated``, or the vendor's driver."""
    setting = {
        name
        for name, tree in modules().items()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"Gpu", "replace", "dataclasses.replace"}
        for keyword in call.keywords
        if keyword.arg == "unified"
    }
    assert DECIDES == setting


def test_no_other_place_compares_with_what_a_gpu_may_map():
    """Only the module that sums shared memory reads the size of the GTT, so nothing can be inferred from it elsewhere."""
    reading = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr) and "mem_info" in (text := ast.unparse(node))
        if "vram" not in text
    }
    assert READS_GTT == reading
