"""Names the limits of this machine that keep requests from leaving: none of them is the server's."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from seatrial.errors import UsageError
from seatrial.measure.workload import describe_level

CLIENT_LIMIT = "client_limit"
"""Name under which requests are counted that a limit of this machine stopped."""

_OWN_FILES = 16  # of the event loop, a look-up of the host's name, a second connection of a request
_USUAL_FILES = 1024  # soft limit of a Linux as installed
_MOST_FILES = 10_240  # on macOS, whose hard limit is no number (OPEN_MAX in its syslimits.h)


@dataclass(frozen=True, slots=True)
class OwnLimit:
    """A limit of this machine that was reached."""

    what: str  # clause that names the limit
    remedy: str  # sentence without its full stop

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


_NO_MEMORY = OwnLimit("this machine or process has no memory left (free -h, ulimit -v)", "End what takes it")
_LIMITS = {
    errno.ENFILE: OwnLimit("this machine has as many files open as it may", "End what opened them (sysctl fs.file-nr)"),
    errno.EADDRNOTAVAIL: OwnLimit(
        "this machine has no local port left for a connection (sysctl net.ipv4.ip_local_port_range)",
        "Wait a minute, until those of closed connections are free again, or ask for fewer streams",
    ),
    errno.EAGAIN: OwnLimit(
        "no further process or thread can be started (ulimit -u, ulimit -v)", "End some, or raise the limit"
    ),
    errno.ENOMEM: _NO_MEMORY,
    errno.ENOBUFS: _NO_MEMORY,
}


def raise_file_limit() -> None:
    """Let this process open as many files as its hard limit allows: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, _MOST_FILES):
        # The kernel counts "no limit" below every number here.
        with contextlib.suppress(ValueError, OSError):
            if wanted == resource.RLIM_INFINITY or wanted > soft:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                return


def check_file_limit(streams: int) -> None:
    """Refuse more streams than this process can open connections for.

    Raises:
        UsageError: If the limit of open files is too low; the message has the numbers.

    """
    limit, taken = _file_limit(), _own_files()
    if limit is None or taken + streams <= limit:
        return
    fewer = f", or ask for fewer streams: --concurrency {limit - taken}" if limit > taken else ""
    raise UsageError(
        f"A load of {describe_level(streams)} takes {taken + streams:,} open files, and this process may open {limit:,} "
        "(ulimit -n).",
        remedy=f"{_raise_to(taken + streams)}{fewer}.",
    )


def own_limit(error: BaseException, address: str = "") -> OwnLimit | None:
    """Return the limit of this machine behind an error of a connection to ``address``; None if it is none."""
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        number: int | None = errno.EAGAIN
    elif isinstance(error, MemoryError):
        number = errno.ENOMEM
    else:
        number = error.errno if isinstance(error, OSError) else None
    if number == errno.EMFILE:
        return OwnLimit(f"this process may open {_many_files()} (ulimit -n)", _raise_to(_USUAL_FILES))
    if number == errno.EADDRNOTAVAIL and ":" in address:
        return None  # an address of IPv6, on a machine without it
    return None if number is None else _LIMITS.get(number)


@contextlib.contextmanager
def named_limits() -> Iterator[None]:
    """Turn an error that a limit of this machine caused into one that names the limit.

    Raises:
        UsageError: If it was such an error; every other one goes on as it is.

    """
    try:
        yield
    except (OSError, RuntimeError, MemoryError) as error:
        limit = own_limit(error)
        if limit is None:
            raise
        raise UsageError(f"The measuring client cannot go on: {limit.what}.", remedy=f"{limit.remedy}.") from error


@cache
def _own_files() -> int:
    """Return how many files this process needs beside its connections, by those that are open when it is first asked."""
    with os.scandir("/dev/fd") as open_files:
        return sum(1 for _ in open_files) + _OWN_FILES


def _file_limit() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _many_files() -> str:
    limit = _file_limit()
    return "no more files" if limit is None else f"no more than {limit:,} files"


def _raise_to(needed: int) -> str:
    """Return how a person raises the limit of open files: by the shell, or above its hard limit by whoever set that."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    at_least = f"ulimit -n {max(needed, _USUAL_FILES)}"
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return f"Raise it in the shell before the command: {at_least}"
    return (
        f"Its hard limit is {hard:,}: raise that where it was set (a new shell, docker run --ulimit nofile=65536, "
        f"LimitNOFILE= of a service, /etc/security/limits.conf), then {at_least}"
    )
