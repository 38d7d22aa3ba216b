"""Waits out a server that stumbles, gives up on one that will not answer, and says which."""

from __future__ import annotations

import contextlib
import http.client
import time
import urllib.error
from email.utils import parsedate_to_datetime

from seatrial.errors import NetworkError, SeatrialError, UsageError
from seatrial.fetch.progress import FetchProgress

_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_RETRIED = frozenset({408, 416, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed (416: from the start instead of in the middle)."""


class RetryPolicy:
    """Bounded retries: pauses that double, at most :data:`ATTEMPTS` in a row without progress."""

    def __init__(self, what: str, host: str, progress: FetchProgress) -> None:
        self.what = what
        self.host = host
        self.progress = progress
        self.failures = 0
        self.best_bytes = 0

    def reached(self, size_bytes: int) -> None:
        """The file has grown to ``size_bytes``: if that is further than ever, the next failure is the first again."""
        if size_bytes > self.best_bytes:
            self.best_bytes = size_bytes
            self.failures = 0

    def pause(self, why: str, retry_after_s: float | None = None) -> None:
        """Wait before the next attempt.

        Raises:
            NetworkError: That was the last one.

        """
        self.failures += 1
        if self.failures >= _ATTEMPTS:
            raise NetworkError(
                f"{self.what}: {why}, {self.failures} times in a row.",
                remedy="Try again later: what has arrived is kept. --source DIR takes the files from a folder.",
            )
        pause_s = _FIRST_PAUSE_S * 2 ** (self.failures - 1) if retry_after_s is None else retry_after_s
        pause_s = min(pause_s, _LONGEST_PAUSE_S)
        text = f"{self.what}: {why}; attempt {self.failures + 1} of {_ATTEMPTS} in {pause_s:.1f} s"
        self.progress.say("retry", text)
        time.sleep(pause_s)

    def wait_or_raise(self, error: OSError | http.client.HTTPException) -> None:
        """Wait where trying again can help, otherwise say why it cannot.

        Raises:
            NetworkError: The host cannot be reached, refuses, or failed too often.
            UsageError: It has nothing of that name.

        """
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            if error.code not in _RETRIED:
                raise refused(self.what, error.code) from error
            self.pause(f"the server answers {error.code}", retry_after_s(error))
        elif self.best_bytes == 0 and _offline(error):
            raise NetworkError(
                f"{self.host} cannot be reached: {_plain_reason(error)}.",
                remedy="Check the network, set HF_ENDPOINT to a mirror, or use --source DIR with files you have.",
            ) from error
        else:
            self.pause(_plain_reason(error))


def retry_after_s(error: urllib.error.HTTPError) -> float | None:
    """Seconds a server asks to wait, None where it says nothing readable."""
    text = (error.headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:6])
    with contextlib.suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None


def refused(what: str, status: int) -> SeatrialError:
    """The error for an answer that trying again does not change."""
    if status in {401, 403}:
        return NetworkError(
            f"{what}: the server refuses access ({status}).",
            remedy="Accept the model's licence on its page if it has one, and set HF_TOKEN to a token that may read it.",
        )
    if status == http.client.NOT_FOUND:
        return UsageError(f"{what}: there is nothing of that name on the server (404).", remedy="Check the spelling.")
    return NetworkError(f"{what}: the server answers {status}.", remedy="Try again later, or use --source DIR.")


def _offline(error: Exception) -> bool:
    """Whether no connection came about at all: without a network, waiting does not help."""
    reason = getattr(error, "reason", None)
    return isinstance(error, urllib.error.URLError) and not isinstance(reason, (TimeoutError, ConnectionResetError))


def _plain_reason(error: BaseException) -> str:
    """Why a connection failed, in a few words without a traceback."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(str(text).split())[:160]
