"""Stores what a running load has brought so far, for plots, progress and the result."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from seatrial.measure.repeats import merge_levels
from seatrial.measure.types import Completion, Point, Sample

T = TypeVar("T")

_MAX_SAMPLES = 100_000  # seven hours at four a second
_MAX_COMPLETIONS = 100_000


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """Progress of a running load.

    Attributes:
        point: Index of the load level, -1 before the first.
        points: Load levels in all, 0 once the load runs until it is stopped.
        level: Its description, such as "8 streams".
        done: Requests of the level that are over.
        requests: Requests of the level, 0 if it has no end.
        tokens_per_s: Output tokens over the last quarter second.
        active_streams: Requests in flight.
        begun_s: When the level began, in seconds since the run's start.
        later: Requests of the levels after it.
        streams: Streams of the level, None if requests arrive at a rate.

    """

    point: int
    points: int
    level: str
    done: int
    requests: int
    tokens_per_s: float | None
    active_streams: int
    begun_s: float = 0.0
    later: int = 0
    streams: int | None = None


class Recorder:
    """Thread-safe store of a load's samples, completions and points; the oldest go when it is full.

    Args:
        repeat: Runs of each level, which make one point.

    """

    def __init__(self, repeat: int = 1) -> None:
        self._repeat = repeat
        self._lock = threading.Lock()
        self._samples: deque[Sample] = deque(maxlen=_MAX_SAMPLES)
        self._completions: deque[Completion] = deque(maxlen=_MAX_COMPLETIONS)
        self._stored = [0, 0]  # samples and completions of the run, those that went among them
        self._points: list[Point] = []
        self._progress = LoadProgress(-1, 0, "", 0, 0, None, 0)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Telemetry so far."""
        with self._lock:
            return tuple(self._samples)

    @property
    def completions(self) -> tuple[Completion, ...]:
        """Completions so far."""
        with self._lock:
            return tuple(self._completions)

    @property
    def points(self) -> tuple[Point, ...]:
        """Load levels so far; of a repeated level the mean of its runs."""
        with self._lock:
            runs = tuple(self._points)
        return runs if self._repeat == 1 else merge_levels(runs, self._repeat)

    @property
    def progress(self) -> LoadProgress:
        """Progress of the load."""
        with self._lock:
            return self._progress

    def news(self, samples: int, completions: int) -> tuple[list[Sample], list[Completion]]:
        """Return the samples and completions after the first so many of the run."""
        with self._lock:
            return (
                _last(self._samples, self._stored[0] - samples),
                _last(self._completions, self._stored[1] - completions),
            )

    def add_sample(self, sample: Sample) -> None:
        """Store a sample."""
        with self._lock:
            self._stored[0] += 1
            self._samples.append(sample)

    def add_completion(self, completion: Completion) -> None:
        """Store a completion."""
        with self._lock:
            self._stored[1] += 1
            self._completions.append(completion)

    def replace_completion(self, from_end: int, completion: Completion) -> None:
        """Store a completion anew that is so many places before the end, the last being 1."""
        with self._lock:
            if from_end <= len(self._completions):
                self._completions[-from_end] = completion

    def add_point(self, point: Point) -> None:
        """Store a load level, or one of its runs if each is repeated."""
        with self._lock:
            self._points.append(point)

    def set_progress(self, progress: LoadProgress) -> None:
        """Store the progress."""
        with self._lock:
            self._progress = progress


def _last(stored: deque[T], number: int) -> list[T]:
    return list(islice(reversed(stored), number))[::-1]
