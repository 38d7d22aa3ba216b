"""Waits until a launched engine truly answers, says what it is doing, and gives up for a reason only.

Ready means all of: its process lives, the socket on its port belongs to it and to loopback alone,
it is healthy, it lists the model, and it has generated one token with the key of this launch.
There is no limit on the time that takes as long as something moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from psutil import Process

from seatrial.errors import EngineError
from seatrial.server import log, loopback, processes
from seatrial.server.diagnosis import LOG_LINES, diagnose, how
from seatrial.server.folder import ServerFolder
from seatrial.server.state import Processes, Ready, Record
from seatrial.units import MIB, format_bytes, format_seconds

POLL_S = 0.05
ACTIVITY_S = 1.0
EXIT_RECORD_S = 1.0
HTTP_OK = 200
HTTP_UNAUTHORIZED = (401, 403)
# Growth below this is noise of an idle process, not progress.
NOTABLE_BYTES = MIB
NOTABLE_CPU_SHARE = 0.2
# A busy processor alone may be compiling, or spinning: it stretches the stall limit, but not for ever.
BUSY_FACTOR = 10


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person who waits should see.

    Attributes:
        phase: ``starting``, ``loading``, ``first token``, ``ready`` or ``another port``.
        text: The same as a sentence, with numbers.
        elapsed_s: Seconds since the launch began.

    """

    phase: str
    text: str
    elapsed_s: float


class PortStolenError(EngineError):
    """Another process listens on the port that was chosen for this engine."""


class Startup:
    """One engine on its way up.

    Args:
        folder: Its server folder.
        record: What was started.
        key: Its API key.
        stall_limit_s: Seconds without any sign of progress after which it has stalled.
        on_event: Called with each Event.
        begun: ``time.monotonic()`` at which the launch began.

    """

    def __init__(  # noqa: PLR0913 -- what one start is made of
        self,
        folder: ServerFolder,
        record: Record,
        key: str,
        *,
        stall_limit_s: float,
        on_event: Callable[[Event], None],
        begun: float,
    ) -> None:
        self.folder = folder
        self.record = record
        self.key = key
        self.stall_limit_s = stall_limit_s
        self.on_event = on_event
        self.begun = begun
        self.phase = ""
        self.moved = self.idle = self.looked = self.searched = time.monotonic()
        self.activity = processes.Activity(0, 0, 0, 0.0)

    def wait(self) -> Ready:
        """Return once it truly answers.

        Raises:
            PortStolenError: Somebody else listens on its port.
            EngineError: It ended, stalled, or serves something else; the cause and log lines are in it.

        """
        self._enter("starting", f"{self.record.engine} starts on port {self.record.port}")
        steps = (self._has_its_port, self._is_healthy, self._lists_model, self._generates)
        for step in steps:
            while not step():
                self._still_alive()
                time.sleep(POLL_S)
        self._owns_port_alone()
        self._still_alive()
        ready = Ready(ready_after_s=time.monotonic() - self.begun)
        self._enter("ready", f"{self.record.model} answers on port {self.record.port}")
        return ready

    # Steps: each says whether it is done, or raises where it never will be.

    def _has_its_port(self) -> bool:
        if processes.listens(self._members(), self.record.port):
            self._enter("loading", f"{self.record.engine} listens and loads {self.record.model}")
            return True
        if time.monotonic() - self.searched < ACTIVITY_S:
            return False
        # Dearer looks, taken seldom: processes that left the session, and other people's sockets.
        self.searched = time.monotonic()
        others = processes.listeners(self.record.port)
        if others and not processes.listens(self._members(thorough=True), self.record.port):
            raise self._stolen()
        return bool(others)

    def _is_healthy(self) -> bool:
        return self._get(self.record.health_path).status == HTTP_OK

    def _lists_model(self) -> bool:
        reply = self._get(self.record.models_path)
        if reply.status in HTTP_UNAUTHORIZED:
            raise self._failed("it rejects the API key of this launch", cause="key rejected")
        served = loopback.served_models(reply)
        if served and self.record.model not in served:
            names = ", ".join(log.printable(name[:80]) for name in served[:5])
            raise self._failed(f"it serves {names} and not {self.record.model}", cause="wrong model")
        if served:
            self._enter("first token", f"{self.record.model} is loaded and generates its first token")
        return bool(served)

    def _generates(self) -> bool:
        asked = {"model": self.record.model, "max_tokens": 1}
        question = {"messages": [{"role": "user", "content": "Hi"}]}
        reply = self._post("/v1/chat/completions", {**asked, **question})
        if reply.status != HTTP_OK:  # some models have no chat template
            reply = self._post("/v1/completions", {**asked, "prompt": "Hi"})
        return reply.status == HTTP_OK and loopback.generated_a_token(reply)

    def _owns_port_alone(self) -> None:
        ours = {member.pid for member in self._members(thorough=True)}
        for address, pid in processes.listeners(self.record.port):
            if pid not in ours:
                raise self._stolen()
            if not ip_address(address).is_loopback:
                raise self._failed(f"it listens on {address}, open to other machines", cause="exposed")

    # What every step needs

    def _get(self, path: str) -> loopback.Reply:
        return self._ask(path, None)

    def _post(self, path: str, body: dict[str, object]) -> loopback.Reply:
        return self._ask(path, body)

    def _ask(self, path: str, body: dict[str, object] | None) -> loopback.Reply:
        try:
            return loopback.ask(
                self.record.port, path, key=self.key, body=body, timeout_s=5.0, while_waiting=self._still_alive
            )
        except loopback.NO_ANSWER:
            return loopback.Reply(0, b"")

    def _members(self, *, thorough: bool = False) -> list[Process]:
        return processes.members(self.folder.processes(), self.record.launch_id, thorough=thorough)

    def _still_alive(self) -> None:
        known = self.folder.processes()
        if known is not None and known.exit is not None:
            raise self._ended(known)
        if known is None or not processes.lives(known.engine):
            self._await_exit_record()
        self._still_moves()

    def _await_exit_record(self) -> None:
        deadline = time.monotonic() + EXIT_RECORD_S
        while time.monotonic() < deadline:
            known = self.folder.processes()
            if known is not None and known.exit is not None:
                raise self._ended(known)
            time.sleep(POLL_S)
        raise self._failed("its supervisor is gone, killed from outside", cause="supervisor gone")

    def _still_moves(self) -> None:
        now = time.monotonic()
        if now - self.looked < ACTIVITY_S:
            return
        seen = processes.activity(self._members(), log.size(self.folder.log_file))
        last, passed = self.activity, now - self.looked
        self.activity, self.looked = seen, now
        grew = (
            seen.log_bytes != last.log_bytes
            or abs(seen.memory_bytes - last.memory_bytes) > NOTABLE_BYTES
            or seen.read_bytes - last.read_bytes > NOTABLE_BYTES
        )
        if grew:
            self.moved = self.idle = now
        elif seen.cpu_s - last.cpu_s > NOTABLE_CPU_SHARE * passed:
            self.idle = now
        if now - self.idle > self.stall_limit_s or now - self.moved > BUSY_FACTOR * self.stall_limit_s:
            quiet = format_seconds(now - self.moved)
            held = format_bytes(seen.memory_bytes)
            raise self._failed(f"it stalled while {self.phase}: nothing moved for {quiet} at {held}", cause="stalled")

    def _enter(self, phase: str, text: str) -> None:
        self.phase = phase
        self.moved = self.idle = time.monotonic()
        self.on_event(Event(phase, text, time.monotonic() - self.begun))

    def _stolen(self) -> PortStolenError:
        pid, name = processes.port_owner(self.record.port)
        owner = f"{name} (pid {pid})" if pid else name
        return PortStolenError(
            f"Port {self.record.port} was taken by {owner} before {self.record.engine} could listen on it.",
            remedy="Leave --port out, so that a free one is chosen.",
            cause="port in use",
        )

    def _ended(self, known: Processes) -> EngineError:
        assert known.exit is not None  # noqa: S101 -- asked by the caller
        found = diagnose(known.exit, log.tail(self.folder.log_file, LOG_LINES), self.record.engine)
        kind = PortStolenError if found.cause == "port in use" else EngineError
        return kind(
            _with_lines(
                f"{self.record.engine} ended before it was ready ({how(known.exit)}): {found.what}.", found.evidence
            ),
            remedy=f"{found.remedy} The whole log: seatrial logs {self.record.name}",
            cause=found.cause,
            evidence=found.evidence,
        )

    def _failed(self, what: str, *, cause: str) -> EngineError:
        lines = tuple(log.tail(self.folder.log_file, 8))
        return EngineError(
            _with_lines(f"{self.record.engine} did not get ready: {what}.", lines),
            remedy=f"The whole log: seatrial logs {self.record.name}",
            cause=cause,
            evidence=lines,
        )


def _with_lines(sentence: str, lines: tuple[str, ...]) -> str:
    return "\n".join([sentence, *(f"  | {line[:300]}" for line in lines)])
