"""Retries a request while that can help, and else raises an error that names the host and the reason."""

from __future__ import annotations

import contextlib
import http.client
import time
import urllib.error
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from seatrial.errors import NetworkError, SeatrialError, UsageError
from seatrial.fetch.pace import Pace
from seatrial.fetch.progress import FetchProgress

_ATTEMPTS = 6
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_RETRIED = frozenset({408, 416, 425, 429, 500, 502, 503, 504})
"""Status codes after which the same request may succeed (416: the next one starts at the first byte)."""


class RetryPolicy:
    """Bounded retries: pauses that double, at most six failures in a row without progress, and a pace for all of them.

    Args:
        what: What is fetched, in messages.
        host: Who is asked, in messages.
        progress: Hears of each pause.
        have_bytes: What an earlier process left of the file.

    """

    def __init__(self, what: str, host: str, progress: FetchProgress, have_bytes: int = 0) -> None:
        self.what = what
        self.host = host
        self.progress = progress
        self.pace = Pace(what, progress)
        self.failures = 0
        self._best_bytes = have_bytes
        self._new_bytes = 0
        self._received = False

    def record(self, received_bytes: int, size_bytes: int) -> None:
        """Record bytes that came, and the size of the file with them.

        All of them count for the pace; only bytes that the file never had reset the count of failures.
        """
        self._received = True
        self.pace.count_body(received_bytes)
        self._new_bytes += max(0, size_bytes - self._best_bytes)
        self._best_bytes = max(size_bytes, self._best_bytes)
        if self._new_bytes >= self.pace.enough_bytes:
            self.failures = self._new_bytes = 0

    def pause(self, why: str, retry_after_s: float | None = None) -> None:
        """Wait before the next attempt.

        Raises:
            NetworkError: If there have been too many failures in a row, or too little came in the time.
            StoppedError: If the fetch is to end.

        """
        self.failures += 1
        self.pace.remaining_s()
        if self.failures >= _ATTEMPTS:
            raise NetworkError(
                f"{self.what}: {why}, {self.failures} times in a row.",
                remedy="Try again later: the next fetch resumes. --source DIR takes the files from a folder.",
            )
        pause_s = _FIRST_PAUSE_S * 2 ** (self.failures - 1) if retry_after_s is None else retry_after_s
        pause_s = min(pause_s, _LONGEST_PAUSE_S)
        text = f"{self.what}: {why}; attempt {self.failures + 1} of {_ATTEMPTS} in {pause_s:.1f} s"
        self.progress.report("retry", text)
        self.pace.pause(pause_s)

    def wait_or_raise(self, error: OSError | http.client.HTTPException) -> None:
        """Wait if another attempt can help.

        Raises:
            NetworkError: If the host cannot be reached, refuses, or failed too often.
            UsageError: If the host has nothing of that name.

        """
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            if error.code not in _RETRIED:
                raise _refused(self.what, error.code) from error
            self.pause(f"the server answers {error.code}", _retry_after_s(error))
        elif not self._received and _never_connected(error):
            raise NetworkError(
                f"{self.host} cannot be reached: {_reason(error)}.",
                remedy="Check the network, set HF_ENDPOINT to a mirror, or use --source DIR with files you have.",
            ) from error
        else:
            self.pause(_reason(error))


def _retry_after_s(error: urllib.error.HTTPError) -> float | None:
    """Return the seconds that a server asks to wait, None if it gives no readable time."""
    text = (error.headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:6])
    with contextlib.suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _refused(what: str, status: int) -> SeatrialError:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return NetworkError(
            f"{what}: the server refuses access ({status}).",
            remedy="Accept the model's licence on its page if it has one, and set HF_TOKEN to a token that may read it.",
        )
    if status == HTTPStatus.NOT_FOUND:
        return UsageError(f"{what}: the server has nothing of that name (404).", remedy="Check the spelling.")
    return NetworkError(f"{what}: the server answers {status}.", remedy="Try again later, or use --source DIR.")


def _never_connected(error: Exception) -> bool:
    """Return True if no connection was made: without a network, waiting does not help."""
    reason = getattr(error, "reason", None)
    return isinstance(error, urllib.error.URLError) and not isinstance(reason, (TimeoutError, ConnectionResetError))


def _reason(error: BaseException) -> str:
    """Return why a connection failed, in a few words."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(str(text).split())[:160]
