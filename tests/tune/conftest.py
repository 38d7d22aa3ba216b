"""Plans of the simulator: a race needs a plan and an installed program, not a model."""

import pytest

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan


@pytest.fixture
def plan_for():
    """Return a function that makes the simulator's plan for a number of requests at once."""
    hardware = detect_hardware()

    def made(streams):
        return make_plan("smollm2", hardware=hardware, engine="simulated", concurrency=streams)

    return made
