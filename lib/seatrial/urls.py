"""Checks the URL of a server that a person names, before any request goes there.

The API key goes only to that address, so the address must be plain http(s), without a user name
in it, and must not be one of the addresses at which clouds hand out credentials.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from seatrial.addresses import address_in, is_forbidden, is_forbidden_name, plain_host
from seatrial.errors import UsageError
from seatrial.printable import shortened

if TYPE_CHECKING:
    import ssl

_MAX_URL = 2048


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


def untrusted_certificate(host: str, error: ssl.SSLCertVerificationError) -> UsageError:
    """Return the error for a server whose certificate no known authority vouches for: nothing was sent to it."""
    return UsageError(
        f"The certificate of {shortened(host)} is not trusted: {error.verify_message or 'it cannot be verified'}. "
        "Nothing was sent there, and a key would not be safe.",
        remedy="If it is self-signed, give the file with its certificate or its authority's: "
        "export SSL_CERT_FILE=/path/to/ca.pem, before Python starts.",
    )
