"""The real engine, tuned for a few seconds."""

import pytest

from seatrial.engines import build_command
from seatrial.engines.settings import settings_of, value_of
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.launching.tuned import read_tuned, subject_of
from seatrial.plan import make_plan
from seatrial.server import list_servers
from seatrial.tune import TuneRequest, tune_machine

pytestmark = pytest.mark.engine


@pytest.fixture
def plan_for(require):
    """Plans of the stand-in, its engine and file here."""
    require("xllamacpp")
    require("stand-in model")
    hardware = detect_hardware()

    def made(streams):
        return make_plan("smollm2", hardware=hardware, engine="llamacpp", context_tokens=512, concurrency=streams)

    return made


def test_a_short_tuning_of_the_real_engine(plan_for):
    """Both candidates were measured, with real tokens or the reason why not; it is kept, and no server is left."""
    seen = []
    wish = TuneRequest(
        streams=(1,), budget_s=60, values={"ubatch-size": ("64",)}, prompt_tokens=32, answer_tokens=16,
        runner="xllamacpp",
    )  # fmt: skip

    tuned = tune_machine(plan_for, wish, seen.append)

    assert seen
    assert {"ubatch-size": "512"}.items() <= tuned.default.items()
    readings = [reading for one in tuned.rounds for reading in one.readings]
    assert {"512", "64"} == {reading.settings.get("ubatch-size", "512") for reading in readings}
    assert any(reading.tokens_per_s for reading in readings)
    assert all(reading.tokens_per_s or reading.why for reading in readings)  # a busy machine spoils some, and says so
    assert tuned == read_tuned(subject_of(plan_for(1), "xllamacpp"))
    assert [] == list_servers()


def test_every_setting_of_the_table_starts(plan_for):
    """One value of each setting that may be searched, all together: the engine takes them and answers."""
    settings = {row.name: "on" if row.name == "flash-attn" else "2" for row in settings_of("llamacpp").values()}
    settings |= {"ubatch-size": "64", "batch-size": "128", "cache-type-k": "q8_0", "cache-type-v": "q8_0"}
    from dataclasses import replace

    plan = replace(plan_for(1), settings=settings)
    command = build_command(plan)

    assert all(value_of(command, row) == settings[row.name] for row in settings_of("llamacpp").values())
    with launch(plan, runner="xllamacpp") as server:
        assert server.alive()
