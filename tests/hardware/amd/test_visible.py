"""The variables that show ROCm only some GPUs, entry by entry as ROCr and HIP read them."""

import pytest
from tests.amdgpu_files import PROCESSOR, gpu_files

from seatrial.hardware.amd.cards import cards
from seatrial.hardware.amd.visible import visible_cards

UUIDS = (0x18F2A3B4C5D6E7F8, 0x18F2A3B4C5D6E7F9, 0x00AB, 0)


@pytest.fixture
def four(tree):
    """Return four GPUs; the first two UUIDs differ in the last digit, and the last GPU has none."""
    files = dict(PROCESSOR)
    for number, uuid in enumerate(UUIDS):
        files |= gpu_files(number, vram=24560, gtt=32000, device="0x744c", gfx=110000, uuid=uuid)
    return cards(tree(files))


def left(four, **environment):
    """Return the numbers of the GPUs left by the variables."""
    return [four.index(card) for card in visible_cards(four, environment).cards]


def test_uuids(four):
    """Sixteen hexadecimal digits, as rocminfo prints them; none for a chip without a number."""
    assert ["GPU-18f2a3b4c5d6e7f8", "GPU-18f2a3b4c5d6e7f9", "GPU-00000000000000ab", None] == [
        card.uuid for card in four
    ]


@pytest.mark.parametrize(("text", "uuid"), [("00AB\n", "GPU-00000000000000ab"), ("none\n", None), ("", None)])
def test_a_uuid_of_the_display_driver(tree, text, uuid):
    """Without KFD's number, that of the device's own file."""
    files = gpu_files(0, vram=24560, gtt=32000, gfx=None) | {"sys/class/drm/card0/device/unique_id": text}
    assert uuid == cards(tree(files))[0].uuid


@pytest.mark.parametrize(
    ("setting", "numbers"),
    [
        ("0", [0]),
        ("2,0", [2, 0]),
        (" 1 , 3", [1, 3]),
        ("", []),
        ("-1", []),
        ("1,-1,2", [1]),
        ("1,9,2", [1]),
        ("1,1,2", [1]),  # a repetition ends the list
        ("1,x,2", [1]),
        ("1,,2", [1]),
        ("0x2,01", [2, 1]),  # as strtol reads numbers
        ("1.0", []),
        ("GPU-18f2a3b4c5d6e7f9", [1]),
        ("gpu-18F2A3B4C5D6E7F9,2", [1, 2]),
        ("GPU-18f2a3b4c5d6e7", []),  # two begin so
        ("GPU-00", [2]),
        ("GPU-", []),
        ("GPU-18f2a3b4c5d6e7f90", []),
        ("GPU-XX", []),  # no UUID names a GPU without one
        ("0,1,2,3,0", [0, 1, 2, 3]),  # no more entries are read than there are GPUs
        ("9" * 5000, []),
    ],
)
def test_rocr(four, setting, numbers):
    """The list ends at the first entry that is invalid or a repetition; a UUID may be cut short, in any case."""
    assert numbers == left(four, ROCR_VISIBLE_DEVICES=setting)


@pytest.mark.parametrize("name", ["HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"])
@pytest.mark.parametrize(
    ("setting", "numbers"),
    [
        ("0", [0]),
        ("2,0", [2, 0]),
        ("", [0, 1, 2, 3]),  # as if it were not set
        ("-1", []),
        ("1,-1,2", [1]),
        ("1,9,2", [1]),
        ("1,1,2", [1, 2]),  # a repetition counts once
        ("1, 2", [1]),  # a blank makes an entry invalid
        ("01", []),
        ("1,", [1]),
        ("GPU-18f2a3b4c5d6e7f9,0", [1, 0]),
        ("GPU-18f2", [0]),  # the first of those that begin so
        ("GPU-18F2", []),
        ("GPU-XX", [3]),
        ("NoDevFiles", []),
        ("٣", []),
        ("9" * 5000, []),
    ],
)
def test_hip(four, name, setting, numbers):
    """The list ends at the first invalid entry."""
    assert numbers == left(four, **{name: setting})


def test_hip_counts_what_rocr_leaves(four):
    """GPUs 3 and 1 are left, and the second of them is wanted."""
    assert [1] == left(four, ROCR_VISIBLE_DEVICES="3,1", HIP_VISIBLE_DEVICES="1")


def test_one_after_another(four):
    """Each variable counts what the one before it leaves."""
    assert [3] == left(four, ROCR_VISIBLE_DEVICES="3,2,1", HIP_VISIBLE_DEVICES="2,0", GPU_DEVICE_ORDINAL="1")


@pytest.mark.parametrize(("hip", "numbers"), [("2", [2]), ("", [1]), ("-1", [])])
def test_hips_own_variable_comes_before_cudas(four, hip, numbers):
    """An empty one is taken for unset."""
    assert numbers == left(four, HIP_VISIBLE_DEVICES=hip, CUDA_VISIBLE_DEVICES="1")


def test_no_variable(four):
    """Every GPU is visible, and none of the variables had a say."""
    assert ([0, 1, 2, 3], ()) == (left(four), visible_cards(four, {"PATH": "/bin"}).settings)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "0,1,2,3"),
        ({"HIP_VISIBLE_DEVICES": "2,0"}, "2,0"),
        ({"ROCR_VISIBLE_DEVICES": "2,0"}, "0,1"),  # HIP counts what ROCr leaves
        ({"GPU_DEVICE_ORDINAL": "2,0"}, "2,0"),
        ({"GPU_DEVICE_ORDINAL": "-1"}, "-1"),
        ({"ROCR_VISIBLE_DEVICES": "3,1", "GPU_DEVICE_ORDINAL": "1"}, "1"),
    ],
)
def test_what_shows_hip_the_same(four, environment, said):
    """Numbers as HIP counts."""
    visible = visible_cards(four, environment)
    assert f"HIP_VISIBLE_DEVICES={said}" == visible.variable_for(visible.cards)
