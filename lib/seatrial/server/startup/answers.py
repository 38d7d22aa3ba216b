"""What an engine answers that does not get ready: often it says itself what is wrong, and that waiting is no use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from seatrial.printable import printable
from seatrial.secret_text import MASK, SECRET, masked, secrets_of
from seatrial.server.loopback import HttpReply

_LONGEST = 200
CLIENT_S, SERVER_S = 10.0, 30.0
"""How long the same 4xx, or 5xx, is asked again while nothing else moves."""
CLIENT_ERRORS, SERVER_ERRORS = 400, 500
_PASSING = frozenset({408, 425, 429, 502, 503, 504})
"""Busy, loading, the part behind it not up yet: these pass."""
_NOT_SERVED = (404, 405)
_REMEDIES = {
    401: "It wants another key than the one of this launch: leave out what sets one.",
    403: "It wants another key than the one of this launch: leave out what sets one.",
    404: "It does not serve what was asked for: look at the model's name, the runner and its version (seatrial engines).",
    405: "It does not serve what was asked for: look at the runner and its version (seatrial engines).",
}
_OBJECTS = "Change what the answer objects to: an engine option, the chat template or the checkpoint."
_FAILS = "It fails at every request; its log says where."


def questions(model: str) -> tuple[tuple[str, dict[str, object]], ...]:
    """Two ways to ask for one token; some models have no chat template."""
    asked = {"model": model, "max_tokens": 1}
    chat = {**asked, "messages": [{"role": "user", "content": "Hi"}]}
    return ("/v1/chat/completions", chat), ("/v1/completions", {**asked, "prompt": "Hi"})


@dataclass(slots=True)
class Refusals:
    """The same error answered again and again, by an engine that says it is healthy.

    Attributes:
        status: HTTP status of the last answer.
        since: Monotonic time since when it has been the same.

    """

    status: int = 0
    since: float = field(default_factory=time.monotonic)

    def note(self, status: int, now: float) -> None:
        """What was answered at a time."""
        if status != self.status:
            self.status, self.since = status, now

    @property
    def is_error(self) -> bool:
        """Whether the last answer is one that time alone does not make better."""
        return self.status >= CLIENT_ERRORS and self.status not in _PASSING

    def final(self, now: float, still_s: float, limit_s: float) -> bool:
        """Whether there is no use in waiting on.

        While something else moves an engine may still be loading, whatever it says of its health. A client error goes
        on about the question, which stays the same: it is waited for no longer than a stall.

        Args:
            now: Monotonic time.
            still_s: Seconds for which nothing has moved.
            limit_s: Seconds without progress after which an engine has stalled.

        """
        lasted = now - self.since
        if not self.is_error:
            return False
        if self.status >= SERVER_ERRORS:
            return min(lasted, still_s) >= SERVER_S
        return min(lasted, still_s) >= CLIENT_S or lasted >= limit_s

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES.get(self.status, _FAILS if self.status >= SERVER_ERRORS else _OBJECTS)


def telling(replies: Sequence[tuple[str, HttpReply]]) -> tuple[str, HttpReply]:
    """Of what was answered to several questions the one that says most: one that passes, then one that was served."""
    ranked = sorted(replies, key=lambda told: (told[1].status not in {0, *_PASSING}, told[1].status in _NOT_SERVED))
    return next((told for told in replies if told[1].status < CLIENT_ERRORS and told[1].status), ranked[0])


def answer_text(path: str, reply: HttpReply, key: str) -> str:
    """What was asked for and what came back, without secrets and control characters, to follow "answered".

    Args:
        path: What was asked for.
        reply: What came back.
        key: API key of the launch, which an answer may repeat.

    """
    text = masked(
        " ".join(reply.body[: 16 * _LONGEST].decode(errors="replace").split()), filter(None, (key, *secrets_of()))
    )
    shown = printable(SECRET.sub(MASK, text))[:_LONGEST]
    return f"{path} with HTTP {reply.status}" + (f": {shown}" if shown else "")
