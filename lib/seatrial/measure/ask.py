"""Asks a server one question: a first look at its answers before anything is measured."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from seatrial.errors import MeasurementError, UsageError
from seatrial.given import number, text, whole
from seatrial.json_text import JsonError, parse_json
from seatrial.measure.client_limits import own_limit
from seatrial.measure.stream.chunks import error_text, one_line
from seatrial.measure.target import Target, find_target, is_sendable
from seatrial.measure.workload import MAX_TOKENS
from seatrial.server.running import NotLaunched, Server

_CONNECT_TIMEOUT_S = 10.0
_ERROR_TIMEOUT_S = 5.0  # for the rest of an error, whose beginning says why
_MAX_BYTES = 8 << 20
_MAX_ERROR_BYTES = 1 << 16
_MAX_TEMPERATURE = 2.0  # of the OpenAI API


@dataclass(frozen=True, slots=True)
class ChatReply:
    """Answer of a server. Its text is untrusted: show it only as text.

    Attributes:
        question: The user's message.
        text: The answer.
        reasoning: The model's reasoning before the answer; empty if it sent none.
        tokens: Tokens of both, None if the server does not count.
        took_s: Seconds from sending to the last byte.
        model: Id of the model that answered.
        stand_in: True for a stand-in rather than DeepSeek V4.
        simulated: True if no model answered.

    """

    question: str
    text: str
    reasoning: str
    tokens: int | None
    took_s: float
    model: str
    stand_in: bool
    simulated: bool


def ask(  # noqa: PLR0913 -- each is a choice of the person who asks
    server: Server | str | NotLaunched,
    question: str,
    *,
    model: str | None = None,
    api_key: str | None = None,
    answer_tokens: int = 64,
    temperature: float = 1.0,
    timeout_s: float = 120.0,
) -> ChatReply | NotLaunched:
    """Ask one question and wait for the complete answer.

    Args:
        server: A launched server, or the URL of an OpenAI-compatible one; ``NotLaunched`` is returned as it is.
        question: The user's message.
        model: Model id; needed with a URL.
        api_key: Sent as bearer token; a launched server knows its own.
        answer_tokens: Longest answer, reasoning counted in.
        temperature: DeepSeek recommends 1.0 for V4 (and top_p 1.0, sent with it).
        timeout_s: Longest wait for the complete answer.

    Raises:
        UsageError: If no request may go to the URL, the question is empty, or no server takes a number.
        MeasurementError: If the server does not answer, or answers with an error or something else.

    """
    question, answer_tokens = text("question", question), whole("answer_tokens", answer_tokens)
    temperature = number("temperature", temperature)
    _check(question, answer_tokens, temperature)
    if isinstance(server, NotLaunched):
        return server
    target = find_target(server, api_key=api_key, model=model)
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": answer_tokens,
        "temperature": temperature,
        "top_p": 1.0,
    }
    begun = time.perf_counter()
    answer = _post(target, "/v1/chat/completions", body, timeout_s)
    took_s = time.perf_counter() - begun
    return _read_reply(answer, question, target, took_s)


def _read_reply(answer: Any, question: str, target: Target, took_s: float) -> ChatReply:
    try:
        message = answer["choices"][0]["message"]
        text, *thoughts = (message.get(name) for name in ("content", "reasoning_content", "reasoning"))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise _no_completion(target) from error
    if not isinstance(text, str | None):
        raise _no_completion(target, f": its content is no text but {one_line(str(text))}")
    usage = answer.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return ChatReply(
        question=question,
        text=text or "",
        reasoning=next((thought for thought in thoughts if thought and isinstance(thought, str)), ""),
        tokens=tokens if type(tokens) is int and tokens >= 0 else None,
        took_s=took_s,
        model=str(target.model),
        stand_in=target.stand_in,
        simulated=target.simulated,
    )


def _no_completion(target: Target, why: str = "") -> MeasurementError:
    return MeasurementError(
        f"{target.url} did not answer with a chat completion{why}.", remedy="Look at the engine's log."
    )


def _check(question: str, answer_tokens: int, temperature: float) -> None:
    if not question.strip():
        raise UsageError("The question is empty.", remedy="Ask something in words.")
    if not is_sendable(question):
        raise UsageError("The question holds half a character (a lone surrogate).", remedy="Write it in UTF-8.")
    if not 1 <= answer_tokens <= MAX_TOKENS:
        raise UsageError(
            f"answer_tokens is {answer_tokens:,}.", remedy=f"Choose a whole number from 1 to {MAX_TOKENS:,}."
        )
    if not 0 <= temperature <= _MAX_TEMPERATURE:
        raise UsageError(f"temperature is {temperature:g}.", remedy=f"Choose a number from 0 to {_MAX_TEMPERATURE:g}.")


def _post(target: Target, path: str, body: dict[str, Any], timeout_s: float) -> Any:
    """Send a POST request; no redirect is followed, so that the key goes nowhere else."""
    parts = urlsplit(target.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=min(timeout_s, _CONNECT_TIMEOUT_S))
    headers = {"Content-Type": "application/json"}
    if target.api_key:
        headers["Authorization"] = f"Bearer {target.api_key}"
    try:
        with _errors_named(target, "no connection"):
            connection.connect()
        check_address(connection.sock.getpeername()[0], parts.hostname or "")
        with _errors_named(target, "no complete answer"), _cut_after(connection.sock, timeout_s):
            sock = connection.sock
            connection.request("POST", parts.path + path, json.dumps(body), headers)
            with connection.getresponse() as response:
                if response.status != HTTPStatus.OK:
                    raise _refusal(target, response, sock)
                content = response.read(_MAX_BYTES)
    finally:
        connection.close()
    try:
        return parse_json(content, mend_halves=True)
    except JsonError as error:
        raise _no_completion(target, f": what it sent {error}") from error


def _refusal(target: Target, response: http.client.HTTPResponse, sock: socket.socket) -> MeasurementError:
    """Return the server's error with what came of its reason in time: the rest may drip, or never end."""
    content = bytearray()
    with contextlib.suppress(OSError, http.client.HTTPException), _cut_after(sock, _ERROR_TIMEOUT_S):
        while len(content) < _MAX_ERROR_BYTES and (piece := response.read1(_MAX_ERROR_BYTES)):
            content += piece
    reason = error_text(bytes(content)) or one_line(response.reason) or "no reason given"
    return MeasurementError(f"{target.url} answered {response.status}: {reason}", remedy="Look at its log.")


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
        UsageError: If a limit of this machine was reached.
        MeasurementError: If the server did not answer.

    """
    begun = time.monotonic()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        limit = own_limit(error)
        if limit is not None:
            raise UsageError(f"The question cannot be sent: {limit.what}.", remedy=f"{limit.remedy}.") from error
        late = isinstance(error, TimeoutError) and error.errno is None
        why = (
            f"within {time.monotonic() - begun:.0f} s" if late else f"({one_line(str(error)) or type(error).__name__})"
        )
        raise MeasurementError(
            f"{target.url} does not answer: {what} {why}.",
            remedy="Check whether it runs: seatrial ps, and seatrial logs.",
        ) from error
