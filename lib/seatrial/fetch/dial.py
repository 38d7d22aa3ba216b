"""Connects to a host by an address that was checked: looked up once, so that no later answer of a name server counts."""

from __future__ import annotations

import ipaddress
import socket
import threading
import urllib.error
from concurrent.futures import Future
from typing import Any

from seatrial.addresses import Address, address_in, is_forbidden, is_forbidden_name, plain_host
from seatrial.errors import NetworkError
from seatrial.fetch.pace import SILENCE_S, Pace
from seatrial.printable import shortened

_LOOK_S = 0.25
_LOCAL_NAMES = ("localhost", ".localhost")


def connect(host: str, port: int, pace: Pace, *, loopback: bool = True) -> socket.socket:
    """Connect to one of the addresses of ``host``, after each of them was checked.

    Args:
        host: A name, or an address in any spelling.
        port: Its port.
        pace: How long it may take.
        loopback: True if the host may be this machine.

    Raises:
        NetworkError: If an address is one that no request goes to; nothing was connected to.
        URLError: If the host has no address, or does not answer.

    """
    pace.waiting_for = f"a connection to {host}"
    found = checked_addresses(host, port, pace, loopback=loopback)
    problem: OSError = OSError("it has no address")
    for family, address in found:
        left_s = min(SILENCE_S, pace.left_s())
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(left_s)
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise urllib.error.URLError(problem) from problem


def checked_addresses(host: str, port: int, pace: Pace, *, loopback: bool = True) -> list[tuple[int, Any]]:
    """Return family and socket address of each address of ``host``, all of them checked; arguments as for ``connect``.

    Raises:
        NetworkError: If one of them is an address that no request goes to.
        URLError: If there is none.

    """
    plain = plain_host(host)
    spelled = address_in(plain)
    if is_forbidden_name(plain) or (spelled is not None and is_forbidden(spelled)):
        raise _forbidden(host)
    found = []
    for family, address in _look_up(str(spelled) if spelled else plain, port, pace):
        one = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if is_forbidden(one) or (not loopback and is_loopback(one)):
            raise _forbidden(host)
        found.append((family, address))
    return found


def is_loopback(address: Address) -> bool:
    """Return True if an address is this machine's own, also written as an IPv6 one."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def names_loopback(host: str, pace: Pace) -> bool:
    """Return True if ``host`` is this machine, by its spelling or by every address it has."""
    plain = plain_host(host)
    spelled = address_in(plain)
    if spelled is not None:
        return is_loopback(spelled)
    if plain == _LOCAL_NAMES[0] or plain.endswith(_LOCAL_NAMES[1]):
        return True
    try:
        found = _look_up(plain, 80, pace)
    except urllib.error.URLError:
        return False
    return all(is_loopback(ipaddress.ip_address(str(address[0]).partition("%")[0])) for _, address in found)


def _look_up(host: str, port: int, pace: Pace) -> list[tuple[int, Any]]:
    """Ask the name server in a thread: ``getaddrinfo`` has no limit of its own."""
    answer: Future[list[tuple[int, Any]]] = Future()

    def ask() -> None:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.set_result([(row[0], row[4]) for row in rows])
        except (OSError, ValueError, OverflowError) as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    while True:
        left_s = pace.left_s()
        try:
            found = answer.result(min(_LOOK_S, left_s))
        except TimeoutError:
            if answer.done():
                raise
        except OSError as error:
            raise urllib.error.URLError(error) from error
        except (ValueError, OverflowError) as error:
            raise urllib.error.URLError("its address, or one it redirects to, cannot be opened") from error
        else:
            if not found:
                raise urllib.error.URLError("it has no address")
            return found


def _forbidden(host: str) -> NetworkError:
    return NetworkError(
        f"{shortened(host)} is a link-local, metadata or other address that no file is fetched from. Nothing was sent there.",
        remedy="Check HF_ENDPOINT, or use another hub: a redirect there asks for credentials of this machine, not for a model.",
    )
