"""Finds the servers that run, from any process: by name, or all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from seatrial.errors import EngineError, SeatrialError, UnknownNameError, UsageError
from seatrial.server import folder as folders
from seatrial.server.folder import ServerFolder
from seatrial.server.running import Server
from seatrial.server.stopping import Stopped


def list_servers(*, ended: bool = False) -> list[Server]:
    """Return every server that runs or starts, and every stale record, by name.

    Args:
        ended: Include those that have ended; their logs can still be read.

    Raises:
        UsageError: If the state folder cannot be read.

    """
    servers, unreadable = _look(ended=ended)
    for name, error in unreadable.items():
        logging.getLogger("seatrial").warning("The server %r is left out: %s", name, error.what)
    return servers


def _look(*, ended: bool = False) -> tuple[list[Server], dict[str, SeatrialError]]:
    """Return the servers as ``list_servers`` does, and the errors of those whose record cannot be read, by name."""
    servers, unreadable = [], {}
    for found in folders.folders():
        try:
            server = server_of(found)
            if server is not None and (ended or server.state != "ended"):
                servers.append(server)
        except SeatrialError as error:
            unreadable[found.path.name] = error
    return servers, unreadable


def find_server(name: str) -> Server:
    """Return the server of this name, which runs or has ended.

    Raises:
        UnknownNameError: If there is none; the message gives the nearest names.
        UsageError: If its record cannot be read.

    """
    found, unreadable = _look(ended=True)
    servers = {server.name: server for server in found}
    if name in unreadable:
        raise unreadable[name]
    if name not in servers:
        raise UnknownNameError("server", name, servers)
    return servers[name]


def stop_server(name: str) -> Stopped:
    """Stop the server of this name and prove that it is gone; it may have ended already.

    Raises:
        UnknownNameError: If there is none.
        EngineError: If a process of it still runs, or another machine was asked to stop it and has not answered.

    """
    stopped = find_server(name).stop()
    if stopped.asked:
        raise EngineError(
            f"The server {name!r} was launched on {stopped.asked}. Its supervisor on that machine was asked to stop it and "
            f"has not answered within {stopped.took_s:.0f} s: the end of the server is not proven.",
            remedy=f"Run seatrial ps on {stopped.asked}. If that machine is gone, so is the server; its record is closed now.",
            cause="not proven",
        )
    return stopped


def stop_all() -> list[Stopped]:
    """Stop every server of this machine; one that cannot be stopped does not keep the others running.

    Raises:
        UsageError: If a record cannot be read, or the state folder: servers may run all the same.
        EngineError: If a process of one still runs.

    """
    stopped, errors = stop_each()
    if errors:
        raise together(errors)
    return stopped


def stop_each(names: Iterable[str] | None = None) -> tuple[list[Stopped], list[SeatrialError]]:
    """Stop the servers of these names, or all of this machine, whatever happens to one; return proofs, and the rest's errors."""
    stopped: list[Stopped] = []
    errors: list[SeatrialError] = []
    if names is None:
        servers, unreadable = _look()
        here = [server for server in servers if server.state != "elsewhere"]
        for server in servers:
            if server not in here:
                _say_elsewhere(server)
        names, errors = [server.name for server in here], list(unreadable.values())
    for name in dict.fromkeys(names):
        try:
            stopped.append(stop_server(name))
        except SeatrialError as error:
            errors.append(error)
    return stopped, errors


def _say_elsewhere(server: Server) -> None:
    logging.getLogger("seatrial").warning(
        "The server %r was launched on %s and is left alone: stop it there, or by its name (seatrial stop %s).",
        *(server.name, server.record.machine, server.name),
    )


def together(errors: Sequence[SeatrialError]) -> SeatrialError:
    """Combine several errors into one, with the exit code of the gravest."""
    if len(errors) == 1:
        return errors[0]
    kind = EngineError if any(isinstance(error, EngineError) for error in errors) else UsageError
    remedies = dict.fromkeys(error.remedy for error in errors)
    return kind("\n".join(error.what for error in errors), remedy=" ".join(remedies))


def server_of(folder: ServerFolder) -> Server | None:
    """Return the server of a folder, None if nothing readable was recorded."""
    record = folder.record()
    if record is None or record.name != folder.path.name:
        return None
    known = folder.processes(record.launch_id)
    return Server(record, known.engine if known else None, folder.ready())
