"""A result is stored for this machine, engine, version and kind of checkpoint, and for nothing else."""

from dataclasses import replace

import pytest

from seatrial.fetch.tiny import write_tiny
from seatrial.hardware import detect_hardware
from seatrial.launching.tuned import (
    Level,
    Round,
    Tuned,
    TunedReading,
    folder,
    forget_tuned,
    read_tuned,
    subject_of,
    tuned_plan,
    write_tuned,
)
from seatrial.plan import make_plan


@pytest.fixture
def tuned(plan_for):
    """Return a result of the simulator on this machine for one and four requests at once."""
    return Tuned(
        subject=subject_of(plan_for(1)),
        checkpoint="HuggingFaceTB/x",
        default={"slots": "1"},
        levels=(
            Level(1, {"tpot-s": "0.001"}, 1.5, 1.4, 0.02, 5, 90.0, 60.0),
            Level(4, {"tpot-s": "0.002", "slots": "5"}, 1.2, 1.1, 0.02, 5, 240.0, 200.0),
        ),
        rounds=(Round(1, (TunedReading({}, 60.0), TunedReading({"tpot-s": "0.001"}, None, "it did not start"))),),
        measured_at="2026-11-23T10:00:00+00:00",
        spent_s=60.0,
        complete=True,
        simulated=True,
    )


def test_what_was_written_is_read_again(tuned):
    """Every figure comes back, from a file only this user can read."""
    path = write_tuned(tuned)

    assert tuned == read_tuned(tuned.subject)
    assert 0o600 == path.stat().st_mode & 0o777


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"levels": 3}', "null", "\x00\xff"])
def test_a_file_that_makes_no_sense_is_set_aside(tuned, plan_for, broken):
    """It is not used, life goes on with the defaults, and the next tuning writes a new one."""
    path = write_tuned(tuned)
    path.write_text(broken)

    assert plan_for(1) == tuned_plan(plan_for(1))
    assert not path.exists()
    assert path.with_suffix(".unreadable").exists()
    assert tuned == read_tuned(write_tuned(tuned) and tuned.subject)


@pytest.mark.parametrize("value", ["-5", "", "2 --host 0.0.0.0", "$(id)"])
def test_a_value_that_no_setting_takes_is_set_aside_with_its_file(tuned, plan_for, value):
    """A damaged value neither reaches a command nor keeps every plan and launch of this machine from being made."""
    path = write_tuned(replace(tuned, levels=(replace(tuned.levels[0], settings={"tpot-s": value}),)))

    assert plan_for(1) == tuned_plan(plan_for(1))
    assert (False, True) == (path.exists(), path.with_suffix(".unreadable").exists())


@pytest.mark.parametrize(
    "other",
    [{"cpu": "another"}, {"cores": 999}, {"memory_gib": 1}, {"gpus": ("NVIDIA H200",)}, {"driver": "999.1"}],
    ids=lambda other: next(iter(other)),
)
def test_another_machine_has_no_result(tuned, other):
    """A part replaced, a limit changed, another driver: nothing is known."""
    write_tuned(tuned)
    subject = tuned.subject

    assert read_tuned(replace(subject, machine=replace(subject.machine, **other))) is None


@pytest.mark.parametrize("other", [{"version": "0"}, {"precision": "Q8_0"}, {"size_class": 40}, {"program": "else"}])
def test_another_version_or_checkpoint_has_no_result(tuned, other):
    """What was fast for one need not be for the next."""
    write_tuned(tuned)

    assert read_tuned(replace(tuned.subject, **other)) is None


def test_a_result_put_in_another_place_is_not_believed(tuned):
    """A file copied from another machine says for what it holds."""
    path = write_tuned(tuned)
    other = replace(tuned.subject, version="0")
    path.rename(other.path)

    assert read_tuned(other) is None


def test_forgotten_is_forgotten(tuned, plan_for):
    """Once: the second time there is nothing."""
    write_tuned(tuned)

    assert [True, False] == [forget_tuned(tuned.subject), forget_tuned(tuned.subject)]
    assert plan_for(1) == tuned_plan(plan_for(1))


@pytest.mark.parametrize(("concurrency", "streams"), [(1, 1), (2, 4), (4, 4), (5, 4), (64, 4)])
def test_the_nearest_load_at_or_above_decides(tuned, concurrency, streams):
    """Above the highest that was tuned, the highest."""
    assert streams == tuned.level(concurrency).streams


def test_without_a_result_a_plan_stays_as_it_is(plan_for):
    """Nothing is looked for, nothing is started, no folder is made."""
    plan = plan_for(1)

    assert plan is tuned_plan(plan)
    assert not folder().exists()


def test_a_plan_for_another_machine_stays_as_it_is(tuned):
    """A measurement of this machine says nothing of a machine that was only named."""
    write_tuned(tuned)
    plan = make_plan("flash", hardware=detect_hardware("h200x8"))

    assert plan is tuned_plan(plan)


def test_what_follows_from_the_load_is_not_carried_to_another(tuned):
    """Slots found for four requests are for four: a plan for two gets the other settings alone."""
    level = replace(tuned.levels[1], settings={"parallel": "5", "threads": "2"})
    llamacpp = make_plan("smollm2", hardware=detect_hardware(), engine="llamacpp", concurrency=2)
    from seatrial.launching.tuned import _carried

    assert {"threads": "2"} == _carried(llamacpp, level)
    assert level.settings == _carried(replace(llamacpp, concurrency=4), level)


def test_a_persons_own_file_has_results_too(tmp_path):
    """It is in no list of models: its own header tells the architecture."""
    path = write_tiny(tmp_path / "own.gguf", num_experts_per_tok=1)
    plan = make_plan(checkpoint=str(path), hardware=detect_hardware(), engine="llamacpp")
    assert ("local", "deepseek_v4") == (plan.model, subject_of(plan).architecture)
