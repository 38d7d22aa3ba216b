"""Finds the process on this machine that serves a URL, so that its load can be read as that of a server of ours."""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import urlsplit

import psutil

from seatrial.addresses import address_in, is_loopback

_PORTS = {"http": 80, "https": 443}
_FORWARDERS = frozenset(
    {
        *(
            "ssh",
            "sshd",
            "kubectl",
            "docker-proxy",
            "rootlessport",
            "slirp4netns",
            "pasta",
            "passt",
            "gvproxy",
            "socat",
        ),
        *("nginx", "haproxy", "envoy", "caddy", "traefik", "cloudflared", "tailscaled"),
    }
)
"""Programs that pass on what comes to a port: the server behind them may run anywhere."""


def serving_process(url: str) -> int | None:
    """Return the process that listens at a loopback URL, None if it is not seen, or only passes requests on."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
    address = address_in(host)
    if host != "localhost" and (address is None or not is_loopback(address)):
        return None
    with contextlib.suppress(psutil.Error, OSError):  # macOS tells to root only who listens
        listeners = (one.pid for one in psutil.net_connections("tcp") if one.pid and _is_listener(one, port))
        process = next(map(psutil.Process, listeners), None)
        # A server of several processes hands its socket to its children: the first of them is the server.
        while process is not None and (parent := process.parent()) is not None and _listens(parent, port):
            process = parent
        return None if process is None or process.name() in _FORWARDERS else process.pid
    return None


def _listens(process: psutil.Process, port: int | None) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(_is_listener(one, port) for one in process.net_connections("tcp"))
    return False


def _is_listener(connection: Any, port: int | None) -> bool:
    return bool(connection.status == psutil.CONN_LISTEN and connection.laddr.port == port)
