"""Addresses a server may listen on: only this machine's loopback, unless a person explicitly allows others."""

from __future__ import annotations

import ipaddress
import re
import socket

from seatrial.errors import RefusedError, UsageError
from seatrial.printable import shortened
from seatrial.server import processes
from seatrial.server.processes import LOOPBACK, plain

_LONGEST_NAME = 253
LARGEST_PORT = 65535
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9.:])?|::[0-9A-Fa-f.:]*")
_EXPOSE = "Use 127.0.0.1 and reach it by ssh -L, or add --expose if everybody who reaches that address may try the key."

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def listening_address(host: str, *, expose: bool = False, keyed: bool = True, engine: str = "the engine") -> str:
    """Return the one address an engine is to listen on: resolved once, so that no later answer of a name server counts.

    Args:
        host: An address of this machine, or a name that resolves to one.
        expose: True if other machines may reach it.
        keyed: True if the engine refuses requests without its key.
        engine: Engine id, for messages.

    Raises:
        UsageError: If it is no address of this machine, or other machines reach it without ``expose``.
        RefusedError: If other machines reach it, and the engine knows no key.

    """
    found = _resolved(host)
    open_ones = [address for address in found if not address.is_loopback]
    if open_ones and not expose:
        meant = "" if str(open_ones[0]) == host else f" ({open_ones[0]})"
        raise UsageError(f"{shortened(host)!r}{meant} is open to other machines.", remedy=_EXPOSE)
    if open_ones and not keyed:
        raise RefusedError(
            f"{engine} knows no API key: on {host} everybody who reaches it could use it.",
            remedy="Leave --host out, and reach it by ssh -L.",
        )
    address = next((one for one in found if str(one) == LOOPBACK), found[0])
    if not address.is_unspecified:
        _check_local(address, host)
    return str(address)


def reachable(address: str) -> str:
    """Return the address at which this machine reaches a server that listens on ``address``: loopback for "any"."""
    one = plain(address)
    if not one.is_unspecified:
        return str(one)
    return LOOPBACK if isinstance(one, ipaddress.IPv4Address) else "::1"


def url_host(address: str) -> str:
    """Return the address as a URL writes it."""
    reached = reachable(address)
    return f"[{reached}]" if ":" in reached else reached


def check_port(port: int, host: str = LOOPBACK) -> None:
    """Check that a server can listen on a port; 0 stands for any free one.

    Raises:
        UsageError: If the port does not exist, is reserved, or is taken; the message names its owner.

    """
    if not 0 <= port <= LARGEST_PORT:
        raise UsageError(f"{port} is no port: ports run from 1 to {LARGEST_PORT}.", remedy="Leave --port out.")
    try:
        free = port == 0 or processes.port_is_free(port, host)
    except PermissionError as error:
        raise UsageError(
            f"Port {port} is reserved: this user may not listen on it.", remedy="Choose one above 1023."
        ) from error
    if not free:
        pid, owner = processes.port_owner(port, host)
        raise UsageError(
            f"Port {port} is taken by {owner}{f' (pid {pid})' if pid else ''}.",
            remedy="Choose another, or leave --port out, so that a free one is chosen.",
        )


def _resolved(host: str) -> list[Address]:
    if len(host) > _LONGEST_NAME or not _HOST.fullmatch(host):
        raise UsageError(
            f"{shortened(host)!r} is no address to listen on.", remedy="Give only an address, without port: 127.0.0.1."
        )
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"{shortened(host)!r} has no address on this machine.", remedy="Give an address of this machine."
        ) from error
    found = list(dict.fromkeys(plain(str(row[4][0])) for row in rows))
    if any(address.is_multicast or address.is_link_local for address in found):
        raise UsageError(
            f"{shortened(host)!r} is no address of one machine.", remedy="Give an address of this machine."
        )
    return found


def _check_local(address: Address, host: str) -> None:
    family = socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((str(address), 0))
    except OSError as error:
        raise UsageError(
            f"{shortened(host)!r} is no address of this machine ({error.strerror}).",
            remedy="Leave --host out: 127.0.0.1.",
        ) from error
