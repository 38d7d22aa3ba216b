"""A complete tuning: stored round by round, continued after an interruption, one at a time."""

from dataclasses import replace

import pytest
from tests.tune.surfaces import Interrupted, Surface

from seatrial import paths
from seatrial.errors import MeasurementError, UnknownNameError, UsageError
from seatrial.launching.tuned import folder, read_tuned, subject_of, tuned_plan
from seatrial.tune import Budget, TuneRequest, tune_machine, tune_on
from seatrial.view.tables.tuning import table_tuned

EFFECTS = {"tpot-s": {"0.001": 0.5, "0.002": 0.2}, "slots": {"9": 0.1}}
WISH = TuneRequest(streams=(1, 4), values={name: tuple(values) for name, values in EFFECTS.items()})
BEST = {"tpot-s": "0.001", "slots": "9"}


def tuned_on(surface, plan_for, wish=WISH, budget_s=1e6):
    """Tune a made-up machine by its clock."""
    return tune_on(surface, plan_for, wish, Budget(surface.clock, budget_s))


def test_every_number_of_streams_is_tuned_and_kept(plan_for):
    """What was found lies on disk, for each load, complete, with the time it took."""
    surface = Surface(EFFECTS, noise=0.02)

    tuned = tuned_on(surface, plan_for)

    assert [(1, BEST), (4, BEST)] == [(level.streams, level.settings) for level in tuned.levels]
    assert tuned.complete
    assert surface.now == tuned.spent_s
    assert tuned == read_tuned(subject_of(plan_for(1)))


def test_an_interrupted_tuning_continues(plan_for):
    """Ctrl-C in the middle loses one round; the next run measures only what is missing, and comes out the same."""
    complete = Surface(EFFECTS)
    tuned_on(complete, plan_for)
    subject_of(plan_for(1)).path.unlink()
    first = Interrupted(EFFECTS, after=17)
    with pytest.raises(KeyboardInterrupt):
        tuned_on(first, plan_for)
    half = read_tuned(subject_of(plan_for(1)))
    kept = sum(len(taken.readings) for taken in half.rounds)
    second = Surface(EFFECTS)

    tuned = tuned_on(second, plan_for)

    assert not half.complete
    assert 0 < 17 - kept < 5
    assert complete.measured == kept + second.measured
    assert [BEST, BEST] == [level.settings for level in tuned.levels]
    assert tuned.complete


def test_a_tuning_cut_short_by_its_budget_continues_too(plan_for):
    """Without time to confirm nothing is kept; with a second budget the same tuning is complete."""
    short = tuned_on(Surface(EFFECTS), plan_for, budget_s=60)

    tuned = tuned_on(Surface(EFFECTS), plan_for)

    assert not short.complete
    assert [BEST, BEST] == [level.settings for level in tuned.levels]


def test_a_complete_tuning_begins_anew_and_leaves_other_loads_as_they_are(plan_for):
    """Tuning one load again measures it again; what is known of another load stays."""
    tuned_on(Surface(EFFECTS), plan_for)
    other = {"tpot-s": {"0.001": -0.5, "0.002": 0.4}, "slots": {"9": -0.1}}

    tuned = tuned_on(Surface(other), plan_for, TuneRequest(streams=(4,), values=WISH.values))

    assert [(1, BEST), (4, {"tpot-s": "0.002"})] == [(level.streams, level.settings) for level in tuned.levels]


def test_another_load_is_not_mixed_with_this_one(plan_for):
    """Rounds of an interrupted tuning with other prompts are not used."""
    with pytest.raises(KeyboardInterrupt):
        tuned_on(Interrupted(EFFECTS, after=17), plan_for)
    surface = Surface(EFFECTS)

    tuned = tuned_on(surface, plan_for, TuneRequest(streams=(1, 4), values=WISH.values, prompt_tokens=512))

    assert surface.measured == sum(len(taken.readings) for taken in tuned.rounds)


def test_a_setting_the_engine_lacks_is_refused_before_anything_runs(plan_for):
    """The nearest names are given, and nothing is measured."""
    surface = Surface(EFFECTS)

    with pytest.raises(UnknownNameError, match="slot"):
        tuned_on(surface, plan_for, TuneRequest(values={"slot": ("1",)}))

    assert 0 == surface.measured


def test_a_default_that_is_never_measured_validly_is_an_error(plan_for):
    """Without it there is nothing to compare with: exit code 5, and what to do."""
    with pytest.raises(MeasurementError, match="at 1 at once: it did not start"):
        tuned_on(Surface(EFFECTS, broken=({},)), plan_for)


def test_a_budget_that_suffices_for_nothing_is_an_error(plan_for):
    """An empty result helps nobody: exit code 5, and what to do."""
    with pytest.raises(MeasurementError, match="before anything was measured") as caught:
        tuned_on(Surface(EFFECTS), plan_for, budget_s=1)

    assert "--budget-s" in caught.value.remedy


def test_what_gave_no_answer_is_in_the_last_table(plan_for):
    """A setting that cannot start has a row, and its reason stands once in the note."""
    surface = Surface(EFFECTS, broken=({"slots": "9"}, {"tpot-s": "0.002"}))

    table = table_tuned(tuned_on(surface, plan_for, replace(WISH, streams=(1,))))

    assert {"slots 9", "tpot-s 0.002"} == {name for name, cell in table.rows if cell == "no answer"}
    assert "No answer with slots 9; tpot-s 0.002: it did not start" in table.note


def test_two_tunings_at_once_are_refused(plan_for):
    """Each would measure the other."""
    with paths.locked(folder(), "tune"), pytest.raises(UsageError, match="Another seatrial tune"):
        tune_machine(plan_for, WISH)


def test_a_plan_gets_what_was_found_for_its_load(plan_for):
    """A plan for two requests takes what was best at four, and says so with date and origin."""
    tuned = tuned_on(Surface(EFFECTS), plan_for)

    plan = tuned_plan(plan_for(2))

    assert BEST == plan.settings
    reason = plan.reasons[-1]
    assert "measured" == reason.origin
    assert f"measured here on the simulator on {tuned.measured_at[:10]}" in reason.text
    assert plan == tuned_plan(plan)
