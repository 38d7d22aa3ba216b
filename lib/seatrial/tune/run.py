"""Tunes this machine: every number of streams in turn, each round stored as soon as it is taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from seatrial import paths
from seatrial.engines import Command
from seatrial.engines.settings import applies, settings_of, value_of
from seatrial.errors import MeasurementError, UsageError
from seatrial.launching.tuned import Round, Tuned, folder, read_tuned, subject_of, write_tuned
from seatrial.plan.types import Plan
from seatrial.programs.find import installed_command
from seatrial.tune.bench import ServerBench, TuneLoad
from seatrial.tune.grid import grid_of
from seatrial.tune.pairs import DEFAULT, key_of
from seatrial.tune.race import race_and_confirm
from seatrial.tune.rounds import Bench, Budget, Track

_MEASUREMENTS = 40  # that the time of one number of streams should suffice for
_LEAST_S, _MOST_S = 1.0, 8.0  # of one measurement, whatever the budget


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """Choices of the person who tunes."""

    streams: tuple[int, ...] = (1, 4, 8)  # numbers of requests at once, each tuned for itself
    budget_s: float = 300.0
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # to try instead of the engine's table
    prompt_tokens: int = 128
    answer_tokens: int = 64
    runner: str | None = None  # of llama.cpp; None for what is installed


_PlanFor = Callable[[int], Plan]
_OnRound = Callable[[Sequence[Round]], None]


def tune_machine(plan_for: _PlanFor, request: TuneRequest, on_round: _OnRound = lambda _: None) -> Tuned:
    """Race and confirm, and store the result for this machine; an interrupted tuning continues.

    Args:
        plan_for: Makes the plan for a number of requests at once, without tuned settings.
        request: Numbers of streams, budget, values to try, load.
        on_round: Called after each round with all of that number of streams.

    Raises:
        UsageError: If another tuning runs, or the engine has no such setting.
        EngineError: If the default does not start.
        MeasurementError: If the default gives no valid measurement, or the budget is too short for any.

    """
    begun = time.monotonic()
    seconds = request.budget_s / len(request.streams) / _MEASUREMENTS
    load = TuneLoad(request.prompt_tokens, request.answer_tokens, min(max(seconds, _LEAST_S), _MOST_S))
    with paths.locked(folder(), "tune") as lock, ServerBench(plan_for, load, request.runner) as bench:
        if lock is None:
            raise UsageError(
                "Another seatrial tune runs on this machine: each would measure the other.",
                remedy="Wait for it, or stop it.",
            )
        return tune_on(bench, plan_for, request, Budget(time.monotonic, begun + request.budget_s), on_round)


def tune_on(
    bench: Bench, plan_for: _PlanFor, request: TuneRequest, budget: Budget, on_round: _OnRound = lambda _: None
) -> Tuned:
    """Tune on any bench and by any clock; see ``tune_machine``."""
    tuned, earlier = _begin(plan_for(1), request)
    begun, spent_before, best = budget.clock(), tuned.spent_s, DEFAULT
    tracks = [Track(bench, streams, [old for old in earlier if old.streams == streams]) for streams in request.streams]
    for number, track in enumerate(tracks):

        def keep(taken: Round, track: Track = track) -> None:
            nonlocal tuned
            spent = spent_before + budget.clock() - begun
            tuned = replace(tuned, rounds=(*tuned.rounds, taken), spent_s=spent, measured_at=_now())
            write_tuned(tuned)
            on_round(track.rounds)

        track.keep = keep
        if number:
            track.cost_s = tracks[number - 1].cost_s
        plan = plan_for(track.streams)
        figures = {"cores": plan.hardware.host.cores, "streams": track.streams}
        grid = grid_of(_command(plan, request), figures, request.values, lambda slots: plan_for(slots).runs)
        level = race_and_confirm(track, grid, budget.share(1 / (len(tracks) - number)), best)
        _check_default(track)
        best = key_of(level.settings) or best
        if track.rounds:
            others = (old for old in tuned.levels if old.streams != track.streams)
            tuned = replace(tuned, levels=tuple(sorted([*others, level], key=lambda one: one.streams)))
            write_tuned(tuned)
    if not any(track.rounds for track in tracks):
        raise MeasurementError(
            f"The budget of {request.budget_s:g} s ended before anything was measured.",
            remedy="Give more time (--budget-s), or fewer numbers of streams (--streams).",
        )
    tuned = replace(tuned, complete=not any(track.cut for track in tracks))
    write_tuned(tuned)
    return tuned


def _check_default(track: Track) -> None:
    if track.rounds and track.failed(DEFAULT):
        last = next(one for one in track.rounds[-1].readings if not one.settings)
        raise MeasurementError(
            f"The default gave no valid measurement at {track.streams} at once: {last.why}",
            remedy="Try again when the machine has less to do, or with longer answers (--answer-tokens).",
        )


def _begin(plan: Plan, request: TuneRequest) -> tuple[Tuned, list[Round]]:
    """Return the result to fill, and the rounds of an interrupted tuning."""
    command = _command(plan, request)
    rows = [row for row in settings_of(command.engine).values() if applies(row, command)]
    new = Tuned(
        subject=subject_of(plan, request.runner),
        checkpoint=plan.checkpoint,
        default={row.name: value for row in rows if (value := value_of(command, row)) is not None},
        levels=(),
        rounds=(),
        measured_at=_now(),
        spent_s=0.0,
        complete=False,
        simulated=plan.simulated,
        prompt_tokens=request.prompt_tokens,
        answer_tokens=request.answer_tokens,
    )
    old = read_tuned(new.subject)
    same = ("default", "prompt_tokens", "answer_tokens")  # or its rounds cannot be compared with later ones
    if old is None or any(getattr(old, name) != getattr(new, name) for name in same):
        return new, []
    if old.complete:
        others = tuple(taken for taken in old.rounds if taken.streams not in request.streams)
        return replace(new, levels=old.levels, rounds=others), []
    return old, list(old.rounds)


def _command(plan: Plan, request: TuneRequest) -> Command:
    return installed_command(replace(plan, settings={}), runner=request.runner)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
