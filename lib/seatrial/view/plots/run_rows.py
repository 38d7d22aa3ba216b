"""A run over time as rows of figures, one a sample, for whatever draws them: the panel, the terminal, a picture.

A row is the time, then one value for each line of each strip, NaN if it is not known. ``STRIPS`` says what the lines are.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from seatrial.measure.figures import quantiles, tpot_s, ttft_s
from seatrial.measure.recorder import LoadProgress, Recorder
from seatrial.measure.types import Completion, Sample
from seatrial.speed.types import Prediction
from seatrial.units import GIB

Look = Literal["plain", "faint", "bold", "low", "high"]
Row = tuple[float, ...]
_Pair = tuple[int | None, int | None]

_MEAN_S = 2.0
_WINDOW_S = 10.0  # of requests that ended, for percentiles; and of counters, for shares
_WINDOW = 512  # requests at most
_MOST_ROWS = 8192  # then every second of the older half goes: half an hour at four a second stays whole
_MOST_EVENTS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a strip; ``low`` and ``high`` are the edges of the predicted band."""

    name: str
    look: Look = "plain"


@dataclass(frozen=True, slots=True)
class Strip:
    """A small plot over time."""

    title: str
    unit: str
    lines: tuple[Line, ...]


STRIPS = (
    Strip("Output", "tok/s", (Line("each quarter second", "faint"), Line("mean of 2 s", "bold"),
                              Line("predicted, low", "low"), Line("predicted, high", "high"))),
    Strip("TTFT", "ms", (Line("p50"), Line("p90"))),
    Strip("TPOT", "ms", (Line("p50"), Line("p90"))),
    Strip("Requests", "", (Line("in flight"), Line("running in the server"), Line("waiting in the server"))),
    Strip("KV cache", "%", (Line("in use"), Line("prompt tokens from the cache"))),
    Strip("Drafted tokens", "%", (Line("accepted"),)),
    Strip("GPU and CPU use", "%", (Line("GPUs, mean"), Line("CPU of the machine"))),
    Strip("CPU of the engine", "cores", (Line("engine"),)),
    Strip("Memory", "GiB", (Line("all GPUs"), Line("engine, host memory"), Line("machine"))),
    Strip("GPU power", "W", (Line("all GPUs"),)),
    Strip("GPU temperature", "°C", (Line("hottest"),)),
    Strip("GPU clock", "MHz", (Line("slowest"),)),
)  # fmt: skip
COLUMNS = 1 + sum(len(strip.lines) for strip in STRIPS)


@dataclass(frozen=True, slots=True)
class Marker:
    """A moment of the run that has a name."""

    at_s: float
    kind: Literal["level", "server", "throttled"]
    text: str


class RunRows:
    """The rows of one run, which grow with its recorder.

    Attributes:
        rows: Figures, oldest first.
        markers: Moments with a name, oldest first.
        thinned: How often older rows were thinned out.

    """

    def __init__(self, predictions: Mapping[int, Prediction] | None = None) -> None:
        self.rows: list[Row] = []
        self.markers: list[Marker] = []
        self.thinned = 0
        self._bands = {streams: one.decode_tokens_per_s for streams, one in (predictions or {}).items()}
        self._seen = [0, 0]  # samples and completions
        self._levels: dict[int, LoadProgress] = {}
        self._waiting: deque[Completion] = deque()  # not yet older than the latest row
        self._ended: deque[Completion] = deque(maxlen=_WINDOW)
        self._samples: deque[Sample] = deque()  # of the window
        self._of_level = [0.0, 0]  # sum and number of rates
        self._kinds: set[tuple[int, str]] = set()

    @property
    def mean_tokens_per_s(self) -> float | None:
        """Mean output of the level so far."""
        total, number = self._of_level
        return total / number if number else None

    @property
    def completions(self) -> int:
        """Requests that are over, of all levels."""
        return self._seen[1]

    def update(self, recorder: Recorder) -> None:
        """Take over what is new."""
        progress = recorder.progress
        samples, completions = recorder.news(*self._seen)
        self._seen = [self._seen[0] + len(samples), self._seen[1] + len(completions)]
        self._waiting.extend(completions)
        self._begin_level(progress)
        for sample in samples:
            self._take_completions(sample)
            self._add(sample)
        while len(self.rows) > _MOST_ROWS:
            half = _MOST_ROWS // 2
            self.rows[:half] = self.rows[:half:2]
            self.thinned += 1

    def _begin_level(self, progress: LoadProgress) -> None:
        if progress.point >= 0 and progress.point not in self._levels:
            self._levels[progress.point] = progress
            self._mark(Marker(progress.begun_s, "level", progress.level))

    def _take_completions(self, sample: Sample) -> None:
        while self._waiting and self._waiting[0].ended_s <= sample.at_s:
            one = self._waiting.popleft()
            self._ended.append(one)
            if one.error is not None:
                self._mark_once(one.point, Marker(one.ended_s, "server", f"failed: {one.error.partition(':')[0]}"))

    def _add(self, sample: Sample) -> None:
        before = self._samples[-1] if self._samples else None
        if before is not None and before.point != sample.point:
            self.rows.append((sample.at_s, *[math.nan] * (COLUMNS - 1)))  # lines end with their level
            self._samples.clear()
        if before is None or before.point != sample.point:
            self._of_level = [0.0, 0]
        if before is not None:
            self._mark_changes(before, sample)
        self._samples.append(sample)
        while sample.at_s - self._samples[0].at_s > _WINDOW_S:
            self._samples.popleft()
        if sample.tokens_per_s is not None:
            self._of_level = [self._of_level[0] + sample.tokens_per_s, self._of_level[1] + 1]
        self.rows.append((sample.at_s, *(math.nan if value is None else value for value in self._values(sample))))

    def _values(self, sample: Sample) -> Iterable[float | None]:
        recent = [one.tokens_per_s for one in self._samples if sample.at_s - one.at_s <= _MEAN_S]
        level = self._levels.get(sample.point)
        band = self._bands.get(level.streams or 0) if level is not None else None
        yield from (sample.tokens_per_s, _mean(recent))
        yield from (None, None) if band is None else (band.low, band.high)
        good = [
            one for one in self._ended
            if one.point == sample.point and one.error is None and sample.at_s - one.ended_s <= _WINDOW_S
        ]  # fmt: skip
        for figure in (ttft_s, tpot_s):
            known = quantiles(value for one in good if (value := figure(one)) is not None)
            yield from (None, None) if known is None else (known.p50 * 1e3, known.p90 * 1e3)
        yield from (sample.active_streams, sample.running_requests, sample.waiting_requests)
        yield from (_percent(sample.kv_cache_usage), self._cache_hits(good))
        first = self._samples[0]
        yield _share((first.accepted_tokens, sample.accepted_tokens), (first.drafted_tokens, sample.drafted_tokens))
        yield from (_percent(_mean(sample.gpu_utilization)), _percent(sample.host_cpu_share), sample.cpu_share)
        sizes = (_total(sample.gpu_memory_bytes), sample.memory_bytes, sample.host_memory_bytes)
        yield from (None if size is None else size / GIB for size in sizes)
        yield _total(sample.gpu_power_w)
        yield max(_known(sample.gpu_temperature_c), default=None)
        yield min(_known(sample.gpu_clock_mhz), default=None)

    def _cache_hits(self, good: list[Completion]) -> float | None:
        """Return the share of prompt tokens that the prefix cache answered: by the server's counters, else by its usage."""
        first, last = self._samples[0], self._samples[-1]
        counted = _share((first.cached_tokens, last.cached_tokens), (first.prompt_tokens, last.prompt_tokens))
        if counted is not None:
            return counted
        told = [
            (one.cached_tokens, one.prompt_tokens) for one in good
            if one.cached_tokens is not None and one.prompt_tokens
        ]  # fmt: skip
        prompts = sum(prompt for _, prompt in told)
        return 100.0 * sum(cached for cached, _ in told) / prompts if prompts else None

    def _mark_changes(self, before: Sample, sample: Sample) -> None:
        at_s, point = sample.at_s, sample.point
        if _fell(before.generated_tokens, sample.generated_tokens):
            self._mark(Marker(at_s, "server", "the server began anew"))
        elif _fell(sample.preemptions, before.preemptions):
            self._mark_once(point, Marker(at_s, "server", "requests were put back into the queue"))
        for gpu, reason in enumerate(sample.gpu_throttle):
            if reason:
                self._mark_once(point, Marker(at_s, "throttled", f"GPU {gpu} is throttled: {reason}"))

    def _mark_once(self, point: int, marker: Marker) -> None:
        """Mark the first of its kind in a level."""
        if (point, marker.text) not in self._kinds:
            self._kinds.add((point, marker.text))
            self._mark(marker)

    def _mark(self, marker: Marker) -> None:
        if len(self.markers) < _MOST_EVENTS:
            self.markers.append(marker)


def latest(rows: list[Row]) -> tuple[tuple[float, ...], ...]:
    """Return the latest known value of each line, strip by strip; NaN if there is none."""
    last = [math.nan] * COLUMNS
    for row in rows[-8:]:
        last = [old if math.isnan(new) else new for old, new in zip(last, row, strict=True)]
    values = iter(last[1:])
    return tuple(tuple(next(values) for _ in strip.lines) for strip in STRIPS)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return sum(known) / len(known) if known else None


def _total(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return sum(known) if known else None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


def _share(part: _Pair, whole: _Pair) -> float | None:
    """Return how much of the growth of one counter is that of another, in percent; None if nothing was counted."""
    if None in part or None in whole:
        return None
    grown = (whole[1] or 0) - (whole[0] or 0)
    return min(max(100.0 * ((part[1] or 0) - (part[0] or 0)) / grown, 0.0), 100.0) if grown > 0 else None


def _fell(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after < before
