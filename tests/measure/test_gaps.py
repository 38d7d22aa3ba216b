"""What telemetry lacks is said, and that a server began anew."""

import pytest

from seatrial.measure.gaps import missing_readings, restarts
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


@pytest.mark.parametrize("counts", [[], [5], [5, 5, 9], [None, None], [5, None, 6], [0, 0]])
def test_counts_that_grow(counts):
    """A server that is one and the same counts upwards."""
    assert [] == restarts([sample(at, generated_tokens=count) for at, count in enumerate(counts)])


@pytest.mark.parametrize(
    "name", ["generated_tokens", "prompt_tokens", "cached_tokens", "accepted_tokens", "preemptions"]
)
def test_a_count_that_goes_back(name):
    """Also after a reading that is missing; said once."""
    samples = [sample(float(at), **{name: count}) for at, count in enumerate([1200, None, 3, 900, 2])]
    (said,) = restarts(samples)
    assert said.startswith(
        "The server began anew during the measurement, or several answer at its address: its count of "
    )
    assert said.endswith(" fell from 1,200 to 3 after 2 s.")
