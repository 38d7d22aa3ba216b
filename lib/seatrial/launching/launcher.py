"""Launches an engine and returns once it truly answers; leaves nothing behind where it does not."""

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
from typing import TYPE_CHECKING

from seatrial.errors import DoesNotFitError, EngineError, UsageError
from seatrial.launching.access import Access, environment_without, is_keyed, listens_on, secured
from seatrial.launching.checks import claimed, command_of
from seatrial.launching.next_plan import advise, keep_plan
from seatrial.launching.start_conditions import start_conditions_of
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

if TYPE_CHECKING:  # an engine's own process imports this package too, and need not load the planner
    from seatrial.engines.types import Command
    from seatrial.plan.types import Plan

_PORTS_TRIED = 4
_GRACE_S = 3.0
LOG_CAP_BYTES = 16 << 20

log = logging.getLogger("seatrial")


@dataclass(frozen=True, slots=True)
class _Wish:
    port: int
    keep_running: bool
    on_event: Callable[[Event], None]
    stall_limit_s: float
    own_key: str | None
    subject: StartConditions
    plan: Plan | Command


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
) -> Server:
    """Launch an engine on this machine and wait until it truly answers.

    The engine runs under a supervisor of its own. Unless ``keep_running``, it ends when this process ends, however that
    happens. When this function raises (also by Ctrl-C), nothing of the engine is left; its log is kept.

    Args:
        plan: What to run; or the command itself.
        name: Name of the server; by default the model's, with a number where that is taken.
        port: Port to listen on; 0 chooses a free one.
        keep_running: Let it outlive this process; end it with ``stop``.
        runner: For llama.cpp: ``xllamacpp``, ``llama-server`` or ``llama_cpp.server``; None picks what is here.
        on_event: Called, in this thread, as it comes up: at each phase, and twice a second in between.
        model_path: Weights file or folder; by default where ``fetch`` puts it.
        stall_limit_s: Seconds without any progress after which it is given up. There is no other limit.
        access: Who may reach it, and with which key; by default this machine alone, with a random one.
        options: Engine options to add, ``name=value``; those that tune are taken (docs/security.md).
        tuned: Use what ``seatrial tune`` found on this machine, where the plan does not have it yet.

    Raises:
        UsageError: A bad name, port, address, key or option, a port or name that is taken, or a checkpoint not fetched.
        DoesNotFitError: The plan does not fit this machine.
        RefusedError: The plan or an option was refused, or the engine is too old.
        EngineMissingError: The engine is not installed.
        EngineError: It ended before it was ready, stalled, or served something else.

    """
    who = access or Access()
    own_key = who.own_key()
    command = secured(command_of(plan, runner, model_path, tuned), who, options)
    subject = start_conditions_of(plan, command.argv)
    return _launch_as(
        name, command, _Wish(port, keep_running, on_event or _log_event, stall_limit_s, own_key, subject, plan)
    )


def _launch_as(name: str | None, command: Command, wish: _Wish) -> Server:
    check_port(wish.port, listens_on(command))
    for note in command.notes:
        log.warning("%s", note)
    with claimed(name, wish.plan.model) as folder:
        try:
            return _launch(command, folder, wish)
        except EngineError as error:
            raise advise(error, wish.plan) from error.__cause__


def _launch(command: Command, folder: ServerFolder, wish: _Wish) -> Server:
    begun = time.monotonic()
    _stop_earlier(folder)
    for attempt in range(1, _PORTS_TRIED + 1):
        with _discarding(folder):
            folder.clear()
            text, suffix = command.key_file_text, command.key_file_suffix
            key, engine_key_file = folder.write_new_key(text, suffix, own=wish.own_key)
            record = _record(command, folder, wish, engine_key_file)
            folder.write_record(record)
        with contextlib.suppress(UsageError, DoesNotFitError):  # no room: no next plan can be told
            keep_plan(folder, wish.plan)
        try:
            _start_supervisor(folder, record)
            startup = Startup(
                folder, record, key, stall_limit_s=wish.stall_limit_s, on_event=wish.on_event, begun=begun
            )
            ready = startup.wait()
            folder.write_ready(ready)
            add_start(Start(wish.subject, ready.phases, record.launched_at))
        except PortStolenError as error:
            _stop(folder)
            if wish.port or attempt == _PORTS_TRIED:
                raise
            wish.on_event(Event(ANOTHER_PORT, error.what, time.monotonic() - begun))
        except BaseException:
            if _stop(folder) is None:  # its record was removed: what it started is found by the launch's id
                processes.end(None, record.launch_id, grace_s=_GRACE_S)
            raise
        else:
            break
    server = server_of(folder)
    assert server is not None  # noqa: S101 -- its record was just written
    return server


@contextlib.contextmanager
def _discarding(folder: ServerFolder) -> Iterator[None]:
    """Where not even the record can be written (a full disk), neither a key nor an empty folder is left."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            folder.remove_keys()
            folder.path.rmdir()
        raise


def _record(command: Command, folder: ServerFolder, wish: _Wish, engine_key_file: Path) -> Record:
    host = listens_on(command)
    port = wish.port or processes.free_port(host)
    filled = {"{port}": str(port), "{key_file}": str(engine_key_file.absolute())}
    argv = tuple(_fill(word, filled) for word in command.argv)
    return Record(
        name=folder.path.name,
        launch_id=uuid.uuid4().hex,
        engine=command.engine,
        model=command.model,
        port=port,
        argv=argv,
        env={variable: _fill(value, filled) for variable, value in command.env.items()},
        key_env=command.key_env,
        owner=processes.myself(),
        keep_running=wish.keep_running,
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
        subject=wish.subject,
        host=host,
        keyed=is_keyed(command.engine),
        begun_s=time.monotonic(),
        machine=platform.node(),
    )


def _fill(text: str, values: dict[str, str]) -> str:
    # Not str.format: arguments may be JSON, with braces of their own.
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def _start_supervisor(folder: ServerFolder, record: Record) -> None:
    """Start the detached supervisor and wait until it has said who runs."""
    argv = (sys.executable, "-I", "-S", "-B", supervisor.__file__, str(folder.path.absolute()))
    said = folder.path / "supervisor.log"
    said.touch(mode=0o600)
    with said.open("wb") as output:
        # It forks and ends at once, so there is no child to wait for later. By the id it is found, and ended,
        # where the launch is given up before it has said a word.
        env = {
            **environment_without(record.engine),
            "SEATRIAL_LAUNCH_ID": record.launch_id,
            "SEATRIAL_MASKED": ",".join(name for name, value in os.environ.items() if secrets_of({name: value})),
        }
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=env, check=False)
    deadline = time.monotonic() + COMING_UP_S
    while time.monotonic() < deadline:
        known = folder.processes()
        if known is not None and known.launch_id == record.launch_id and (known.engine or known.exit):
            return
        if not folder.path.exists():
            raise removed(folder, record, STARTING)
        time.sleep(0.01)
    raise EngineError(
        f"The supervisor of {record.name!r} did not start: {said.read_text(errors='replace')[-500:].strip()}",
        remedy="Check that the state folder can be written and its disk is not full.",
        cause="supervisor did not start",
    )


def _stop_earlier(folder: ServerFolder) -> None:
    """Stop what an earlier launch of this name may have left, before its record is gone."""
    stopped = _stop(folder)
    if stopped is not None and stopped.asked:
        log.warning(
            "The server %r of %s was asked to stop and has not answered yet. Its supervisor ends it when it sees that "
            "the name is this launch's now; where that machine is gone, so is the server.",
            stopped.name,
            stopped.asked,
        )


def _stop(folder: ServerFolder) -> Stopped | None:
    server = server_of(folder)
    return None if server is None else server.stop()


def _log_event(event: Event) -> None:
    if event.begins:
        log.info("%s: %s", event.phase, event.text)
