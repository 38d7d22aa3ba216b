"""Connects to a host by an address that was checked: looked up once, so that no later answer of a name server counts."""

from __future__ import annotations

import ipaddress
import socket
import threading
import urllib.error
from concurrent.futures import Future
from typing import Any

from seatrial.addresses import Address, Reach, address_in, is_forbidden, plain_host, reach_of, spells_forbidden
from seatrial.errors import NetworkError
from seatrial.fetch.pace import SILENCE_S, Pace
from seatrial.printable import shortened

_LOOK_S = 0.25
_LOCAL_NAMES = ("localhost", ".localhost")


def connect(host: str, port: int, pace: Pace, nearest: Reach = Reach.THIS_MACHINE) -> socket.socket:
    """Connect to one of the addresses of ``host``, after each of them was checked.

    Args:
        host: A name, or an address in any spelling.
        port: Its port.
        pace: How long it may take.
        nearest: How near the host may be.

    Raises:
        NetworkError: If an address is one that no request goes to; nothing was connected to.
        URLError: If the host has no address, or does not answer.

    """
    pace.waiting_for = f"a connection to {host}"
    found = checked_addresses(host, port, pace, nearest)
    problem: OSError = OSError("it has no address")
    for family, address in found:
        limit_s = min(SILENCE_S, pace.remaining_s())
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(limit_s)
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise urllib.error.URLError(problem) from problem


def checked_addresses(host: str, port: int, pace: Pace, nearest: Reach = Reach.THIS_MACHINE) -> list[tuple[int, Any]]:
    """Return family and socket address of each address of ``host``, all of them checked; arguments as for ``connect``.

    Raises:
        NetworkError: If one of them is an address that no request goes to.
        URLError: If there is none.

    """
    plain = plain_host(host)
    if spells_forbidden(plain):
        raise _forbidden(host)
    spelled = address_in(plain)
    found = []
    for family, address in _look_up(str(spelled) if spelled else plain, port, pace):
        one = _plain_address(address)
        if is_forbidden(one):
            raise _forbidden(host)
        if reach_of(one) > nearest:
            raise _too_near(host)
        found.append((family, address))
    return found


def reach_of_host(host: str, pace: Pace) -> Reach:
    """Return how far away ``host`` is: by its spelling, or its farthest address; anywhere if it has none here."""
    plain = plain_host(host)
    spelled = address_in(plain)
    if spelled is not None:
        return reach_of(spelled)
    if plain == _LOCAL_NAMES[0] or plain.endswith(_LOCAL_NAMES[1]):
        return Reach.THIS_MACHINE
    try:
        found = _look_up(plain, 80, pace)
    except urllib.error.URLError:
        return Reach.ANYWHERE
    return min(reach_of(_plain_address(address)) for _, address in found)


def _plain_address(address: Any) -> Address:
    """Return the address of a socket address, without its zone."""
    return ipaddress.ip_address(str(address[0]).partition("%")[0])


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
        limit_s = min(_LOOK_S, pace.remaining_s())
        try:
            found = answer.result(limit_s)
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


def _too_near(host: str) -> NetworkError:
    return NetworkError(
        f"{shortened(host)} leads into a private network or to this machine itself, unlike the hub that redirects there."
        " Nothing was sent there.",
        remedy="Check HF_ENDPOINT, or use another hub: no public hub keeps its files there.",
    )
