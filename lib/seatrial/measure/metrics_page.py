"""Asks a server for its figures again and again while it is measured: in bounded time, over one connection."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.errors import UsageError
from seatrial.measure.target import check_address
from seatrial.printable import shortened
from seatrial.server.loopback import NO_ANSWER, BoundedReads
from seatrial.server.metrics import ServerMetrics, read_metrics, recognise

_LARGEST_BYTES = 4 << 20  # vLLM writes some 100 kB for each replica
_LOOK_S = 0.1
_LIMIT_S = 1.0
_PAUSE_S = 10.0  # after an answer that has no figures: the next is hardly another
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_NO_PAGE = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)


class MetricsPage:
    """The ``/metrics`` of a server. No redirect is followed, so that the key goes nowhere else.

    Args:
        url: Base of the server, as ``find_target`` checked it.
        api_key: Sent as bearer token.
        engine: Id of the engine; None: found by the names on the page.

    """

    def __init__(self, url: str, api_key: str | None = None, engine: str | None = None) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port)
        self._connection.response_class = cast("type[http.client.HTTPResponse]", self._bounded)
        self._host, self._path = parts.hostname or "", f"{parts.path}/metrics"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._shown = shortened(f"{url}/metrics")
        self._engine = engine if engine in engine_ids() else None
        self._why = f"{self._shown} was not asked"
        self._not_before = self._deadline = 0.0
        self._lock = threading.Lock()  # the telemetry asks in a thread of its own

    def read(self, timeout_s: float = _LIMIT_S) -> ServerMetrics | None:
        """Return the figures of the server; None if it does not answer with any within ``timeout_s``."""
        with self._lock:
            if time.monotonic() < self._not_before:
                return None
            try:
                status, text = self._ask(timeout_s)
            except (*NO_ANSWER, UsageError) as error:
                self._connection.close()
                self._why = f"{self._shown} does not answer ({shortened(str(error)) or type(error).__name__})"
                return None
            found = self._figures(status, text)
            if found is None:
                self._connection.close()  # a small server may serve one connection at a time
                self._not_before = time.monotonic() + _PAUSE_S
            return found

    def why_missing(self, figure: str, *, page: bool) -> str:
        """Return why a figure is missing; ``page`` tells whether any figure was there."""
        if not page or self._engine is None:
            return self._why
        title = engine_facts(self._engine).title
        if getattr(engine_facts(self._engine).metrics, figure):
            return f"{self._shown} of this {title} does not show it"
        return f"{title} does not show it in its /metrics"

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def _ask(self, timeout_s: float) -> tuple[int, str]:
        self._deadline = time.monotonic() + timeout_s
        if self._connection.sock is not None:
            try:
                return self._ask_once()
            except (ConnectionError, http.client.HTTPException):  # it closed the connection since
                self._connection.close()
        self._connection.timeout = timeout_s
        self._connection.connect()
        check_address(self._connection.sock.getpeername()[0], self._host)
        return self._ask_once()

    def _ask_once(self) -> tuple[int, str]:
        self._connection.request("GET", self._path, headers=self._headers)
        self._connection.sock.settimeout(_LOOK_S)
        with self._connection.getresponse() as response:
            body = response.read(_LARGEST_BYTES)
            if not response.isclosed() and response.read(1):  # the rest is not wanted, its last line is cut
                self._connection.close()
                body = body[: body.rfind(b"\n") + 1]
            return response.status, body.decode("utf-8", "replace")

    def _bounded(self, sock: Any, *_: Any, **options: Any) -> http.client.HTTPResponse:
        def in_time() -> None:
            if time.monotonic() > self._deadline:
                raise TimeoutError("no whole answer in time")

        return http.client.HTTPResponse(cast("socket.socket", BoundedReads(sock, in_time)), **options)

    def _figures(self, status: int, text: str) -> ServerMetrics | None:
        self._engine = self._engine or (recognise(text) if status == HTTPStatus.OK else None)
        found = read_metrics(text, engine_facts(self._engine).metrics) if self._engine else ServerMetrics()
        if status == HTTPStatus.OK and found != ServerMetrics():
            return found
        if status == HTTPStatus.OK:
            why = "has none of the figures that engines show"
        elif status in _REFUSED:
            why = f"wants another API key ({status})"
        elif status in _NO_PAGE:
            why = f"is not there ({status}){self._remedy()}"
        else:
            why = f"answered {status}"
        self._why = f"{self._shown} {why}"
        return None

    def _remedy(self) -> str:
        engines = (engine_facts(name) for name in ([self._engine] if self._engine else engine_ids()))
        shown = [
            f"{facts.title} shows it with {facts.metrics.turned_on_by}"
            for facts in engines
            if facts.metrics.turned_on_by
        ]
        return f": {', '.join(shown)}" if shown else ""
