"""Opens a server to use, as the notebooks do: one that runs, by name or URL, else one that is launched now."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seatrial.catalog import find_checkpoint
from seatrial.errors import UsageError, stopped_by_you
from seatrial.fetch.checkpoint import found_path
from seatrial.given import text, truth
from seatrial.launching.attach import Waiting
from seatrial.launching.choose import find_obstacle
from seatrial.launching.launcher import launch
from seatrial.launching.next_plan import kept_plan
from seatrial.launching.running_plans import find_covering
from seatrial.launching.this_machine import fetch_stand_in
from seatrial.measure.remote import open_remote
from seatrial.measure.target import RemoteServer, check_url, is_url
from seatrial.plan.types import Plan
from seatrial.printable import shortened
from seatrial.records import to_dict
from seatrial.server import processes
from seatrial.server.folder import folder_of
from seatrial.server.registry import list_servers
from seatrial.server.running import NotLaunched, Server
from seatrial.server.startup.stall import STALL_LIMIT_S
from seatrial.server.startup.watch import Event
from seatrial.server.stopping import Stopped
from seatrial.units import format_seconds

AUTO = "auto"
_MOST_NAMES = 8


@dataclass(frozen=True, slots=True)
class Closed:
    """What became of an opened server.

    Attributes:
        name: Its name, or its URL.
        stopped: The proof that it is gone; None if it was left running.
        left_running: Why it was left running, a clause; empty if it was stopped.
        remedy: How to stop it; empty if that is done, or not for this kit to do.
        others: Other servers that this process launched and that still run, with their processes.

    """

    name: str
    stopped: Stopped | None = None
    left_running: str = ""
    remedy: str = ""
    others: tuple[str, ...] = ()


def open_server(  # noqa: PLR0913 -- each is a choice of the person who opens
    server: str | Server,
    plan: Plan,
    *,
    keep: bool = False,
    api_key_env: str = "",
    required: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> Server | RemoteServer | NotLaunched:
    """Return a server to use: one that runs already if there is one, else the plan's, launched now.

    Args:
        server: ``auto``: a server of this machine with the plan's engine, checkpoint and at least its context; else the
            plan is launched, and the small stand-in downloaded if the plan serves that. A name: that server, as ``seatrial ps`` lists it. A URL: any
            OpenAI-compatible server there, which is never stopped.
        plan: What is launched if nothing runs.
        keep: Leave it running at the end; else what this process launched ends with it, or with ``close_server``.
        api_key_env: For a URL: name of the environment variable that holds its key.
        required: Raise an error if the plan cannot be launched here, rather than return what is missing.
        on_event: See ``launch``; ``seatrial.view.startup_panel()`` shows it in a notebook.

    Raises:
        UsageError: If nothing runs under the name, or the URL, the key or a value is not usable.
        MeasurementError: If the server at the URL does not answer.
        EngineError: If the engine was started and failed, or does not answer.
        Interrupted: After Ctrl-C or the notebook's stop button.

    """
    chosen, kept, variable = _checked(server, keep, api_key_env)
    waiting = Waiting(kept, on_event or (lambda _: None), STALL_LIMIT_S)
    with stopped_by_you("no server was opened"):
        if is_url(chosen):
            own = next((one for one in _running() if one.url == check_url(chosen)), None)
            return open_remote(chosen, variable) if own is None else waiting.attached(own)
        if chosen != AUTO:
            return waiting.attached(_named(chosen))
        covering = find_covering(plan)
        if covering is not None:
            with contextlib.suppress(UsageError):  # it has ended meanwhile
                return waiting.attached(covering)
        missing = None if required else _missing(plan)
        if missing is not None:
            return missing
        fetch_stand_in(plan)
        if not required and found_path(find_checkpoint(plan.checkpoint)) is None and not plan.simulated:
            return NotLaunched(f"{plan.checkpoint} is not on this machine.", f"Run: seatrial fetch {plan.checkpoint}")
        return launch(plan, keep_running=kept, on_event=on_event)


def served_plan(server: Server | RemoteServer | NotLaunched, plan: Plan) -> Plan | None:
    """Return the plan of what answers: an opened server may have been launched with another one than asked for.

    Args:
        server: What ``open_server`` returned.
        plan: What it was asked for.

    Returns:
        The plan; None for a server that this kit did not plan, so that nothing is predicted for it.

    """
    if isinstance(server, NotLaunched):
        return plan
    return kept_plan(server) if isinstance(server, Server) else None


def close_server(server: Server | RemoteServer | NotLaunched) -> Closed | NotLaunched:
    """Stop a server if this process launched it, unless it is to be kept; leave every other one running.

    Args:
        server: What ``open_server`` returned.

    Raises:
        EngineError: If a process of it still runs.

    """
    if isinstance(server, NotLaunched):
        return server
    if isinstance(server, RemoteServer):
        return Closed(server.url, left_running="it was not launched by this kit", others=_others(""))
    keeps = server.keep_running
    if server.running and (keeps or not server.ours):
        why = "it is kept, as asked" if server.ours else "it was here before"
        if not keeps:
            why += f"; it ends with the process that launched it (pid {server.record.owner.pid})"
        remedy = f"Stop it with: seatrial stop {server.name}"
        return Closed(server.name, left_running=why, remedy=remedy, others=_others(server.launch_id))
    return Closed(server.name, server.stop(), others=_others(server.launch_id))


def server_document(server: Server | RemoteServer | NotLaunched, closed: Closed | NotLaunched) -> dict[str, Any]:
    """Return what a record keeps of a server: its address, how it started, and what became of it."""
    document: dict[str, Any] = to_dict(server)
    if isinstance(server, RemoteServer):
        document |= {"model": server.model, "why": "Not launched by this kit."}
    document |= {"launched": isinstance(server, Server), "stopped": None, "left_running": ""}
    if isinstance(closed, Closed):
        document |= {"stopped": to_dict(closed.stopped), "left_running": closed.left_running}
    return document


def _checked(server: object, keep: object, api_key_env: object) -> tuple[str, bool, str]:
    """Return the three choices, read as people and papermill give them.

    Raises:
        UsageError: If one is no such choice, or they contradict each other.

    """
    chosen = server.name if isinstance(server, Server) else text("server", server).strip()
    kept, variable = truth("keep", keep), text("api_key_env", "" if api_key_env is None else api_key_env).strip()
    if is_url(chosen):
        check_url(chosen)
        RemoteServer(chosen, (), variable).api_key()
    elif variable:
        raise UsageError(
            "api_key_env names the variable with the key of a URL, and server is none.",
            remedy="Leave api_key_env empty: a server of this machine knows its own key.",
        )
    elif chosen != AUTO:
        _named(chosen)
    return chosen, kept, variable


def _running() -> list[Server]:
    return [server for server in list_servers() if server.running]


def _named(name: str) -> Server:
    """Return the server that runs under a name.

    Raises:
        UsageError: If none does; the message names those that run.

    """
    running = _running()
    found = next((server for server in running if server.name == name), None)
    if found is not None:
        return found
    shown = ", ".join(f"{server.name} ({server.model})" for server in running[:_MOST_NAMES])
    raise UsageError(
        f"No server named {shortened(name)!r} runs on this machine.",
        remedy=(f"These run: {shown}." if running else "None runs.")
        + ' server = "auto" launches one; a URL begins with http:// or https://.',
    )


def _missing(plan: Plan) -> NotLaunched | None:
    """Return why the plan cannot be launched here, its checkpoint left aside; None if it can."""
    if plan.hardware.only_named:
        return NotLaunched(f"{plan.hardware.name} is a machine you named, not this one.", "The command is exact.")
    if not plan.runs:
        why = f"{plan.checkpoint} does not run on this machine with {plan.engine}."
        return NotLaunched(why, plan.smallest_change or "")
    obstacle = find_obstacle(plan)
    return None if obstacle is None else NotLaunched(obstacle.what, obstacle.remedy)


def _others(launch_id: str) -> tuple[str, ...]:
    """Return the other servers that this process launched and that still run, a phrase each."""
    return tuple(
        f"{server.name} (pid {server.pid}, {_processes_of(server)}, {format_seconds(server.age_s)} old"
        f"{', kept' if server.keep_running else ''})"
        for server in _running()
        if server.ours and server.launch_id != launch_id
    )


def _processes_of(server: Server) -> str:
    number = len(processes.members(folder_of(server.name).processes(server.launch_id), server.launch_id))
    return f"{number} process{'' if number == 1 else 'es'}"
