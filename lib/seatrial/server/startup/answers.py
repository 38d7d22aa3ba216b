"""What an engine that does not get ready answered last: often it says itself what is wrong."""

from __future__ import annotations

from seatrial.printable import printable
from seatrial.secret_text import MASK, SECRET, masked, secrets_of
from seatrial.server.loopback import Reply

LONGEST = 200


def last_answer(path: str, reply: Reply, key: str) -> str:
    """One sentence on an answer, without secrets and control characters; it follows why a start was given up.

    Args:
        path: What was asked for.
        reply: What came back.
        key: API key of the launch, which an answer may repeat.

    """
    text = masked(
        " ".join(reply.body[: 16 * LONGEST].decode(errors="replace").split()), filter(None, (key, *secrets_of()))
    )
    shown = printable(SECRET.sub(MASK, text))[:LONGEST]
    return f". It last answered {path} with HTTP {reply.status}" + (f": {shown}" if shown else "")
