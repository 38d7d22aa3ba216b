"""Finds the servers that run, from any process: by name, or all of them."""

from __future__ import annotations

import logging

from seatrial.errors import UnknownNameError, UsageError
from seatrial.server import folder as folders
from seatrial.server.address import url_host
from seatrial.server.folder import ServerFolder
from seatrial.server.running import Server, Stopped


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
        EngineError: Something of it is still there.

    """
    return find_server(name).stop()


def stop_all() -> list[Stopped]:
    """Stop every server that runs."""
    return [server.stop() for server in list_servers()]


def server_of(folder: ServerFolder) -> Server | None:
    """The server kept in a folder, None where nothing readable was recorded."""
    record = folder.record()
    if record is None or record.name != folder.path.name:
        return None
    known, ready = folder.processes(), folder.ready()
    mine = known if known is not None and known.launch_id == record.launch_id else None
    return Server(
        name=record.name,
        url=f"http://{url_host(record.host)}:{record.port}",
        model=record.model,
        engine=record.engine,
        pid=mine.engine.pid if mine and mine.engine else None,
        port=record.port,
        api_key_file=str(folder.key_file),
        log=str(folder.log_file),
        ready_after_s=ready.ready_after_s if ready else None,
        stand_in=record.stand_in,
        simulated=record.simulated,
        keep_running=record.keep_running,
        launched_at=record.launched_at,
        launch_id=record.launch_id,
        health_path=record.health_path,
        tokenize_path=record.tokenize_path,
        metrics_path=record.metrics_path,
        host=record.host,
        phases=ready.phases if ready else (),
    )
