"""Sends one request to a server that a person names: https or http, the key only there, and a limit for everything."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from seatrial.errors import MeasurementError, UsageError
from seatrial.json_text import parse_json
from seatrial.measure.client.failure import refused_tls
from seatrial.measure.client_limits import own_limit
from seatrial.measure.stream.chunks import error_text, one_line
from seatrial.measure.target import Target, check_address

_HTTPS = 443
_CONNECT_TIMEOUT_S = 10.0
_ERROR_TIMEOUT_S = 5.0  # for the rest of an error, whose beginning says why
_MAX_BYTES = 8 << 20
_MAX_ERROR_BYTES = 1 << 16
_NO_SUCH_PAGE = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
_KEY_WANTED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, its body, and why it is an error."""

    status: int
    content: bytes  # empty of an error
    reason: str = ""  # the server's own words; empty unless it is an error

    @property
    def no_such_page(self) -> bool:
        """True if the server does not know the path."""
        return self.status in _NO_SUCH_PAGE

    def document(self) -> Any:
        """Return the body as JSON; raise JsonError if it is none."""
        return parse_json(self.content, mend_halves=True)

    def refusal(self, target: Target) -> MeasurementError | UsageError:
        """Return the error for an answer that is one."""
        if self.status in _KEY_WANTED:
            asks = "refuses this API key" if target.api_key else "asks for an API key"
            return UsageError(
                f"{target.url} {asks}: it answered {self.status}: {self.reason}",
                remedy="Name the environment variable that holds the key: api_key_env in a notebook, --api-key-env.",
            )
        return MeasurementError(f"{target.url} answered {self.status}: {self.reason}", remedy="Look at its log.")


def request_once(target: Target, path: str, body: dict[str, Any] | None, timeout_s: float) -> Reply:
    """Send one request, POST with a body and else GET; no redirect is followed, so that the key goes nowhere else.

    Raises:
        UsageError: If the address is forbidden, the certificate is not trusted, or a limit of this machine was reached.
        MeasurementError: If the server does not answer.

    """
    parts = urlsplit(target.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    host = parts.hostname or ""
    connection = kind(host, parts.port, timeout=min(timeout_s, _CONNECT_TIMEOUT_S))
    headers = {"Authorization": f"Bearer {target.api_key}"} if target.api_key else {}
    try:
        with _errors_named(target, "no connection"):
            connection.connect()
        check_address(connection.sock.getpeername()[0], host)
        with _errors_named(target, "no complete answer"), _cut_after(connection.sock, timeout_s):
            sock = connection.sock
            if body is None:
                connection.request("GET", parts.path + path, headers=headers)
            else:
                text = json.dumps(body)
                connection.request("POST", parts.path + path, text, {**headers, "Content-Type": "application/json"})
            with connection.getresponse() as response:
                if response.status == HTTPStatus.OK:
                    return Reply(response.status, response.read(_MAX_BYTES))
                return Reply(response.status, b"", _reason(response, sock))
    finally:
        connection.close()


def _reason(response: http.client.HTTPResponse, sock: socket.socket) -> str:
    """Return what came of the server's reason in time: the rest may drip, or never end."""
    content = bytearray()
    with contextlib.suppress(OSError, http.client.HTTPException), _cut_after(sock, _ERROR_TIMEOUT_S):
        while len(content) < _MAX_ERROR_BYTES and (piece := response.read1(_MAX_ERROR_BYTES)):
            content += piece
    return error_text(bytes(content)) or one_line(response.reason) or "no reason given"


@contextlib.contextmanager
def _cut_after(sock: socket.socket, limit_s: float) -> Iterator[None]:
    """End a connection after ``limit_s``, however slowly bytes drip; raise TimeoutError then.

    The time limit of a socket counts anew from each byte.
    """
    late = threading.Event()

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError):  # the server was faster
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # of TLS, too, without its goodbye

    sock.settimeout(limit_s)
    timer = threading.Timer(limit_s, cut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if late.is_set():
            raise TimeoutError


@contextlib.contextmanager
def _errors_named(target: Target, what: str) -> Iterator[None]:
    """Turn an error of the network into one that names the limit of this machine, or the time that passed.

    Raises:
        UsageError: If a limit of this machine was reached, or the certificate is not trusted.
        MeasurementError: If the server did not answer.

    """
    begun = time.monotonic()
    try:
        yield
    except ssl.SSLError as error:
        parts = urlsplit(target.url)
        why, remedy = refused_tls(error, parts.hostname or "", parts.port or _HTTPS)
        raise UsageError(f"{target.url} was not asked: {why}.", remedy=f"{remedy}.") from error
    except (OSError, http.client.HTTPException) as error:
        limit = own_limit(error)
        if limit is not None:
            raise UsageError(f"The request cannot be sent: {limit.what}.", remedy=f"{limit.remedy}.") from error
        late = isinstance(error, TimeoutError) and error.errno is None
        why = (
            f"within {time.monotonic() - begun:.0f} s" if late else f"({one_line(str(error)) or type(error).__name__})"
        )
        remedy = "Check whether it runs: seatrial ps, and seatrial logs."
        raise MeasurementError(f"{target.url} does not answer: {what} {why}.", remedy=remedy) from error
