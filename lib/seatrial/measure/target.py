"""Checks the address of the server to measure before any request goes there.

The API key goes only to that address, so the address must be plain http(s), without a user name
in it, and must not be one of the addresses at which clouds hand out credentials.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from seatrial import environment
from seatrial.addresses import address_in, is_forbidden, is_forbidden_name, plain_host
from seatrial.errors import UsageError
from seatrial.printable import shortened

if TYPE_CHECKING:  # the measuring client does without the planner, which engines bring
    from seatrial.measure.metrics_page import MetricsPage
    from seatrial.server.running import Server

_MAX_URL = 2048
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
    page: MetricsPage | None = None  # of its own figures; None if its engine has none

    def __repr__(self) -> str:
        """Return the target without its key."""
        return f"Target(url={self.url!r}, model={self.model!r}, engine={self.engine!r}, pid={self.pid!r})"


@dataclass(frozen=True, slots=True)
class RemoteServer:
    """An OpenAI-compatible server at a URL, which this kit did not launch and never stops.

    Attributes:
        url: Its base, without ``/v1``.
        models: Model ids it lists; empty if it has no list.
        api_key_env: Name of the environment variable with its key; empty if it takes none. The key itself is stored
            nowhere.

    """

    url: str
    models: tuple[str, ...]
    api_key_env: str = ""

    @property
    def model(self) -> str | None:
        """The model that is asked for: the first it lists."""
        return self.models[0] if self.models else None

    def api_key(self) -> str | None:
        """Return the key, None if the server takes none.

        Raises:
            UsageError: If the variable is not set.

        """
        if not self.api_key_env:
            return None
        key = environment.variable(self.api_key_env)
        if key is None:
            # Not repeated: somebody may have typed the key itself.
            raise UsageError(
                "The environment variable named by api_key_env is not set.",
                remedy="Give api_key_env the name of the variable, not the key: export KEY=... before, and KEY here.",
            )
        return key


def find_target(server: Server | RemoteServer | str, *, api_key: str | None = None, model: str | None = None) -> Target:
    """Return the target of a URL or a server.

    Raises:
        UsageError: If no request may go to the URL, or the key or the model's id cannot be sent.

    """
    from seatrial.measure.metrics_page import MetricsPage  # late: the client needs no engine's names

    if isinstance(server, str):
        url, key = check_url(server), _checked_key(api_key)
        return Target(url, _checked_model(model), key, page=MetricsPage(url, key))
    url, key = check_url(server.url), _checked_key(api_key or server.api_key())
    named = _checked_model(model) or server.model
    if isinstance(server, RemoteServer):
        return Target(url, named, key, page=MetricsPage(url, key))
    page = MetricsPage(url, key, server.engine) if server.metrics_path else None
    return Target(url, named, key, server.engine, server.pid, server.stand_in, server.simulated, page)


def is_url(text: str) -> bool:
    """Return True if ``text`` is meant as a URL rather than as a name."""
    return "://" in text or text.casefold().startswith(("http:", "https:"))


def check_url(text: str) -> str:
    """Return the base of an OpenAI-compatible server: ``http://host:port``, a path before ``/v1`` allowed.

    Raises:
        UsageError: If it is not http(s), has a user name, query or fragment, or its address is forbidden.

    """
    shown = shortened(text)
    remedy = "Give the server's base, for example http://127.0.0.1:8000."
    if len(text) > _MAX_URL or any(ord(sign) <= ord(" ") or sign in '\\<>"' for sign in text):
        raise UsageError(f"{shown!r} is not a URL: it is too long, or has spaces or control characters.", remedy=remedy)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{shown!r} is not a URL: {error}.", remedy=remedy) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise UsageError(f"{shown!r} is not an http or https URL with a host.", remedy=remedy)
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "The URL has a user name or password in it, which would end up in logs.",
            remedy="Leave it out; an API key goes through --api-key-env.",
        )
    if parts.query or parts.fragment:
        raise UsageError("The URL has a query or a fragment, which may contain a key.", remedy=remedy)
    host = _check_host(parts.hostname)
    name = f"[{host}]" if ":" in host else host
    base = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{base}"


def _check_host(host: str) -> str:
    """Return ``host`` in the form that requests use; refuse a forbidden address in any spelling."""
    plain = plain_host(host)
    if is_forbidden_name(plain):
        raise _forbidden(host)
    address = address_in(plain)
    if address is None:
        return plain
    check_address(str(address), host)
    return str(address)


def check_address(address: str, host: str) -> None:
    """Refuse an address that requests must never go to; ``host`` is the name a person gave.

    Raises:
        UsageError: If it is link-local, multicast, unspecified or a metadata address, also inside an IPv6 one.

    """
    if is_forbidden(ipaddress.ip_address(address.partition("%")[0])):
        raise _forbidden(host)


def _forbidden(host: str) -> UsageError:
    return UsageError(
        f"{shortened(host)} is a link-local, multicast, unspecified or cloud metadata address; no request is sent there.",
        remedy="Give the address on which the engine listens, for example http://127.0.0.1:8000.",
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
    if not key.strip() or not key.isascii() or not key.isprintable() or len(key) > _MAX_URL:
        raise UsageError(
            "The API key is empty, too long or has characters that no HTTP header may carry.",
            remedy="Set it again, without line breaks.",
        )
    return key.strip()
