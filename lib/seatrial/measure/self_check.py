"""Checks if the figures of a load level are the server's: the error that the client itself may have made, and warnings.

Pure arithmetic; docs/measuring.md has the rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from seatrial.measure.client_limits import CLIENT_LIMIT
from seatrial.measure.doubts import held_back, remarks
from seatrial.measure.figures import rank, tpot_s
from seatrial.measure.messages import PointEnds
from seatrial.measure.types import Completion, Quantiles, Sample, SelfCheck
from seatrial.measure.workload import Level
from seatrial.units import counted, format_seconds

CPU_SHARE = 0.8  # of a core; above, the client itself may be the limit
_NOTED = 0.1  # of TTFT or TPOT, from which on an error is worth a warning
_DISPATCH_SHARE = 0.05  # of the median TTFT, that a request may leave late ...
_DISPATCH_FLOOR_S = 0.005  # ... but at least this: event loops round timers to a millisecond
_FEWEST_FOR_P90 = 10
_CACHED_SHARE = 0.25  # of the prompts' tokens: more than a chat template's own opening, as a rule
_COUNTERS = ("prompt_tokens", "generated_tokens", "cached_tokens", "drafted_tokens", "accepted_tokens", "preemptions")
"""Readings of a sample that only grow while a server lives."""


@dataclass(frozen=True, slots=True)
class CheckedLevel:
    """What a check looks at: one level's requests, load and telemetry."""

    completions: Sequence[Completion]
    ttft: Quantiles | None  # of the requests that succeeded
    tpot: Quantiles | None  # likewise
    level: Level
    ended: PointEnds
    samples: Sequence[Sample] = ()  # of the level, after the last one of an earlier level if there is any

    @property
    def good(self) -> list[Completion]:
        """Requests that succeeded."""
        return [one for one in self.completions if one.error is None]

    @property
    def own_samples(self) -> list[Sample]:
        """Samples of the level itself."""
        return [one for one in self.samples if one.point == self.ended.point]


def check_level(level: CheckedLevel) -> SelfCheck:
    """Return the check of one level: error bars, then what is wrong, then what a reader must know."""
    ended = level.ended
    # Not after retries: those left late because the server asked for it.
    delays = sorted(max(one.sent_s - one.scheduled_s, 0.0) for one in level.completions if not one.retries)
    late_s = _lateness_s(level)
    check = SelfCheck(
        loop_lag_p99_s=ended.loop_lag_p99_s,
        cpu_share=ended.cpu_share,
        dispatch_delay_p99_s=rank(delays, 0.99) if delays else 0.0,
        valid=True,
        # Under open load TTFT counts from the schedule, so that a late departure is part of it.
        ttft_error_s=late_s + (rank(delays, 0.9) if delays and level.level.streams is None else 0.0),
        tpot_error_s=_tpot_error_s(level.good, late_s),
    )
    wrong = "; ".join(_wrong(level, check))
    return replace(
        check,
        valid=not wrong,
        why=f"{wrong[:1].upper()}{wrong[1:]}." if wrong else "",
        warnings=tuple(_warnings(level, check)),
    )


def _lateness_s(level: CheckedLevel) -> float:
    """Return how late a token's clock may be: the loop's lag, and the tokens of one step that are read before it.

    The probe of the lag comes at any moment, tokens of a batch come together: the client reads them one after the other.
    """
    ended = level.ended
    lag_s = ended.loop_lag_p99_s if ended.loop_lag_p90_s is None else ended.loop_lag_p90_s
    return max(lag_s, ended.cpu_share * level.tpot.p50 if level.tpot else 0.0)


def _tpot_error_s(good: Sequence[Completion], late_s: float) -> float | None:
    """Return the lateness spread over the tokens of the median answer: both of its ends may be late, by so much at most."""
    later = [one.tokens - (one.first_chunk_tokens or 1) for one in good if tpot_s(one) is not None]
    return late_s / max(median(later), 1) if later else None


def _wrong(level: CheckedLevel, check: SelfCheck) -> Iterator[str]:
    """Yield why the figures are not the server's, a clause each."""
    held = held_back(level.good, check.loop_lag_p99_s)
    if held:
        yield held
    # Of a stream that was held back, TTFT and TPOT are no measure of how late the client is.
    larger = [] if held else [one for one in _errors(level, check) if one.error_s > one.figure_s]
    shows = any(one.share > _NOTED for one in _errors(level, check))
    if larger:
        which = " and ".join(
            f"{one.name} of {format_seconds(one.figure_s)} may be wrong by {format_seconds(one.error_s)}"
            for one in larger
        )
        yield f"the client was too late: the {which}, more than the figure itself"
    if check.cpu_share > CPU_SHARE and shows:
        yield f"the client used {check.cpu_share:.0%} of a core, more than {CPU_SHARE:.0%}, and its own lateness shows"
    kept = [error for one in level.completions if (error := one.error or "").startswith(CLIENT_LIMIT)]
    if kept:
        yield f"{len(kept)} of {len(level.completions)} requests did not leave: {kept[0].partition(': ')[2]}"
    if _restarted(level.own_samples):
        yield "the server began anew during the level: what it counts went back"


def _warnings(level: CheckedLevel, check: SelfCheck) -> Iterator[str]:
    """Yield what a reader must know of figures that may be valid all the same, a sentence each."""
    noted = [one for one in _errors(level, check) if one.share > _NOTED]
    if noted:
        bars = " and ".join(f"{one.name} by up to {format_seconds(one.error_s)}" for one in noted)
        yield f"The client itself was late, which changes {bars}."
    elif check.cpu_share > CPU_SHARE:
        yield f"The client used {check.cpu_share:.0%} of a core: more streams would be too many for it."
    allowed = max(_DISPATCH_FLOOR_S, _DISPATCH_SHARE * level.ttft.p50 if level.ttft else 0.0)
    if check.dispatch_delay_p99_s > allowed:
        late = format_seconds(check.dispatch_delay_p99_s)
        yield f"Requests left up to {late} late (p99): the load was a little less than asked for."
    if 0 < len(level.good) < _FEWEST_FOR_P90:
        yield f"Only {counted(len(level.good), 'request')} succeeded: p90 is the slowest of them."
    if not (level.level.shared or level.level.recorded):
        yield from _cached(level.good)
    if _restarted(level.samples) and not _restarted(level.own_samples):
        yield "The server began anew before this level: its caches were cold."
    yield from _throttled(level.own_samples)
    yield from _others(level.own_samples)
    yield from remarks(level.completions, check.loop_lag_p99_s)


@dataclass(frozen=True, slots=True)
class _Bar:
    """An error beside the figure it belongs to."""

    name: str
    figure_s: float
    error_s: float

    @property
    def share(self) -> float:
        """The error as a share of the figure."""
        return self.error_s / self.figure_s if self.figure_s > 0 else 0.0


def _errors(level: CheckedLevel, check: SelfCheck) -> list[_Bar]:
    bars = (("TTFT", level.ttft, check.ttft_error_s), ("TPOT", level.tpot, check.tpot_error_s))
    return [_Bar(name, figure.p50, error) for name, figure, error in bars if figure is not None and error is not None]


def _cached(good: Sequence[Completion]) -> Iterator[str]:
    """Yield a warning if the prefix cache answered more of unique prompts than their common opening explains."""
    known = [(one.cached_tokens, one.prompt_tokens) for one in good if one.cached_tokens and one.prompt_tokens]
    cached, prompts = sum(one for one, _ in known), sum(one for _, one in known)
    if known and cached > _CACHED_SHARE * prompts and len(known) > len(good) / 2:
        yield (
            f"The server's prefix cache had about {round(cached / prompts, 1):.0%} of the prompts' tokens although each prompt is unique: "
            "TTFT is that of prompts it knows in part. A chat template's own opening is one reason."
        )


def _throttled(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield each GPU whose clock was held down, with the reason seen most often."""
    for gpu in range(max((len(one.gpu_throttle) for one in samples), default=0)):
        reasons = Counter(why for one in samples if gpu < len(one.gpu_throttle) and (why := one.gpu_throttle[gpu]))
        if reasons:
            why, times = reasons.most_common(1)[0]
            yield f"GPU {gpu} was throttled ({why}) in {times} of {len(samples)} readings: it is slower than it can be."


def _others(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield each GPU on which processes that are not the engine's computed, too."""
    for gpu in range(max((len(one.gpu_other_processes) for one in samples), default=0)):
        most = max(
            (one.gpu_other_processes[gpu] or 0 for one in samples if gpu < len(one.gpu_other_processes)), default=0
        )
        if most:
            yield f"Another process on GPU {gpu}: {most} beside the engine's, which share its time and memory."


def _restarted(samples: Sequence[Sample]) -> bool:
    """Return True if a reading that only grows went back."""
    for name in _COUNTERS:
        known = [value for one in samples if (value := getattr(one, name)) is not None]
        if any(later < earlier for earlier, later in pairwise(known)):
            return True
    return False
