"""What telemetry lacks is said, with its reason."""

import pytest

from seatrial.measure.gaps import missing_readings
from seatrial.measure.types import Sample

REASONS = {"cpu_share": "no process", "gpu_power_w": "NVML says Not Supported (GPU 1)", "gpu_throttle": "not told"}


def sample(at_s=0.0, **readings):
    """Return a sample with these readings."""
    return Sample(at_s, 0, **readings)


@pytest.mark.parametrize(
    ("samples", "missing"),
    [
        ([], REASONS),
        ([sample()], REASONS),
        ([sample(cpu_share=0.0, gpu_power_w=(70.0, 0.0), gpu_throttle=("", ""))], {}),
        ([sample(), sample(cpu_share=1.0), sample()], REASONS | {"cpu_share": None}),
        ([sample(gpu_power_w=(70.0, None)), sample(gpu_power_w=(None, None))], REASONS),
        ([sample(gpu_power_w=(70.0, None)), sample(gpu_power_w=(None, 70.0))], REASONS | {"gpu_power_w": None}),
    ],
)
def test_a_reading_that_no_sample_has(samples, missing):
    """Zero and "not held down" are readings; each GPU needs one."""
    assert {name: why for name, why in missing.items() if why} == missing_readings(samples, REASONS)
