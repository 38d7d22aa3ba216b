"""Follows an engine on its way up: its phase, its progress, the time left, and whether it has stalled."""

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
ALREADY_RUNNING = "already running"

_LOOK_S = 0.25
_EVENT_S = 0.5
_ACTIVITY_S = 1.0
_PACES = 5
_NOTABLE_READ_BYTES = 64 * MIB  # an engine's program alone is less


@dataclass(frozen=True, slots=True)
class Event:
    """Progress of a start, for a person who waits.

    Attributes:
        phase: ``starting``, the phases of the engine's data file (``loading`` if it has none), ``first token``,
            ``ready``, ``failed``, ``another port`` or ``already running``.
        text: The phase as a sentence, with numbers.
        elapsed_s: Seconds since the launch began.
        begins: True if this phase begins; else it goes on.
        step: The pass that ``done`` counts in, empty if none is named.
        done: Parts done (shards, graphs), None if nothing is counted.
        total: Parts in all, None if nothing is counted.
        detail: Further progress as a clause; mostly empty.
        left: Time left, with its basis; None once it is ready.
        passed: The phases behind it, with the time of each.
        log: The last lines of the engine's log, plain text.
        model: Model id.
        engine: Engine id.
        stand_in: True if the model is a stand-in rather than DeepSeek V4.
        simulated: True if no model is behind it.

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
        place: Its phase, and how far in it.
        passed: The phases behind it.
        movement: Signs of progress.

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
        self._entered = self._looked = self._reported = self._measured = time.monotonic()
        self._counted: list[tuple[float, int]] = []
        self._shown = self.place
        self._read_before = 0
        self._text = ""

    @property
    def has_log_phases(self) -> bool:
        """True if the engine's log shows its phases."""
        return bool(self._phases)

    @property
    def awaits_log(self) -> bool:
        """True if the log has shown some of the engine's phases, and not the last one."""
        return 0 <= self._logged.index < len(self._phases) - 1

    @property
    def helps(self) -> str:
        """Advice that usually helps against a stall in this phase."""
        return next((row.helps for row in self._phases if row.name == self.place.name), "")

    def enter(self, phase: str, text: str) -> None:
        """Begin a phase that the log does not show, after those that it has shown by now."""
        if self.place.name:
            self._read_log()
        self._enter(PhaseProgress(name=phase), text)

    def look(self) -> None:
        """Read new log lines and resources, a few times a second at most, and report them."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._read_log()
        if now - self._measured >= _ACTIVITY_S:
            self._measured = now
            self._measure()
        if now - self._reported >= _EVENT_S:
            self._report(begins=False)

    def fail(self, why: str) -> None:
        """Report that it did not come up; the place stays the phase it had reached."""
        now = time.monotonic()
        self.passed.append(PhaseTime(self.place.name, now - self._entered))
        self._on_event(self._filled(Event(FAILED, why, now - self.begun)))

    def catch_up(self) -> None:
        """Read the log to its present end."""
        self._read_log()

    def close(self) -> None:
        """Stop the thread that reads the GPUs."""
        self._gpus.stop()

    def why_stalled(self) -> str | None:
        """Return a description of the stall as a clause, None while there is progress."""
        if not self.movement.stalled:
            return None
        quiet, memory = format_seconds(self.movement.still_s), format_bytes(self.movement.memory_bytes)
        since = format_seconds(time.monotonic() - self._entered)
        done = f" at {self.place.done} of {self.place.total}" if self.place.done is not None else ""
        return (
            f"it stalled while {self.place.name}{done}: nothing moved for {quiet} at {memory}, {since} into this phase"
        )

    def _read_log(self) -> None:
        lines = self._log.read()
        self.movement.note_lines(lines)
        for line in lines:  # one by one: a phase may have begun and ended since the last look
            before, self._logged = self._logged, advance(self._logged, [line], self._phases)
            if self.place.name != FIRST_TOKEN:
                self._follow(self._logged)
            elif self._logged.name != before.name:  # logged late: it was over before the first token
                self.passed.append(PhaseTime(self._logged.name, 0.0))

    def _follow(self, place: PhaseProgress) -> None:
        if place.index < 0:
            return
        if place.name != self.place.name:
            if self.place.done is not None and self.place != self._shown:  # its last count and its end came in one look
                self._report(begins=False)
            self._enter(place, f"{self.record.engine}: {place.name}")
        elif place != self.place:
            anew = (place.step, place.total) != (self.place.step, self.place.total)
            if anew or (place.done or 0) < (self.place.done or 0):
                self._counted = []
            self.place = place
            self.movement.note()
            self._count(place)

    def _count(self, place: PhaseProgress) -> None:
        """Note the count; of several in one look only the last."""
        if place.done is not None:
            if self._counted and self._counted[-1][0] == self._looked:
                self._counted.pop()
            self._counted.append((self._looked, place.done))

    def _measure(self) -> None:
        if not self.record.simulated:
            self._gpus.start()
        of = processes.members(self._folder.processes(self.record.launch_id), self.record.launch_id, thorough=False)
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
        self._report(begins=True)

    def _report(self, *, begins: bool) -> None:
        self._reported = time.monotonic()
        self._shown = self.place
        place, left = self.place, None if self.place.name == READY else self._left()
        counted = f"{place.done} of {place.total}" if place.done is not None else ""
        parts = [self._text, *filter(None, (place.step, counted, self._detail()))]
        event = Event(place.name, ", ".join(parts), self._reported - self.begun, begins=begins, left=left)
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
        """Return how much of the weights was read from disk, if the engine itself counts nothing.

        No forecast follows from it: the system does not read again an unknown part that it has in memory.
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
        """Return the seconds to the end of the count: at the pace so far, and at that of the last few parts."""
        if not self._counted[1:] or not self.place.total:  # a pace needs two points
            return None
        last_at, last = self._counted[-1]
        since = time.monotonic() - last_at
        paces = []
        for at, done in (self._counted[0], self._counted[-min(_PACES, len(self._counted))]):
            paces.append(max(0.0, (last_at - at) / (last - done) * (self.place.total - last) - since))
        return Interval(min(paces), sum(paces) / len(paces), max(paces))
