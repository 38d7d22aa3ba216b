"""The accelerator data: complete, sourced, and matched by what drivers report."""

import datetime as dt

import pytest

from seatrial.hardware import accelerators
from seatrial.hardware.accelerators import match_architecture, match_driver_name
from seatrial.units import MIB


def test_every_value_has_a_source():
    """A figure without a source is not a fact."""
    sourced = ("memory_gb", "reported_mib", "bandwidth_gb_s", "architecture", "memory_options_gb")
    bare = [
        (row.key, field)
        for row in accelerators().values()
        for field in sourced
        if getattr(row, field) is not None and not row.source.get(field)
    ]
    bare += [
        (row.key, "dense_tflops")
        for row in accelerators().values()
        if _rates(row) and not row.source.get("dense_tflops")
    ]
    assert [] == bare


def _rates(row):
    return [rate for rate in (row.dense_tflops.bf16, row.dense_tflops.fp8, row.dense_tflops.fp4) if rate]


def test_each_accelerator_was_checked_on_a_day():
    """The list is dated, row by row."""
    for row in accelerators().values():
        assert row.checked == dt.date.fromisoformat(row.checked).isoformat()


def test_vendors_and_keys_are_plain():
    """Keys are what people type: lower case, no spaces."""
    assert {"nvidia", "amd", "apple"} == {row.vendor for row in accelerators().values()}
    assert [key for key in accelerators() if key != key.lower() or " " in key] == []


@pytest.mark.parametrize(
    ("name", "mib", "key"),
    [
        ("NVIDIA H100 80GB HBM3", 81559, "h100"),
        ("NVIDIA H200", 143771, "h200"),
        ("NVIDIA GeForce RTX 4090", 24564, "rtx4090"),
        ("NVIDIA A100-SXM4-40GB", 40960, "a100-40gb"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887, "rtxpro6000"),
        ("NVIDIA GeForce RTX 4060 Ti", 16380, "rtx4060ti-16gb"),
        ("AMD Instinct MI355X", 294896, "mi355x"),
    ],
)
def test_driver_names_find_their_accelerator(name, mib, key):
    """What a driver reports leads to the row with bandwidth and rates."""
    assert key == match_driver_name(name, mib * MIB).key


@pytest.mark.parametrize(("name", "mib"), [("NVIDIA GeForce RTX 4060 Ti", 8188), ("NVIDIA H100 NVL", 95830)])
def test_a_sibling_with_other_memory_is_not_mistaken(name, mib):
    """The 8 GB card of the same name, and the 94 GB H100, are not listed."""
    assert match_driver_name(name, mib * MIB) is None


def test_a_lost_memory_reading_does_not_hide_the_accelerator():
    """The name is enough if the memory could not be read."""
    assert match_driver_name("NVIDIA H100 80GB HBM3", None).key == "h100"


def test_amd_is_distinguished_by_memory_or_device_id():
    """gfx942 is MI300X or MI325X; gfx950 with 288 GB could be two, so neither is claimed."""
    assert match_architecture("gfx942", 196592 * MIB).key == "mi300x"
    assert match_architecture("gfx942", 262128 * MIB, "0x74a5").key == "mi325x"
    assert match_architecture("gfx950", 294896 * MIB) is None
    assert match_architecture(None, 8 << 30) is None
