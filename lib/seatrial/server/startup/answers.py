"""Answers of an engine that does not get ready: they often name the fault, and show that waiting is no use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from seatrial.printable import printable
from seatrial.secret_text import MASK, SECRET, masked, secrets_of
from seatrial.server.loopback import HttpReply

_LONGEST = 200
CLIENT_S, SERVER_S = 10.0, 30.0  # how long a request is repeated after the same 4xx, or 5xx, while nothing else moves
_CLIENT_ERRORS, _SERVER_ERRORS = HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR
_TEMPORARY = frozenset({408, 425, 429, 502, 503, 504})  # busy, loading, the part behind it not up yet
_NOT_SERVED = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
_REMEDIES = {
    401: "It wants another key than the one of this launch: leave out what sets one.",
    403: "It wants another key than the one of this launch: leave out what sets one.",
    404: "It does not serve what was asked for: look at the model's name, the runner and its version (seatrial engines).",
    405: "It does not serve what was asked for: look at the runner and its version (seatrial engines).",
}
_OBJECTS = "Change what the answer objects to: an engine option, the chat template or the checkpoint."
_FAILS = "It fails at every request; its log says where."


def questions(model: str) -> tuple[tuple[str, dict[str, object]], ...]:
    """Return two requests for one token; some models have no chat template."""
    asked = {"model": model, "max_tokens": 1}
    chat = {**asked, "messages": [{"role": "user", "content": "Hi"}]}
    return ("/v1/chat/completions", chat), ("/v1/completions", {**asked, "prompt": "Hi"})


@dataclass(slots=True)
class Refusals:
    """The same error answered again and again by an engine that says it is healthy."""

    status: int = 0  # HTTP status of the last answer
    since: float = field(default_factory=time.monotonic)  # when it was first the same

    def note(self, status: int, now: float) -> None:
        """Note the status of an answer and its time."""
        if status != self.status:
            self.status, self.since = status, now

    @property
    def is_error(self) -> bool:
        """True if the last answer is an error that does not pass with time."""
        return self.status >= _CLIENT_ERRORS and self.status not in _TEMPORARY

    def final(self, now: float, still_s: float, limit_s: float) -> bool:
        """Return True if waiting on is no use.

        While something else moves, an engine may still be loading, even if it says it is healthy. A client error is about
        the request, which stays the same: nobody waits for it longer than for a stall.

        Args:
            now: Monotonic time.
            still_s: Seconds without any progress.
            limit_s: Seconds without progress after which an engine has stalled.

        """
        lasted = now - self.since
        if not self.is_error:
            return False
        if self.status >= _SERVER_ERRORS:
            return min(lasted, still_s) >= SERVER_S
        return min(lasted, still_s) >= CLIENT_S or lasted >= limit_s

    @property
    def remedy(self) -> str:
        """Advice on what to do about it."""
        return _REMEDIES.get(self.status, _FAILS if self.status >= _SERVER_ERRORS else _OBJECTS)


def most_informative(replies: Sequence[tuple[str, HttpReply]]) -> tuple[str, HttpReply]:
    """Return a success if there is one; else prefer a temporary error, then one of a path that is served."""
    ranked = sorted(replies, key=lambda each: (each[1].status not in {0, *_TEMPORARY}, each[1].status in _NOT_SERVED))
    return next((each for each in replies if each[1].status < _CLIENT_ERRORS and each[1].status), ranked[0])


def answer_text(path: str, reply: HttpReply, key: str) -> str:
    """Return request and answer as words to follow "answered", without secrets and control characters.

    Args:
        path: Path of the request.
        reply: The answer.
        key: API key of the launch, which an answer may repeat.

    """
    text = masked(
        " ".join(reply.body[: 16 * _LONGEST].decode(errors="replace").split()), filter(None, (key, *secrets_of()))
    )
    shown = printable(SECRET.sub(MASK, text))[:_LONGEST]
    return f"{path} with HTTP {reply.status}" + (f": {shown}" if shown else "")
