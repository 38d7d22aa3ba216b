"""Keeps an engine's requests to itself away from a proxy: what NO_PROXY holds in its environment."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seatrial.environment import variable

_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "grpc_proxy"})
_SPELLINGS = ("no_proxy", "NO_PROXY")  # curl and Python's requests look at the first one first, Go at the second
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYTHING = "*"


def direct_addresses(environment: Mapping[str, str], host: str) -> dict[str, str]:
    """Return NO_PROXY and no_proxy with the addresses an engine asks itself at; empty if no proxy is set.

    Both get what stood in either: a program reads only one of them, and which one differs.

    Args:
        environment: The engine's environment without these.
        host: Address it listens on.

    Raises:
        UsageError: If NO_PROXY or no_proxy is not UTF-8 text.

    """
    if not any(value.strip() for name, value in environment.items() if name.casefold() in _PROXIES):
        return {}
    stood = [variable(name, environment) or "" for name in _SPELLINGS]
    if _EVERYTHING in stood:  # programs take it for all hosts only if nothing stands beside it
        return dict.fromkeys(_SPELLINGS, _EVERYTHING)
    given = [entry for text in stood for entry in re.split(r"[,\s]+", text) if entry]
    entries: dict[str, str] = {}
    for entry in (*given, *_LOOPBACK, host):
        entries.setdefault(entry.casefold(), entry)
    return dict.fromkeys(_SPELLINGS, ",".join(entries.values()))
