"""Opens connections to one server and keeps them for the requests that follow.

There is no limit, because a limit in the client would hide the server's overload.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import SplitResult

from seatrial.environment import variable
from seatrial.errors import UsageError
from seatrial.measure.client.connection import Connection
from seatrial.measure.client.failure import RequestError, no_connection, unknown_host
from seatrial.measure.client_limits import CLIENT_LIMIT, own_limit
from seatrial.measure.target import check_address

if TYPE_CHECKING:
    import ssl

# uvicorn closes a silent connection after 5 s: give it up before, or a request meets the closing.
_KEEPALIVE_S = 4.0
_CONNECT_TIMEOUT_S = 10.0  # of each address
_AT_ONCE = 64  # connections being made: a server's line of those not yet taken up has 128 places, or fewer
_HTTP, _HTTPS = 80, 443


class Pool:
    """Connections to the host of a URL."""

    def __init__(self, parts: SplitResult) -> None:
        self._host = parts.hostname or ""
        self._port = parts.port or (_HTTPS if parts.scheme == "https" else _HTTP)
        self._tls = _tls_context() if parts.scheme == "https" else None
        self._addresses: list[str] = []  # of the host, each checked; looked up once, so that they never change
        self._looking_up = asyncio.Lock()
        self._idle: dict[Connection, float] = {}  # since when, the oldest first
        self._every: set[Connection] = set()

    async def open_idle(self, number: int) -> None:
        """Have ``number`` fresh connections, handshake included; those that fail are left to the requests."""
        stale = time.monotonic() - _KEEPALIVE_S / 2
        for old in [one for one, since in self._idle.items() if since < stale]:
            old.close()
            del self._idle[old]
        missing = number - len(self._idle)
        for begin in range(0, missing, _AT_ONCE):
            batch = min(_AT_ONCE, missing - begin)
            made = await asyncio.gather(*(self._open() for _ in range(batch)), return_exceptions=True)
            for connection in made:
                if isinstance(connection, Connection):
                    self._release(connection)

    async def take(self) -> tuple[Connection, bool]:
        """Return a connection, and True if it was open already; raise RequestError if none can be made."""
        while self._idle:
            # The oldest first: a server that answers one connection after the other waits for its request.
            connection, since = next(iter(self._idle.items()))
            del self._idle[connection]
            if connection.open and time.monotonic() - since < _KEEPALIVE_S:
                return connection, True
            connection.close()
        return await self._open(), False

    def close(self) -> None:
        """Close every connection at once."""
        for connection in list(self._every):
            connection.close()

    async def _open(self) -> Connection:
        begun = time.monotonic()
        failed: RequestError | None = None
        for address in await self._look_up():
            try:
                connection = await self._connect(address)
            except OSError as error:  # TimeoutError and the errors of TLS are such
                failed = no_connection(error, self._host, self._port, address, time.monotonic() - begun)
                if failed.kind == CLIENT_LIMIT:
                    break
            else:
                if address != self._addresses[0]:  # as localhost, of a server that listens on 127.0.0.1 only
                    self._addresses = [address, *(one for one in self._addresses if one != address)]
                return connection
        raise failed or unknown_host()

    async def _connect(self, address: str) -> Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            _, connection = await loop.create_connection(
                lambda: Connection(self._release, self._forget),
                address,
                self._port,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
        self._every.add(connection)
        return connection

    async def _look_up(self) -> list[str]:
        async with self._looking_up:
            if not self._addresses:
                self._addresses = await self._addresses_of(self._host)
        return self._addresses

    async def _addresses_of(self, host: str) -> list[str]:
        try:
            found = [str(ipaddress.ip_address(host))]
        except ValueError:
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    rows = await asyncio.get_running_loop().getaddrinfo(host, self._port, type=socket.SOCK_STREAM)
            except TimeoutError as error:
                why = f"the look-up of the host name took more than {_CONNECT_TIMEOUT_S:g} s"
                raise RequestError("unknown_host", why) from error
            except (OSError, UnicodeError, RuntimeError) as error:
                limit = own_limit(error)
                raise unknown_host() if limit is None else RequestError(CLIENT_LIMIT, str(limit)) from error
            found = list(dict.fromkeys(str(row[4][0]) for row in rows))
        for address in found:
            try:
                check_address(address, host)
            except UsageError as error:
                raise RequestError("refused_address", error.what.rstrip("."), remedy=error.remedy) from error
        return found

    def _release(self, connection: Connection) -> None:
        self._idle[connection] = time.monotonic()

    def _forget(self, connection: Connection) -> None:
        self._idle.pop(connection, None)
        self._every.discard(connection)


def _tls_context() -> ssl.SSLContext:
    """Return a context that trusts what the system trusts, or the certificates in SSL_CERT_FILE.

    Raises:
        UsageError: If that file cannot be read.

    """
    import ssl

    context = ssl.create_default_context()
    # A server's own certificate is enough there, whoever signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    path = variable("SSL_CERT_FILE")
    if path:
        try:
            context.load_verify_locations(path)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"SSL_CERT_FILE names {path!r}, which holds no certificates that can be read "
                f"({getattr(error, 'strerror', None) or error}).",
                remedy="Let it name a file of certificates in PEM form, or unset it.",
            ) from error
    return context
