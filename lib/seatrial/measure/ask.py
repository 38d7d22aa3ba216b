"""Asks a server one question: a first look at its answers before anything is measured."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from seatrial.errors import MeasurementError, UsageError
from seatrial.given import number, text, whole
from seatrial.json_text import JsonError
from seatrial.measure.remote import with_model
from seatrial.measure.single_request import Reply, request_once
from seatrial.measure.stream.chunks import one_line
from seatrial.measure.target import RemoteServer, Target, find_target, is_sendable
from seatrial.measure.workload import MAX_TOKENS
from seatrial.server.running import NotLaunched, Server

CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"
_NAMES_MODEL = re.compile(r"\bmodels?\b", re.IGNORECASE)
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
    server: Server | RemoteServer | str | NotLaunched,
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
        server: A server from ``launch`` or ``open_server``, or the URL of any OpenAI-compatible one, also of one that
            only completes text; ``NotLaunched`` is returned as it is.
        question: The user's message.
        model: Model id; by default the one the server lists.
        api_key: Sent as bearer token; a launched server knows its own.
        answer_tokens: Longest answer, reasoning counted in.
        temperature: DeepSeek recommends 1.0 for V4 (and top_p 1.0, sent with it).
        timeout_s: Longest wait for the complete answer.

    Raises:
        UsageError: If no request may go to the URL, its certificate is not trusted, it asks for a key or a model's
            name, the question is empty, or no server takes a number.
        MeasurementError: If the server does not answer, or answers with an error or something else.

    """
    question, answer_tokens = text("question", question), whole("answer_tokens", answer_tokens)
    temperature = number("temperature", temperature)
    _check(question, answer_tokens, temperature)
    if isinstance(server, NotLaunched):
        return server
    target = with_model(find_target(server, api_key=api_key, model=model))
    settings = {"model": target.model, "max_tokens": answer_tokens, "temperature": temperature, "top_p": 1.0}
    begun = time.perf_counter()
    reply = request_once(target, CHAT, {**settings, "messages": [{"role": "user", "content": question}]}, timeout_s)
    if _has_no_chat(reply):
        reply = request_once(target, PLAIN, {**settings, "prompt": question}, timeout_s)
    took_s = time.perf_counter() - begun
    if reply.reason:
        raise reply.refusal(target)
    return _read_reply(reply, question, target, took_s)


def _has_no_chat(reply: Reply) -> bool:
    """Return True if only plain completions can be asked for: no such path, or no chat template."""
    if reply.no_such_page:
        return not _NAMES_MODEL.search(reply.reason)
    return "chat template" in reply.reason.casefold()


def _read_reply(reply: Reply, question: str, target: Target, took_s: float) -> ChatReply:
    try:
        answer = reply.document()
    except JsonError as error:
        raise _no_completion(target, f": what it sent {error}") from error
    try:
        choice = answer["choices"][0]
        message = choice.get("message") or {"content": choice["text"]}
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
