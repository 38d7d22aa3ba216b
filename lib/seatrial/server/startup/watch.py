"""Follows an engine on its way up: which phase, how far, for how much longer, and whether it still moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from seatrial.records import Interval
from seatrial.server import processes
from seatrial.server.folder import ServerFolder
from seatrial.server.phases import STARTING, LogReader, PhaseProgress, advance, known_phases
from seatrial.server.startup.history import WEIGHTS, Past, TimeLeft, earlier_starts, find_past, time_left
from seatrial.server.startup.stall import GpuMemory, Movement
from seatrial.server.state import PhaseTime, Record
from seatrial.units import MIB, format_bytes, format_seconds

LOADING = "loading"
FIRST_TOKEN = "first token"  # noqa: S105 -- no password
READY = "ready"
FAILED = "failed"
ANOTHER_PORT = "another port"

_LOOK_S = 0.25
_TELL_S = 0.5
_ACTIVITY_S = 1.0
_PACES = 5
_NOTABLE_READ_BYTES = 64 * MIB  # less is its program


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person who waits should see.

    Attributes:
        phase: ``starting``, the phases of the engine's data file (``loading`` where it has none), ``first token``,
            ``ready``, ``failed`` or ``another port``.
        text: The same as a sentence, with numbers.
        elapsed_s: Seconds since the launch began.
        begins: Whether this phase begins; else it only goes on.
        step: The pass that ``done`` counts in, empty where none is named.
        done: Parts done (shards, graphs), None where nothing is counted.
        total: Parts in all, likewise.
        detail: What else is known of how far it is, as a clause; mostly empty.
        left: How long it still takes, with what that rests on; None once it is ready.
        passed: The phases behind it and how long each took.
        log: The last lines of the engine's log, plain text.
        model: What is started.
        engine: With what.
        stand_in: Whether that is a stand-in rather than DeepSeek V4.
        simulated: Whether no model is behind it.

    """

    phase: str
    text: str
    elapsed_s: float
    begins: bool = True
    step: str = ""
    done: int | None = None
    total: int | None = None
    detail: str = ""
    left: TimeLeft | None = None
    passed: tuple[PhaseTime, ...] = ()
    log: tuple[str, ...] = ()
    model: str = ""
    engine: str = ""
    stand_in: bool = False
    simulated: bool = False


class Watch:
    """One engine on its way up.

    Args:
        folder: Its server folder.
        record: What was started.
        stall_limit_s: Seconds without any sign of progress after which it has stalled.
        on_event: Called with each Event.
        begun: ``time.monotonic()`` at which the launch began.

    Attributes:
        place: Where it is.
        passed: The phases behind it.
        movement: What was seen to move.

    """

    def __init__(
        self,
        folder: ServerFolder,
        record: Record,
        *,
        stall_limit_s: float,
        on_event: Callable[[Event], None],
        begun: float,
    ) -> None:
        self.record = record
        self.begun = begun
        self.place = PhaseProgress(name="")
        self._logged = PhaseProgress()
        self.passed: list[PhaseTime] = []
        self.movement = Movement(stall_limit_s)
        self._folder = folder
        self._on_event = on_event
        self._phases = known_phases(record.engine)
        self._log = LogReader(folder.log_file, self._phases)
        self._gpus = GpuMemory()
        self._entered = self._looked = self._told = self._measured = time.monotonic()
        self._counted: list[tuple[float, int]] = []
        self._read_before = 0
        self._text = ""

    @property
    def told_by_log(self) -> bool:
        """Whether the engine's log tells its phases."""
        return bool(self._phases)

    @property
    def awaits_log(self) -> bool:
        """True if the log has shown some of the engine's phases, and not the last one."""
        return 0 <= self._logged.index < len(self._phases) - 1

    @property
    def helps(self) -> str:
        """What usually helps where it stalls now."""
        return next((row.helps for row in self._phases if row.name == self.place.name), "")

    def enter(self, phase: str, text: str) -> None:
        """Begin a phase that the log does not tell, after those that it has told by now."""
        if self.place.name:
            self._read_log()
        self._enter(PhaseProgress(name=phase), text)

    def look(self) -> None:
        """Read what is new, a few times a second at most, and tell it."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._read_log()
        if now - self._measured >= _ACTIVITY_S:
            self._measured = now
            self._measure()
        if now - self._told >= _TELL_S:
            self._tell(begins=False)

    def fail(self, why: str) -> None:
        """Tell that it did not come up; the place is where it got to."""
        now = time.monotonic()
        self.passed.append(PhaseTime(self.place.name, now - self._entered))
        self._on_event(self._filled(Event(FAILED, why, now - self.begun)))

    def catch_up(self) -> None:
        """Read all that the log has by now, so that the engine's phase is known."""
        self._read_log()

    def close(self) -> None:
        """End what it has begun."""
        self._gpus.stop()

    def why_stalled(self) -> str | None:
        """What a stall looks like from here as a clause, None while it moves."""
        if not self.movement.stalled:
            return None
        quiet, held = format_seconds(self.movement.still_s), format_bytes(self.movement.memory_bytes)
        since = format_seconds(time.monotonic() - self._entered)
        done = f" at {self.place.done} of {self.place.total}" if self.place.done is not None else ""
        return f"it stalled while {self.place.name}{done}: nothing moved for {quiet} at {held}, {since} into this phase"

    def _read_log(self) -> None:
        lines = self._log.read()
        self.movement.note_lines(lines)
        for line in lines:  # one by one: a phase that was over before it was looked at is told all the same
            before, self._logged = self._logged, advance(self._logged, [line], self._phases)
            if self.place.name != FIRST_TOKEN:
                self._follow(self._logged)
            elif self._logged.name != before.name:  # logged late: it was over before the first token
                self.passed.append(PhaseTime(self._logged.name, 0.0))

    def _follow(self, place: PhaseProgress) -> None:
        if place.index < 0:
            return
        if place.name != self.place.name:
            self._enter(place, f"{self.record.engine}: {place.name}")
        elif place != self.place:
            anew = (place.step, place.total) != (self.place.step, self.place.total)
            if anew or (place.done or 0) < (self.place.done or 0):
                self._counted = []
            self.place = place
            self.movement.note()
            self._count(place)

    def _count(self, place: PhaseProgress) -> None:
        """Note how far it is; of what was read in one look the last."""
        if place.done is not None:
            if self._counted and self._counted[-1][0] == self._looked:
                self._counted.pop()
            self._counted.append((self._looked, place.done))

    def _measure(self) -> None:
        if not self.record.simulated:
            self._gpus.start()
        of = processes.members(self._folder.processes(), self.record.launch_id, thorough=False)
        self.movement.note_activity(processes.activity(of, self._gpus.used_bytes))

    def _enter(self, place: PhaseProgress, text: str) -> None:
        now = time.monotonic()
        if self.place.name:
            self.passed.append(PhaseTime(self.place.name, now - self._entered))
        self.place, self._text, self._entered = place, text, now
        self._counted = []
        self._count(place)
        self._read_before = self.movement.read_bytes
        self.movement.note()
        self._tell(begins=True)

    def _tell(self, *, begins: bool) -> None:
        self._told = time.monotonic()
        place, left = self.place, None if self.place.name == READY else self._left()
        counted = f"{place.done} of {place.total}" if place.done is not None else ""
        parts = [self._text, *filter(None, (place.step, counted, self._detail()))]
        event = Event(place.name, ", ".join(parts), self._told - self.begun, begins=begins, left=left)
        self._on_event(self._filled(event))

    def _filled(self, event: Event) -> Event:
        place, record = self.place, self.record
        return replace(
            event,
            step=place.step,
            done=place.done,
            total=place.total,
            detail=self._detail(),
            passed=tuple(self.passed),
            log=self._log.recent,
            model=record.model,
            engine=record.engine,
            stand_in=record.stand_in,
            simulated=record.simulated,
        )

    def _detail(self) -> str:
        """How much of the weights was read from disk, where the engine counts nothing.

        No time follows from it: what the system has in memory already is not read, and nobody knows how much that is.
        """
        read, subject = self.movement.read_bytes - self._read_before, self.record.subject
        if self.place.name != WEIGHTS or self.place.done is not None or read < _NOTABLE_READ_BYTES:
            return ""
        of = f" (the checkpoint has {format_bytes(subject.weights_bytes)})" if subject and subject.weights_bytes else ""
        return f"{format_bytes(read)} read from disk{of}"

    def _left(self) -> TimeLeft:
        order = [STARTING, *(row.name for row in self._phases), FIRST_TOKEN]
        return time_left(self._past, self.place.name, time.monotonic() - self._entered, self._pace(), order)

    @cached_property
    def _past(self) -> Past | None:
        return find_past(self.record.subject, earlier_starts())

    def _pace(self) -> Interval | None:
        """Seconds to the end of what is counted: at the pace so far, and at that of the last few parts."""
        if len(self._counted) < 2 or not self.place.total:  # noqa: PLR2004 -- a pace needs two points
            return None
        last_at, last = self._counted[-1]
        since = time.monotonic() - last_at
        paces = []
        for at, done in (self._counted[0], self._counted[-min(_PACES, len(self._counted))]):
            paces.append(max(0.0, (last_at - at) / (last - done) * (self.place.total - last) - since))
        return Interval(min(paces), sum(paces) / len(paces), max(paces))
