"""Launches an engine and returns once it truly answers; leaves nothing of it behind otherwise."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.engines.types import Command
from seatrial.errors import DoesNotFitError, EngineError, UsageError, stopped_by_you
from seatrial.launching.access import Access, environment_without, is_keyed, listens_on
from seatrial.launching.attach import Waiting
from seatrial.launching.claim import claimed, name_for
from seatrial.launching.next_plan import advise, keep_plan
from seatrial.launching.proxies import direct_addresses
from seatrial.launching.start_conditions import start_conditions_of
from seatrial.launching.wish import Wish
from seatrial.plan.types import Plan
from seatrial.secret_text import secrets_of
from seatrial.server import processes, supervisor
from seatrial.server.address import check_port
from seatrial.server.folder import COMING_UP_S, ServerFolder
from seatrial.server.phases import STARTING
from seatrial.server.registry import server_of
from seatrial.server.running import Server
from seatrial.server.startup.giving_up import PortStolenError, removed
from seatrial.server.startup.history import Start, add_start
from seatrial.server.startup.readiness import Startup
from seatrial.server.startup.stall import STALL_LIMIT_S
from seatrial.server.startup.watch import ANOTHER_PORT, Event
from seatrial.server.state import Record, StartConditions
from seatrial.server.stopping import Stopped
from seatrial.writing import open_own

_PORTS_TRIED = 4
_GRACE_S = 3.0
LOG_CAP_BYTES = 16 << 20

log = logging.getLogger("seatrial")


def launch(  # noqa: PLR0913 -- each is a choice of the person who launches
    plan: Plan | Command,
    *,
    name: str | None = None,
    port: int = 0,
    keep_running: bool = False,
    runner: str | None = None,
    on_event: Callable[[Event], None] | None = None,
    model_path: Path | None = None,
    stall_limit_s: float = STALL_LIMIT_S,
    access: Access | None = None,
    options: Sequence[str] = (),
    tuned: bool = True,
    shared: bool = True,
) -> Server:
    """Launch an engine on this machine and wait until it truly answers; one that runs already is returned.

    A launch of the same name and wish (model, engine, arguments, environment) returns the server that runs or starts,
    whichever process launched it; a launch under way in another process is waited for. Whose server it is stays as it
    was, but ``keep_running`` keeps it from now on.

    The engine runs under a supervisor of its own. Unless ``keep_running``, it ends when this process ends, however that
    happens. When this function raises (also by Ctrl-C), nothing of the engine is left; its log stays.

    Args:
        plan: The plan to launch, or the command itself.
        name: Name of the server; by default the model's.
        port: Port to listen on; 0 chooses a free one.
        keep_running: Let it outlive this process; end it with ``stop``.
        runner: For llama.cpp: ``xllamacpp``, ``llama-server`` or ``llama_cpp.server``; None picks an installed one.
        on_event: Called, in this thread, as it comes up: at each phase, and twice a second in between.
        model_path: Weights file or folder; by default the folder that ``fetch`` fills.
        stall_limit_s: Seconds without any progress after which the launch gives up. There is no other limit.
        access: Who may reach it, and with which key; by default only this machine, with a random one.
        options: Engine options to add, ``name=value``; those that tune are taken (docs/security.md).
        tuned: Use what ``seatrial tune`` found on this machine, unless the plan has it already.
        shared: Let ``open_server("auto")`` find it; False for a server that serves one purpose, as each of a tuning.

    Raises:
        UsageError: If a name, port, address, key or option is bad, a port is taken, another wish runs under the name (the
            message shows both), or a checkpoint is not fetched.
        Interrupted: After Ctrl-C or the notebook's stop button.
        DoesNotFitError: If the plan does not fit this machine.
        RefusedError: If the plan or an option was refused, or the engine is too old.
        EngineMissingError: If the engine is not installed.
        EngineError: If it ended before it was ready, stalled, or served something else.

    """
    who = access or Access()
    wish = Wish(
        plan=plan,
        access=who,
        runner=runner,
        model_path=model_path,
        options=options,
        tuned=tuned,
        port=port,
        own_key=who.own_key(),
    )
    if isinstance(plan, Command):
        wish.command()  # one that is refused leaves nothing, not even the lock of its name
    waiting = Waiting(keep_running, on_event or _log_event, stall_limit_s)
    chosen = name_for(name, plan.model)
    with stopped_by_you(f"nothing of {chosen!r} was left running by this launch"):
        while True:
            with claimed(chosen, limit_s=stall_limit_s) as found:
                if isinstance(found, ServerFolder):
                    return _launched(found, wish, waiting, shared=shared)
            wish.check_is(found)
            with contextlib.suppress(UsageError):  # it has ended meanwhile
                return waiting.attached(found)


def _launched(folder: ServerFolder, wish: Wish, waiting: Waiting, *, shared: bool) -> Server:
    command = wish.command()
    check_port(wish.port, listens_on(command))
    for note in command.notes:
        log.warning("%s", note)
    conditions = start_conditions_of(wish.plan, command.argv)
    try:
        return _Launch(command, conditions, wish.port, wish.own_key, waiting, shared).run(folder, wish.plan)
    except EngineError as error:
        raise advise(error, wish.plan) from error.__cause__


@dataclass(frozen=True, slots=True)
class _Launch:
    """One launch: the command and a person's choices."""

    command: Command
    conditions: StartConditions
    port: int
    own_key: str | None
    waiting: Waiting
    shared: bool

    def run(self, folder: ServerFolder, plan: Plan | Command) -> Server:
        """Start the engine on a port, on another one if that was stolen, and wait until it answers."""
        begun = time.monotonic()
        _stop(folder)  # what an earlier launch of this name may have left, before its record is gone
        for attempt in range(1, _PORTS_TRIED + 1):
            with _discarding(folder):
                folder.clear()
                text, suffix = self.command.key_file_text, self.command.key_file_suffix
                key, engine_key_file = folder.write_new_key(text, suffix, own=self.own_key)
                record = self._record(folder.path.name, engine_key_file)
                folder.write_record(record)
            with contextlib.suppress(UsageError, DoesNotFitError):  # a full disk: the next plan cannot be named then
                keep_plan(folder, plan)
            try:
                _start_supervisor(folder, record)
                on_event, limit_s = self.waiting.on_event, self.waiting.stall_limit_s
                startup = Startup(folder, record, key, stall_limit_s=limit_s, on_event=on_event, begun=begun)
                ready = startup.wait()
                folder.write_ready(ready)
                add_start(Start(self.conditions, ready.phases, record.launched_at))
            except PortStolenError as error:
                _stop(folder)
                if self.port or attempt == _PORTS_TRIED:
                    raise
                self.waiting.on_event(Event(ANOTHER_PORT, error.what, time.monotonic() - begun))
            except BaseException:
                if _stop(folder) is None:  # its record was removed: its processes are found by the launch's id
                    processes.end(None, record.launch_id, grace_s=_GRACE_S)
                raise
            else:
                break
        return server_of(folder) or Server(record, ready=ready)

    def _record(self, name: str, engine_key_file: Path) -> Record:
        host = listens_on(self.command)
        port = self.port or processes.free_port(host)
        command = self.command.filled(port, engine_key_file)
        return Record(
            name=name,
            launch_id=uuid.uuid4().hex,
            engine=command.engine,
            model=command.model,
            port=port,
            argv=command.argv,
            env=command.env | direct_addresses({**os.environ, **command.env}, host),
            key_env=command.key_env,
            owner=processes.myself(),
            keep_running=self.waiting.keep_running,
            boot_id=processes.this_boot(),
            launched_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            health_path=command.health_path,
            models_path=command.models_path,
            tokenize_path=command.tokenize_path,
            metrics_path=command.metrics_path,
            stand_in=command.stand_in,
            simulated=command.simulated,
            grace_s=_GRACE_S,
            log_cap_bytes=LOG_CAP_BYTES,
            subject=self.conditions,
            host=host,
            keyed=is_keyed(command.engine),
            begun_s=time.monotonic(),
            machine=platform.node(),
            shared=self.shared,
        )


@contextlib.contextmanager
def _discarding(folder: ServerFolder) -> Iterator[None]:
    """Remove key and folder if not even the record can be written (a full disk)."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            folder.remove_keys()
            folder.path.rmdir()
        raise


def _start_supervisor(folder: ServerFolder, record: Record) -> None:
    """Start the detached supervisor and wait until it has recorded who runs."""
    argv = (sys.executable, "-I", "-S", "-B", supervisor.__file__, str(folder.path.absolute()))
    output_file = folder.path / "supervisor.log"
    with open_own(output_file) as output:
        # It forks and ends at once, so there is no child to wait for later. A launch that gives up before the supervisor
        # has written anything finds and ends it by the launch's id.
        env = {
            **environment_without(record.engine),
            "SEATRIAL_LAUNCH_ID": record.launch_id,
            "SEATRIAL_MASKED": ",".join(name for name, value in os.environ.items() if secrets_of({name: value})),
        }
        deadline = time.monotonic() + COMING_UP_S
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=env,
                check=False,
                timeout=COMING_UP_S,
            )
    while time.monotonic() < deadline:
        known = folder.processes(record.launch_id)
        if known is not None and (known.engine or known.exit):
            return
        if not folder.path.exists():
            raise removed(folder, record, STARTING)
        time.sleep(0.01)
    raise EngineError(
        f"The supervisor of {record.name!r} did not start: {output_file.read_text(errors='replace')[-500:].strip()}",
        remedy="Check that the state folder can be written and its disk is not full.",
        cause="supervisor did not start",
    )


def _stop(folder: ServerFolder) -> Stopped | None:
    server = server_of(folder)
    return None if server is None else server.stop()


def _log_event(event: Event) -> None:
    if event.begins:
        log.info("%s: %s", event.phase, event.text)
