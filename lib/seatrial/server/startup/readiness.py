"""Waits until a launched engine truly answers, reports its progress, and gives up only for a reason.

Ready means all of: its process lives; the socket on its port is its own, on no other address than the one asked for; it
is healthy; it lists the model; it has generated one token with the key of this launch, and none without; its log does not
say that it computes on the processor if it was to use GPUs. There is no limit on the time as long as something moves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus

from psutil import Process

from seatrial.errors import EngineError
from seatrial.printable import printable
from seatrial.server import loopback, processes
from seatrial.server.address import reachable
from seatrial.server.folder import ServerFolder
from seatrial.server.phases import STARTING
from seatrial.server.startup.answers import Refusals, answer_text, most_informative, questions
from seatrial.server.startup.giving_up import (
    PortStolenError,
    ended_early,
    not_ready,
    on_processor,
    port_stolen,
    removed,
)
from seatrial.server.startup.watch import FIRST_TOKEN, LOADING, READY, Event, Watch
from seatrial.server.state import Exit, Processes, Ready, Record
from seatrial.units import format_seconds

_POLL_S = 0.05
_REFUSED_POLL_S = 0.2  # each question may cost a traceback in the log
_EXIT_RECORD_S = 1.0
_LATE_LOG_S = 1.0  # for which an engine's last log lines may still be on their way once it is healthy
_PORT_CHECK_S = 1.0


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

    def __init__(  # noqa: PLR0913 -- parts of a start
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
        self.begun = begun
        self.port_checked_at = self.healthy_at = -math.inf
        self.answered = ""
        self.refusals = Refusals()
        self.watch = Watch(folder, record, stall_limit_s=stall_limit_s, on_event=on_event, begun=begun)

    def wait(self) -> Ready:
        """Return once it truly answers.

        Raises:
            PortStolenError: If somebody else listens on its port.
            EngineError: If it ended, stalled, or serves something else; with cause and log lines.

        """
        try:
            with self._reporting_interrupts(), self._reporting_failures():
                return self._wait()
        finally:
            self.watch.close()

    def follow(self, seconds: float) -> None:
        """Watch for ``seconds`` while another process asks for the first token; report ``ready`` when it has one.

        Raises:
            EngineError: If the engine ended; ``watch.fail`` is left to the caller, who knows if it is tried again.

        """
        self._begin()
        until = time.monotonic() + seconds
        with self._reporting_interrupts():
            while not self.folder.ready():
                known = self._processes()
                if known is not None and (known.engine or known.exit):  # before, the supervisor or the engine starts
                    self._still_alive()
                if time.monotonic() >= until:
                    return
                time.sleep(_POLL_S)
        self._arrive()

    @contextmanager
    def _reporting_failures(self) -> Iterator[None]:
        try:
            yield
        except PortStolenError:
            raise  # another port is tried
        except EngineError as error:
            self.report_failure(error)
            raise

    @contextmanager
    def _reporting_interrupts(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self.watch.fail("It was interrupted.")
            raise

    def report_failure(self, error: EngineError) -> None:
        """Report that the start ended with ``error``."""
        self.watch.fail(error.what.partition("\n")[0])

    def _begin(self) -> None:
        if not self.watch.place.name:
            self.watch.enter(STARTING, f"{self.record.engine} starts on port {self.record.port}")

    def _arrive(self) -> None:
        if self.watch.place.name != READY:
            self.watch.enter(READY, f"{self.record.model} answers on port {self.record.port}")

    def _wait(self) -> Ready:
        self._begin()
        steps = (self._has_its_port, self._is_healthy, self._has_logged, self._lists_model, self._generates)
        for step in steps:
            while not step():
                self._still_alive()
                self._not_refused()
                time.sleep(_REFUSED_POLL_S if self.refusals.is_error else _POLL_S)
        self._needs_the_key()
        if (error := on_processor(self.folder, self.record, self.watch.place.name)) is not None:
            raise error
        self._still_alive()
        ready_after_s = time.monotonic() - self.begun
        self._arrive()
        return Ready(ready_after_s=ready_after_s, phases=tuple(self.watch.passed))

    # Steps: each returns True once it is done, and raises if it never will be.

    def _has_its_port(self) -> bool:
        if not processes.accepts_connections(self.record.port, reachable(self.record.host)):
            return False
        found = self._port_listeners()
        if found and not any(ours for _, ours in found):
            raise port_stolen(self.record)
        if not found:
            return False
        if not self.watch.has_log_phases and self.watch.place.name != LOADING:
            self.watch.enter(LOADING, f"{self.record.engine} listens and loads {self.record.model}")
        return True

    def _is_healthy(self) -> bool:
        reply = self._get(self.record.health_path)
        self.healthy_at = time.monotonic()
        return reply.status == HTTPStatus.OK

    def _has_logged(self) -> bool:
        """Return True once its log shows the last phase: engines log from a thread that may lag behind their answers."""
        self.watch.catch_up()
        return not self.watch.awaits_log or time.monotonic() - self.healthy_at > _LATE_LOG_S

    def _lists_model(self) -> bool:
        reply = self._get(self.record.models_path)
        self._note(self.record.models_path, reply)
        if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise self._failed("it rejects the API key of this launch", cause="key rejected")
        served = loopback.served_models(reply)
        if served and self.record.model not in served:
            names = ", ".join(printable(name[:80]) for name in served[:5])
            raise self._failed(f"it serves {names} and not {self.record.model}", cause="wrong model")
        if served:
            self.watch.enter(FIRST_TOKEN, f"{self.record.model} is loaded and generates its first token")
        return bool(served)

    def _generates(self) -> bool:
        replies: list[tuple[str, loopback.HttpReply]] = []
        with ThreadPoolExecutor(1) as beside:
            due = time.monotonic() - self.port_checked_at > _PORT_CHECK_S
            check = beside.submit(self._check_port) if due else None  # takes no longer than the token
            for path, body in questions(self.record.model):
                replies.append((path, self._ask(path, body, self.key)))
                if replies[-1][1].status == HTTPStatus.OK:
                    break
            if check is not None:
                check.result()
                self.port_checked_at = time.monotonic()
        path, reply = most_informative(replies)
        self._note(path, reply)
        return reply.status == HTTPStatus.OK and loopback.generated_a_token(reply)

    def _needs_the_key(self) -> None:
        """Ask without the key, which an engine that is known to have one must refuse."""
        if self.record.keyed and any(
            self._ask(*question, None).status == HTTPStatus.OK for question in questions(self.record.model)
        ):
            raise self._failed("it answers requests without its API key", cause="key not asked for")

    def _check_port(self) -> None:
        for address, ours in self._port_listeners():
            if not ours:
                raise port_stolen(self.record)
            if processes.plain(address) != processes.plain(self.record.host):
                raise self._failed(f"it listens on {address}, not only on {self.record.host}", cause="exposed")

    # What every step needs

    def _port_listeners(self) -> list[tuple[str, bool]]:
        """Return the address of each socket that listens on its port, and True if it is the engine's own.

        Sockets of others on other addresses are left out: they are in nobody's way.
        """
        found = processes.port_listeners(self.record.port, self._members())
        if not all(ours for _, ours in found):  # a slower look, for processes that left the session
            found = processes.port_listeners(self.record.port, self._members(thorough=True))
        return [(address, ours) for address, ours in found if ours or processes.meets(address, self.record.host)]

    def _get(self, path: str) -> loopback.HttpReply:
        return self._ask(path, None, self.key)

    def _ask(self, path: str, body: dict[str, object] | None, key: str | None) -> loopback.HttpReply:
        try:
            reply = loopback.ask(
                self.record.port,
                path,
                key=key,
                body=body,
                host=reachable(self.record.host),
                timeout_s=5.0,
                while_waiting=self._still_alive,
            )
        except loopback.NO_ANSWER:
            return loopback.HttpReply(0, b"")
        self.answered = answer_text(path, reply, self.key)
        return reply

    def _note(self, path: str, reply: loopback.HttpReply) -> None:
        """Note the answer of an engine that says it is healthy."""
        self.refusals.note(reply.status, time.monotonic())
        if reply.status:
            self.answered = answer_text(path, reply, self.key)

    def _not_refused(self) -> None:
        moves, refused = self.watch.movement, self.refusals
        if refused.final(time.monotonic(), moves.still_s, moves.limit_s):
            lasted = format_seconds(time.monotonic() - refused.since)
            what = f"it says it is healthy, and for {lasted} has answered {self.answered}"
            raise self._failed(what, cause="requests refused", remedy=refused.remedy)

    def _members(self, *, thorough: bool = False) -> list[Process]:
        return processes.members(self._processes(), self.record.launch_id, thorough=thorough)

    def _processes(self) -> Processes | None:
        return self.folder.processes(self.record.launch_id)

    def _still_alive(self) -> None:
        known = self._processes()
        if known is not None and known.exit is not None:
            raise self._ended(known.exit)
        if known is None or not processes.lives(known.engine):
            self._await_exit_record()
        self._still_moves()

    def _await_exit_record(self) -> None:
        """Wait for the supervisor's record of the end, and raise it; return if the engine lives after all.

        A supervisor records itself before it starts the engine, and writes a damaged record again.
        """
        deadline = time.monotonic() + _EXIT_RECORD_S
        watched = True
        while watched or time.monotonic() < deadline:
            known = self._processes()
            if known is not None and known.exit is not None:
                raise self._ended(known.exit)
            if known is not None and processes.lives(known.engine):
                return
            if watched:  # looked at before the record is read again: a supervisor writes the end, then goes
                watched = known is not None and processes.lives(known.supervisor, self.record.boot_id)
                self._still_moves()
            time.sleep(_POLL_S)
        if not self.folder.path.exists():
            raise removed(self.folder, self.record, self.watch.place.name)
        raise self._failed("its supervisor is gone, killed from outside", cause="supervisor gone")

    def _still_moves(self) -> None:
        self.watch.look()
        why = self.watch.why_stalled()
        if why:
            last = f". It last answered {self.answered}" if self.answered else ""
            raise self._failed(f"{why}{last}", cause="stalled", remedy=self.watch.helps)

    def _ended(self, ended: Exit) -> EngineError:
        self.watch.catch_up()
        return ended_early(self.folder, self.record, ended, self.watch.place.name)

    def _failed(self, what: str, *, cause: str, remedy: str = "") -> EngineError:
        return not_ready(self.folder, self.record, what, cause=cause, remedy=remedy, phase=self.watch.place.name)
