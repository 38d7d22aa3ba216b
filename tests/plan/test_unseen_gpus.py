"""A machine whose GPUs are not seen is told to mend that, and not to buy anything."""

from dataclasses import replace

import pytest

from seatrial.hardware import Host, Problem
from seatrial.hardware.named import named_machine
from seatrial.hardware.nvidia.problems import failed_start
from seatrial.plan import make_plan

LOST = failed_start({"code": 999, "text": "Unknown Error"}, Host(container=True), {})


@pytest.mark.parametrize("engine", ["auto", "llamacpp", "sglang", "vllm", "mlx"])
def test_gpus_that_are_not_seen_are_mended_first(engine):
    """The remedy of the problem stands where another machine or more memory would."""
    machine = replace(named_machine("cpu", 64), problems=(LOST,))
    plan = make_plan("flash", hardware=machine, engine=engine)
    assert "Start the container anew" in plan.smallest_change
    assert "another machine" not in plan.smallest_change
    assert "of host memory" not in plan.smallest_change


@pytest.mark.parametrize(
    "machine",
    [
        named_machine("cpu", 64),
        replace(named_machine("cpu", 64), problems=(Problem("The measured bandwidth is not used.", "Measure again."),)),
        replace(named_machine("l40sx1", 16), problems=(LOST,)),
    ],
)
def test_other_machines_get_the_usual_change(machine):
    """Without such a problem, and if some GPU is seen."""
    assert "Smallest change that fits" in make_plan("flash", hardware=machine).smallest_change
