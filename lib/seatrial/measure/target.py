"""The server to measure: its checked URL, the model, and the key that goes only there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.errors import UsageError
from seatrial.printable import shortened
from seatrial.urls import check_address as check_address
from seatrial.urls import check_url

if TYPE_CHECKING:  # the measuring client does without the planner, which engines bring
    from seatrial.server.metrics import ServerMetrics
    from seatrial.server.running import Server

_MAX_KEY = 2048
_MAX_MODEL = 1 << 16  # characters; a path of the engine's machine is the longest that makes sense


@dataclass(frozen=True, slots=True)
class Target:
    """A server to measure."""

    url: str  # base, without /v1 and without a slash at the end
    model: str | None = None  # id; None for the one the server lists
    api_key: str | None = None  # sent as bearer token; never shown
    engine: str | None = None  # id, if known
    pid: int | None = None  # of its process on this machine
    stand_in: bool = False
    simulated: bool = False
    metrics: Callable[[float], ServerMetrics | None] | None = None  # of a server that this kit launched

    def __repr__(self) -> str:
        """Return the target without its key."""
        return f"Target(url={self.url!r}, model={self.model!r}, engine={self.engine!r}, pid={self.pid!r})"


def find_target(server: Server | str, *, api_key: str | None = None, model: str | None = None) -> Target:
    """Return the target of a URL or a launched server.

    Raises:
        UsageError: If no request may go to the URL, or the key or the model's id cannot be sent.

    """
    if isinstance(server, str):
        return Target(check_url(server), _checked_model(model), _checked_key(api_key))
    return Target(
        check_url(server.url),
        _checked_model(model) or server.model,
        _checked_key(api_key or server.api_key()),
        server.engine,
        server.pid,
        server.stand_in,
        server.simulated,
        getattr(server, "metrics", None),
    )


def _checked_model(model: str | None) -> str | None:
    """Return a model's id unchanged, None if it is empty; raise a UsageError if it cannot be sent."""
    if model and (len(model) > _MAX_MODEL or not is_sendable(model)):
        raise UsageError(
            f"The model id {shortened(model)!r} cannot be sent: it is longer than {_MAX_MODEL:,} characters, or no text.",
            remedy="Name one that the server lists at /v1/models.",
        )
    return model or None


def is_sendable(text: str) -> bool:
    """Return False if ``text`` holds half a character, as an argument that is no UTF-8 does: no server takes it."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def _checked_key(key: str | None) -> str | None:
    if key is None:
        return None
    if not key.strip() or not key.isascii() or not key.isprintable() or len(key) > _MAX_KEY:
        raise UsageError(
            "The API key is empty, too long or has characters that no HTTP header may carry.",
            remedy="Set it again, without line breaks.",
        )
    return key.strip()
