"""Asks a server one question: a first look at its answers before anything is measured."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from seatrial.errors import MeasurementError, UsageError
from seatrial.given import number, text, whole
from seatrial.measure.chunks import error_text
from seatrial.measure.target import Target, check_address, find_target
from seatrial.measure.workload import MAX_TOKENS
from seatrial.server.running import NotLaunched, Server

_MAX_BYTES = 8 << 20
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
        timeout_s: Longest silence.

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
        return ChatReply(
            question=question,
            text=message.get("content") or "",
            reasoning=message.get("reasoning_content") or message.get("reasoning") or "",
            tokens=(answer.get("usage") or {}).get("completion_tokens"),
            took_s=took_s,
            model=str(target.model),
            stand_in=target.stand_in,
            simulated=target.simulated,
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise MeasurementError(
            f"{target.url} did not answer with a chat completion.", remedy="Look at the engine's log."
        ) from error


def _check(question: str, answer_tokens: int, temperature: float) -> None:
    if not question.strip():
        raise UsageError("The question is empty.", remedy="Ask something in words.")
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
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    headers = {"Content-Type": "application/json"}
    if target.api_key:
        headers["Authorization"] = f"Bearer {target.api_key}"
    try:
        connection.connect()
        check_address(connection.sock.getpeername()[0], parts.hostname or "")
        connection.request("POST", parts.path + path, json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read(_MAX_BYTES)
        if response.status != HTTPStatus.OK:
            raise MeasurementError(
                f"{target.url} answered {response.status}: {error_text(content)}", remedy="Look at its log."
            )
        return json.loads(content)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise MeasurementError(
            f"{target.url} does not answer: {error or type(error).__name__}.",
            remedy="Check whether it runs: seatrial ps, and seatrial logs.",
        ) from error
    finally:
        connection.close()
