"""What an engine refuses is said once, of what is there."""

import pytest

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
@pytest.mark.parametrize("machine", ["cpu", "m3-ultra-512gb"])
def test_a_machine_without_such_gpus_is_not_told_of_their_kind(engine, machine):
    """That there is no GPU is the reason; "this GPU is of unknown kind" beside it would contradict it."""
    plan = make_plan("flash", hardware=detect_hardware(machine), engine=engine)
    texts = [reason.text for reason in plan.reasons]
    assert "refused" == plan.verdict
    assert any("this machine has none" in text for text in texts)
    assert not any("this GPU" in text for text in texts)


@pytest.mark.parametrize("engine", ["sglang", "vllm"])
def test_an_older_generation_is_still_refused(engine):
    """A GPU that is there and too old is named by its architecture."""
    plan = make_plan("flash", hardware=detect_hardware("rtx4090x8"), engine=engine)
    assert any("this GPU is 8.9" in reason.text for reason in plan.reasons)
