"""Load of an Apple GPU: what ioreg prints, in the form of public reports; run on no Mac."""

import pytest

from seatrial.hardware.apple_telemetry import AppleTelemetry, parse_ioreg
from seatrial.hardware.gpu_reading import GpuReading

STATISTICS = (
    '"PerformanceStatistics" = {"In use system memory (driver)"=0,"Alloc system memory"=52967440384,'
    '"Tiler Utilization %"=10,"Device Utilization %"=16,"In use system memory"=2363801600}'
)
LISTED = f"+-o AGXAcceleratorG15X  <class AGXAcceleratorG15X, id 0x1>\n    {{\n      {STATISTICS}\n    }}\n"


def test_memory_and_utilization():
    """By their exact names: the driver's own memory is another figure."""
    assert [GpuReading(2363801600, 0.16)] == parse_ioreg(LISTED)


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("", []),
        ("ioreg: error\n", []),
        (LISTED[:150], []),
        ('"PerformanceStatistics" = {}', []),
        ('"PerformanceStatistics" = {"Device Utilization %"=101}', []),
        ('"PerformanceStatistics" = {"Device Utilization %"=-3}', []),
        ('"PerformanceStatistics" = {"Device Utilization %"=7}', [GpuReading(None, 0.07)]),
        ('"PerformanceStatistics" = {"In use system memory"=5,"Device Utilization %"=999}', [GpuReading(5, None)]),
    ],
)
def test_odd_output(text, readings):
    """What is not there or cannot be right is unknown."""
    assert readings == parse_ioreg(text)


def test_what_only_root_may_read_has_a_reason(monkeypatch, tmp_path):
    """Power, temperature and clock; and that there is no ioreg."""
    monkeypatch.setenv("PATH", str(tmp_path))
    telemetry = AppleTelemetry()
    assert [] == telemetry.read()
    missing = telemetry.missing.reasons()
    assert "macOS tells it to root only (powermetrics) (GPU 0)" == missing["power_w"]
    assert "ioreg could not be run (FileNotFoundError)" == missing[""]
