"""Sends requests to a server on this machine: at its own address, no redirects, never more than a megabyte or too long."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from seatrial.json_text import JsonError, parse_json
from seatrial.server.processes import LOOPBACK

_LARGEST_ANSWER = 1 << 20
_LOOK_S = 0.1
NO_ANSWER = (OSError, http.client.HTTPException)  # raised if nobody answers, or not in HTTP


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An HTTP status and the beginning of its body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON, None if it is something else."""
        try:
            return parse_json(self.body)
        except JsonError:
            return None


class BoundedReads(io.RawIOBase):
    """Reads of a socket that all end together: every byte that drips in is answered with a look at the time."""

    def __init__(self, sock: socket.socket, still_worth_it: Callable[[], None]) -> None:
        self._socket, self._still_worth_it = sock, still_worth_it

    def makefile(self, *_: object) -> io.BufferedReader:
        """Return the file that ``http.client`` reads its answer from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return True: it is read from."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has come, once something has."""
        while True:
            self._still_worth_it()
            with contextlib.suppress(TimeoutError):
                return self._socket.recv_into(buffer)


def ask(  # noqa: PLR0913 -- parts of a request
    port: int,
    path: str,
    *,
    key: str | None = None,
    body: dict[str, Any] | None = None,
    host: str = LOOPBACK,
    timeout_s: float = 1.0,
    while_waiting: Callable[[], None] | None = None,
) -> HttpReply:
    """Send one request to a server of ours: POST with a body, else GET.

    Args:
        port: Port on this machine.
        path: Path beginning with ``/``.
        key: API key to send; give it only to a server known to be ours.
        body: JSON body.
        host: Address of this machine at which the server is reached.
        timeout_s: Seconds to connect, and for the whole answer unless ``while_waiting`` is given.
        while_waiting: Called ten times a second, and at each piece of the answer, until that is whole. It raises once
            waiting is no use; no other limit on the time holds then.

    Raises:
        OSError: If nobody answers, or not in time.
        http.client.HTTPException: If the server does not speak HTTP.

    """
    deadline = time.monotonic() + timeout_s

    def in_time() -> None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no whole answer within {timeout_s:g} s")

    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        if body is None:
            connection.request("GET", path, headers=headers)
        else:
            connection.request("POST", path, json.dumps(body), {**headers, "Content-Type": "application/json"})
        connection.sock.settimeout(_LOOK_S)
        reads = BoundedReads(connection.sock, while_waiting or in_time)
        with http.client.HTTPResponse(cast("socket.socket", reads)) as answer:
            answer.begin()
            return HttpReply(answer.status, answer.read(_LARGEST_ANSWER))
    finally:
        connection.close()


def served_models(reply: HttpReply) -> list[str]:
    """Return the model ids in an answer to ``/v1/models``."""
    return listed_models(reply.json())


def listed_models(document: Any) -> list[str]:
    """Return the model ids in a document of ``/v1/models``; none if it does not follow the contract."""
    return [str(row["id"]) for row in _rows(document, "data") if "id" in row]


def generated_a_token(reply: HttpReply) -> bool:
    """Return True if an answer to a completion holds at least one token."""
    answer = reply.json()
    choices = _rows(answer, "choices")
    if not choices:
        return False
    usage = answer.get("usage")
    if isinstance(usage, dict) and isinstance(usage.get("completion_tokens"), int):
        return bool(usage["completion_tokens"] > 0)
    message = choices[0].get("message")
    text = message if isinstance(message, dict) else {}
    return bool(choices[0].get("text") or text.get("content") or text.get("reasoning_content"))


def _rows(document: Any, name: str) -> list[dict[str, Any]]:
    """Return the objects listed under a name; none if the document does not follow the contract."""
    listed = document.get(name) if isinstance(document, dict) else None
    return [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
