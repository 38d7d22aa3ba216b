"""Opens addresses on the web for a hub: which hosts are asked, through which proxy, and who gets the token.

``HF_TOKEN`` goes only to the hub's own origin, over https or on this machine. A proxy never sees it, nor any request to
this machine. Each redirect is checked as the first address was.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import socket
import ssl
import string
import urllib.error
import urllib.request
from functools import cache
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from seatrial import __version__
from seatrial.addresses import Reach, is_loopback
from seatrial.environment import variable
from seatrial.errors import NetworkError, UsageError
from seatrial.fetch.dial import checked_addresses, connect, reach_of_host
from seatrial.fetch.pace import SILENCE_S, Pace, PacedSocket
from seatrial.printable import shortened

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 8
_NO_ADDRESS = "its address, or one it redirects to, cannot be opened"
_PORTS = {"http": 80, "https": 443}


class Web:
    """Sends the GET requests of one hub.

    Args:
        endpoint: The hub's checked address.

    Raises:
        UsageError: If ``HF_TOKEN`` cannot be sent in a header.

    """

    def __init__(self, endpoint: str) -> None:
        self._origin = _origin_of(urlsplit(endpoint))
        self._token = variable("HF_TOKEN") or ""
        if not (self._token.isascii() and self._token.isprintable()) or " " in self._token:
            raise UsageError(
                "HF_TOKEN has characters that no token has.", remedy="Set it again, without blanks and line breaks."
            )
        self._proxies = urllib.request.getproxies()
        self._reaches: dict[str, Reach] = {}
        self._withheld = False

    def open(self, url: str, headers: dict[str, str], pace: Pace) -> http.client.HTTPResponse:
        """Send a GET request, follow redirects, and return the open response.

        Raises:
            HTTPError: If the answer is no success.
            URLError: If the host cannot be reached.
            NetworkError: If a redirect leads where no request goes, or the answer comes too slowly.

        """
        for _ in range(_MOST_REDIRECTS + 1):
            try:
                parts = _checked(url)
                response = self._send(parts, headers, pace)
            except (ValueError, http.client.InvalidURL) as error:  # a redirect may lead to any text
                raise urllib.error.URLError(_NO_ADDRESS) from error
            following = response.headers.get("Location")
            if response.status not in _REDIRECTS or following is None:
                break
            response.close()
            url = _redirected(parts, following)
        else:
            raise NetworkError(
                f"{parts.hostname} redirects more than {_MOST_REDIRECTS} times.", remedy="Check HF_ENDPOINT."
            )
        if not 200 <= response.status < 300:  # noqa: PLR2004 -- success, as RFC 9110 counts
            raise urllib.error.HTTPError(url, response.status, response.reason, response.headers, response)
        return response

    def _send(self, parts: SplitResult, headers: dict[str, str], pace: Pace) -> http.client.HTTPResponse:
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        proxy = self._proxy_for(parts, pace)
        if proxy is None:
            wire = connect(host, port, pace, self._nearest(host, pace))
        else:
            self._check_behind_proxy(host, port, pace)
            wire = connect(proxy.hostname or "", proxy.port or _PORTS["http"], pace)
        try:
            target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            sent = {**headers, "User-Agent": f"seatrial/{__version__}", "Connection": "close"}
            if self._gets_token(parts, wire if proxy is None else None, pace):
                sent["Authorization"] = f"Bearer {self._token}"
            if proxy is not None and parts.scheme == "http":
                target, sent = parts.geturl(), sent | _proxy_headers(proxy)
            pace.waiting_for = f"the answer of {host}"
            if parts.scheme == "https":
                wire = _encrypted(wire, host, port, proxy, pace)
            connection = http.client.HTTPConnection(host, port)
            connection.default_port = _PORTS[parts.scheme]  # which the field Host leaves out
            connection.sock = PacedSocket(wire, pace)
            connection.request("GET", target, headers=sent)
            return connection.getresponse()
        except BaseException:
            wire.close()
            raise

    def _proxy_for(self, parts: SplitResult, pace: Pace) -> SplitResult | None:
        """Return the proxy to ask, None for this machine itself, for hosts of ``no_proxy``, and without a proxy."""
        address, host = self._proxies.get(parts.scheme), parts.hostname or ""
        if not address or urllib.request.proxy_bypass(parts.netloc) or self._reach_of(host, pace) is Reach.THIS_MACHINE:
            return None
        proxy = urlsplit(address if "://" in address else f"http://{address}")
        if proxy.scheme != "http" or not proxy.hostname:
            raise UsageError(
                f"The proxy for {parts.scheme} is no http:// address.",
                remedy=f"Set {parts.scheme}_proxy to http://host:port, or name {host} in no_proxy.",
            )
        return proxy

    def _reach_of(self, host: str, pace: Pace) -> Reach:
        if host not in self._reaches:
            self._reaches[host] = reach_of_host(host, pace)
        return self._reaches[host]

    def _nearest(self, host: str, pace: Pace) -> Reach:
        """Return how near a host may be: a redirect leads no nearer than the hub, so not to a person's own servers."""
        hub = self._origin[1]
        return Reach.THIS_MACHINE if host == hub else self._reach_of(hub, pace)

    def _check_behind_proxy(self, host: str, port: int, pace: Pace) -> None:
        """Check an address that a proxy is asked for, as far as this machine can look it up."""
        try:
            checked_addresses(host, port, pace, self._nearest(host, pace))
        except urllib.error.URLError:
            return  # only the proxy knows the name

    def _gets_token(self, parts: SplitResult, wire: socket.socket | None, pace: Pace) -> bool:
        if not self._token or _origin_of(parts) != self._origin:
            return False
        peer = str(wire.getpeername()[0]).partition("%")[0] if wire else ""
        if parts.scheme == "https" or (peer and is_loopback(ipaddress.ip_address(peer))):
            return True
        if not self._withheld:
            self._withheld = True
            pace.progress.report(
                "note", f"HF_TOKEN is not sent to {parts.netloc}: http is readable on the way; use https."
            )
        return False


def _checked(url: str) -> SplitResult:
    parts = urlsplit(url)
    if (
        parts.scheme not in _PORTS
        or not parts.hostname
        or "@" in parts.netloc
        or "%" in parts.netloc
        or parts.port == 0
    ):
        raise ValueError(url)
    return parts


def _redirected(parts: SplitResult, location: str) -> str:
    """Return the address that a redirect leads to.

    Raises:
        NetworkError: If it is no web address, is not encrypted though the first was, or has a password in it.

    """
    try:
        url = urljoin(parts.geturl(), quote(location, encoding="iso-8859-1", safe=string.punctuation))
        following = urlsplit(url)
    except ValueError as error:  # an unclosed bracket
        raise urllib.error.URLError(_NO_ADDRESS) from error
    if (
        following.scheme not in _PORTS
        or "@" in following.netloc
        or (parts.scheme, following.scheme) == ("https", "http")
    ):
        raise NetworkError(
            f"{parts.hostname} redirects to an address that is not safe to follow ({shortened(following.scheme)}:)."
            " Nothing was sent there.",
            remedy="Use another hub, or --source DIR.",
        )
    return url


def _encrypted(wire: socket.socket, host: str, port: int, proxy: SplitResult | None, pace: Pace) -> ssl.SSLSocket:
    """Return the connection encrypted, after a tunnel through the proxy if there is one."""
    if proxy is not None:
        wire.settimeout(SILENCE_S)
        name = f"[{host}]" if ":" in host else host
        lines = [f"CONNECT {name}:{port} HTTP/1.1", f"Host: {name}:{port}"]
        lines += [f"{field}: {value}" for field, value in _proxy_headers(proxy).items()]
        wire.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        kept = PacedSocket(wire, pace, closes=False)
        response = http.client.HTTPResponse(kept, method="CONNECT")  # type: ignore[arg-type]
        response.begin()
        if response.status != http.HTTPStatus.OK:
            raise urllib.error.URLError(f"the proxy {proxy.hostname} answers {response.status}")
    wire.settimeout(SILENCE_S)
    try:
        return _encryption().wrap_socket(wire, server_hostname=host)
    except ssl.SSLError as error:  # another attempt meets the same certificate
        raise urllib.error.URLError(error) from error


@cache
def _encryption() -> ssl.SSLContext:
    return ssl.create_default_context()


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _origin_of(parts: SplitResult) -> tuple[str, str, int]:
    """Return scheme, host and port of an address."""
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]
