"""One tuning of this machine: every number of streams in turn, each round kept as soon as it is taken."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from seatrial import paths
from seatrial.engines import Command
from seatrial.engines.settings import applies, settings_of, value_of
from seatrial.errors import MeasurementError, UsageError
from seatrial.launching import tuned as store
from seatrial.launching.tuned import Round, Tuned, read_tuned, subject_of, write_tuned
from seatrial.plan.types import Plan
from seatrial.programs.find import installed_command
from seatrial.tune.bench import ServerBench, TuneLoad
from seatrial.tune.grid import Grid, grid_of
from seatrial.tune.pairs import DEFAULT, key_of
from seatrial.tune.search import Bench, Budget, Track, search

_STREAMS = (1, 4, 8)
_BUDGET_S = 300.0
_MEASUREMENTS = 40
"""How many measurements the time of one number of streams should do for."""
LEAST_S, MOST_S = 1.0, 8.0
"""Bounds of the seconds that one measurement is made to take, whatever the budget."""


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """What to tune for.

    Attributes:
        streams: Numbers of requests at once, each tuned for itself.
        budget_s: Seconds it may take.
        asked: Values by setting to try instead of the engine's table.
        prompt_tokens: Of the load.
        answer_tokens: Of the load.
        runner: For llama.cpp the way it is run.

    """

    streams: tuple[int, ...] = _STREAMS
    budget_s: float = _BUDGET_S
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prompt_tokens: int = 128
    answer_tokens: int = 64
    runner: str | None = None


_PlanFor = Callable[[int], Plan]
_OnRound = Callable[[Sequence[Round]], None]


def tune_machine(plan_for: _PlanFor, wish: TuneRequest, on_round: _OnRound = lambda _: None) -> Tuned:
    """Search, and keep what was found for this machine; a search that was interrupted is gone on with.

    Args:
        plan_for: The plan for a number of requests at once, without tuned settings.
        wish: What to tune for.
        on_round: Called after each round with all of that number of streams.

    Raises:
        UsageError: Another tuning runs, or the engine has no such setting.
        EngineError: The default does not start.
        MeasurementError: It gives no valid measurement.

    """
    begun = time.monotonic()
    seconds = wish.budget_s / len(wish.streams) / _MEASUREMENTS
    load = TuneLoad(wish.prompt_tokens, wish.answer_tokens, min(max(seconds, LEAST_S), MOST_S))
    with _alone(), ServerBench(plan_for, load, wish.runner) as bench:
        return tune_on(bench, plan_for, wish, Budget(time.monotonic, begun + wish.budget_s), on_round)


def tune_on(
    bench: Bench, plan_for: _PlanFor, wish: TuneRequest, budget: Budget, on_round: _OnRound = lambda _: None
) -> Tuned:
    """The same on any bench and by any clock."""
    tuned, earlier = _begin(plan_for(1), wish)
    begun, spent_before, best = budget.clock(), tuned.spent_s, DEFAULT
    tracks = [Track(bench, streams, [old for old in earlier if old.streams == streams]) for streams in wish.streams]
    cost_s = start_s = 0.0
    for number, track in enumerate(tracks):

        def keep(taken: Round, track: Track = track) -> None:
            nonlocal tuned
            spent = spent_before + budget.clock() - begun
            tuned = replace(tuned, rounds=(*tuned.rounds, taken), spent_s=spent, measured_at=_now())
            write_tuned(tuned)
            on_round(track.rounds)

        track.keep = keep
        track.cost_s, track.start_s = cost_s, start_s
        share = budget.share(1 / (len(tracks) - number))
        level = search(track, _grid(plan_for, track.streams, wish), share, best)
        _check_default(track)
        cost_s, start_s = track.cost_s, track.start_s
        best = key_of(level.settings) or best
        if track.rounds:
            others = (old for old in tuned.levels if old.streams != track.streams)
            tuned = replace(tuned, levels=tuple(sorted([*others, level], key=lambda one: one.streams)))
            write_tuned(tuned)
    tuned = replace(tuned, complete=not any(track.cut for track in tracks))
    write_tuned(tuned)
    return tuned


def _check_default(track: Track) -> None:
    """Raise where the default was measured and never validly: nothing can be said of what is faster."""
    if track.rounds and track.failed(DEFAULT):
        last = next(one for one in track.rounds[-1].readings if not one.settings)
        raise MeasurementError(
            f"The default gave no valid measurement at {track.streams} at once: {last.why}",
            remedy="Try again when the machine has less to do, or with longer answers (--answer-tokens).",
        )


def _grid(plan_for: _PlanFor, streams: int, wish: TuneRequest) -> Grid:
    plan = plan_for(streams)
    figures = {"cores": plan.hardware.host.cores, "streams": streams}
    return grid_of(_command(plan, wish.runner), figures, wish.asked, lambda slots: plan_for(slots).runs)


def _begin(plan: Plan, wish: TuneRequest) -> tuple[Tuned, list[Round]]:
    """The result to be filled, and the rounds of a search that was interrupted."""
    subject = subject_of(plan, wish.runner)
    command = _command(plan, wish.runner)
    new = Tuned(
        subject=subject,
        checkpoint=plan.checkpoint,
        default=_default(command),
        levels=(),
        rounds=(),
        measured_at=_now(),
        spent_s=0.0,
        complete=False,
        simulated=plan.simulated,
        prompt_tokens=wish.prompt_tokens,
        answer_tokens=wish.answer_tokens,
    )
    old = read_tuned(subject)
    if old is None or _basis(old) != _basis(new):
        return new, []
    if old.complete:
        others = tuple(taken for taken in old.rounds if taken.streams not in wish.streams)
        return replace(new, levels=old.levels, rounds=others), []
    return old, list(old.rounds)


def _basis(tuned: Tuned) -> tuple[object, ...]:
    """What must be the same for rounds to be compared with later ones."""
    return tuned.subject, tuned.default, tuned.prompt_tokens, tuned.answer_tokens


def _command(plan: Plan, runner: str | None) -> Command:
    return installed_command(replace(plan, settings={}), runner=runner)


def _default(command: Command) -> dict[str, str]:
    rows = settings_of(command.engine).values()
    found = {row.name: value_of(command, row) for row in rows if applies(row, command)}
    return {name: value for name, value in found.items() if value is not None}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the one tuning this machine can bear: two would measure each other."""
    with paths.locked(store.folder(), "tune") as lock:
        if lock is None:
            raise UsageError(
                "Another seatrial tune is under way on this machine: each would measure the other.",
                remedy="Wait for it, or stop it.",
            )
        yield
