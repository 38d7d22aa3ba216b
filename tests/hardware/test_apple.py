"""Apple chips, from the output of system_profiler and sysctl."""

import pytest

from seatrial.hardware.apple import parse_profile
from seatrial.hardware.named import machine_name
from seatrial.hardware.types import WIRED_LIMIT, Host
from seatrial.units import GIB

PROFILE = """{
  "SPDisplaysDataType" : [
    {
      "_name" : "Apple M3 Ultra",
      "spdisplays_metal" : "spdisplays_supported",
      "spdisplays_vendor" : "sppci_vendor_Apple",
      "sppci_bus" : "spdisplays_builtin",
      "sppci_cores" : "80",
      "sppci_device_type" : "spdisplays_gpu",
      "sppci_model" : "Apple M3 Ultra"
    }
  ]
}"""
INTEL = '{"SPDisplaysDataType": [{"sppci_model": "Intel Iris Pro"}, {"sppci_bus": "no name at all"}]}'


def test_m3_ultra():
    """One GPU that shares the host's memory, with its bandwidth."""
    host = Host(memory_bytes=512 * GIB, memory_available_bytes=480 * GIB)
    gpus = parse_profile(PROFILE, "Apple M3 Ultra", host)
    assert "m3-ultra-512gb" == machine_name(gpus)
    assert [("Apple M3 Ultra", "apple", "m3-ultra", 512 * GIB, 480 * GIB, 819e9, True)] == [
        (g.name, g.vendor, g.accelerator, g.memory_bytes, g.memory_free_bytes, g.bandwidth_bytes_per_s, g.unified)
        for g in gpus
    ]


@pytest.mark.parametrize(
    "profile", ["", "not JSON", "[]", '{"SPDisplaysDataType": []}', '{"SPDisplaysDataType": ["x"]}']
)
def test_the_processor_stands_in_for_a_profile_that_cannot_be_read(profile):
    """Sysctl names the same chip."""
    assert ["m4-max"] == [gpu.accelerator for gpu in parse_profile(profile, "Apple M4 Max", Host())]


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("114688", 112 * GIB),
        ("0", None),
        ("", None),
        ("-1", None),
        ("1e5", None),
        ("\u0661", None),
        ("9" * 30, 128 * GIB),
    ],
)
def test_the_limit_that_is_set_is_read(said, limit):
    """In MiB, at most the memory there is; 0 and what is no number leave the limit to macOS."""
    gpus = parse_profile("", "Apple M5 Max", Host(memory_bytes=128 * GIB), said)
    assert [(limit, WIRED_LIMIT)] == [(gpu.memory_limit_bytes, gpu.limit_setting) for gpu in gpus]


def test_an_unlisted_chip_keeps_its_name():
    """A base M1 has no row; its memory is known all the same."""
    gpus = parse_profile("", "Apple M1", Host(memory_bytes=8 * GIB))
    assert ("apple-m1x1", None, 8 * GIB) == (machine_name(gpus), gpus[0].accelerator, gpus[0].memory_bytes)


def test_an_intel_mac_has_no_usable_gpu():
    """Models run on its CPU."""
    assert () == parse_profile(INTEL, "Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz", Host())
