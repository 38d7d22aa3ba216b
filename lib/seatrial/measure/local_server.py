"""Finds the process on this machine that serves a URL, so that its load can be read as that of a server of ours."""

from __future__ import annotations

import contextlib
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
    processes = {pid: process for pid in _listeners(port) if (process := _process(pid)) is not None}
    with contextlib.suppress(psutil.Error):
        # A server of several processes hands its socket to its children.
        first = [process for process in processes.values() if process.ppid() not in processes]
        if len(first) == 1 and first[0].name() not in _FORWARDERS:
            return first[0].pid
    return None


def _listeners(port: int | None) -> set[int]:
    try:
        sockets = psutil.net_connections("tcp")
    except (psutil.Error, OSError):  # macOS tells it to root only
        return set()
    return {
        one.pid
        for one in sockets
        if one.pid and one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port
    }


def _process(pid: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid)
    return None
