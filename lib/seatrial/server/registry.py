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
    """Every server that runs or starts, and every stale record, by name.

    Args:
        ended: Also those that have ended; their logs can still be read.

    """
    servers = []
    for found in folders.folders():
        try:
            server = server_of(found)
            if server is not None and (ended or server.state != "ended"):
                servers.append(server)
        except UsageError as error:
            logging.getLogger("seatrial").warning("The server %r is left out: %s", found.path.name, error.what)
    return servers


def find_server(name: str) -> Server:
    """The server of this name, whether it runs or has ended.

    Raises:
        UnknownNameError: There is none; the nearest names are given.

    """
    servers = {server.name: server for server in list_servers(ended=True)}
    if name not in servers:
        raise UnknownNameError("server", name, servers)
    return servers[name]


def stop_server(name: str) -> Stopped:
    """Stop the server of this name and prove that it is gone; one that has ended is fine too.

    Raises:
        UnknownNameError: There is none.
        EngineError: Something of it is still there, or it runs on another machine that has not said that it is gone.

    """
    stopped = find_server(name).stop()
    if stopped.asked:
        raise EngineError(
            f"The server {name!r} was launched on {stopped.asked}. Its supervisor there was asked to stop it and has not "
            f"answered within {stopped.took_s:.0f} s: that it is gone is not proven.",
            remedy=f"Look there: seatrial ps. Where {stopped.asked} is gone, so is the server; its record is closed now.",
            cause="not proven",
        )
    return stopped


def stop_all() -> list[Stopped]:
    """Stop every server that runs; one that cannot be stopped does not keep the others running.

    Raises:
        EngineError: Something of one is still there.

    """
    stopped, errors = stop_each(server.name for server in list_servers())
    if errors:
        raise together(errors)
    return stopped


def stop_each(names: Iterable[str]) -> tuple[list[Stopped], list[SeatrialError]]:
    """Stop the servers of these names, whatever happens to one of them: the proofs, and why there are no others."""
    stopped, errors = [], []
    for name in dict.fromkeys(names):
        try:
            stopped.append(stop_server(name))
        except SeatrialError as error:
            errors.append(error)
    return stopped, errors


def together(errors: Sequence[SeatrialError]) -> SeatrialError:
    """Several errors as one that says them all, with the exit code of the gravest."""
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
