"""Names what kept an answer from coming: a kind to count, a sentence, and what to do about it."""

from __future__ import annotations

import os
import ssl

from seatrial.environment import variable
from seatrial.measure.client_limits import CLIENT_LIMIT, own_limit
from seatrial.measure.stream.answer import StreamError
from seatrial.measure.stream.chunks import one_line

# Numbers of OpenSSL's x509_vfy.h.
_UNTRUSTED = {2, 18, 19, 20, 21}
_CERTIFICATES = {
    9: ("its certificate is not valid yet", "Set this machine's clock, or that of the server"),
    10: ("its certificate has expired", "Renew it on the server, or set this machine's clock"),
    **dict.fromkeys(
        (62, 64), ("its certificate is for another host than the one in the URL", "Use a name that the certificate has")
    ),
}  # by number: what is wrong, and the remedy


class RequestError(StreamError):
    """A request that brought no answer."""

    def __init__(
        self,
        kind: str,
        message: str,
        status: int | None = None,
        retry_after_s: float | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(kind, message)
        self.status = status  # of HTTP, None if nothing came at all
        self.retry_after_s = retry_after_s  # as the server asked, None if it did not
        self.remedy = remedy  # what whoever measures can do, None if it is the server's matter


class UnansweredError(RequestError):
    """A connection that ended before one byte of an answer."""


def disconnected(chunks: int) -> RequestError:
    """Return the error of a connection that the server closed after so many chunks."""
    return RequestError("disconnected", f"the server closed the connection after {chunks} chunks")


def not_http(why: str) -> RequestError:
    """Return the error of an answer that cannot be read as HTTP."""
    return RequestError("not_http", f"the answer is not HTTP that can be read ({one_line(why)})")


def no_connection(error: OSError, host: str, port: int, address: str, passed_s: float) -> RequestError:
    """Return the error of a connection to ``host`` that was not made; ``address`` was tried last, after ``passed_s``."""
    limit = own_limit(error, address)
    if limit is not None:
        return RequestError(CLIENT_LIMIT, str(limit))
    if isinstance(
        error, ssl.SSLError | ConnectionResetError | ConnectionAbortedError
    ):  # the latter by a handshake's end
        what, remedy = refused_tls(error, host, port)
        return RequestError("tls", what, remedy=f"{remedy}.")
    if isinstance(error, TimeoutError) and error.errno is None:
        why = f"within {passed_s:.0f} s"
    elif error.errno is not None and error.errno > 0:  # uvloop gives the number, and no words of the system
        why = f"({os.strerror(error.errno)})"
    else:
        why = f"({one_line(error.strerror or 'refused')})"
    hint = proxy_hint(address)
    return RequestError("unreachable", f"no connection {why}{hint and f'; {hint}'}")


def unknown_host() -> RequestError:
    """Return the error of a host whose name nobody knows."""
    hint = proxy_hint("")
    return RequestError("unknown_host", f"the host name is not known{hint and f'; {hint}'}")


def proxy_hint(address: str) -> str:
    """Return the clause that names a proxy of the environment, which would not have been asked; empty if there is none."""
    if address.startswith("127.") or address == "::1":
        return ""
    names = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
    name = next((name for name in names if variable(name)), None)
    return f"{name} is set, but load is never sent through a proxy, whose own delay would be measured" if name else ""


def refused_tls(error: OSError, host: str, port: int) -> tuple[str, str]:
    """Return what is wrong with the server's TLS and the cheapest remedy, which is never to switch the check off."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        why = one_line(getattr(error, "reason", None) or "the connection ended in its handshake")
        return f"no TLS with this server ({why})", "If it has none, give its address with http://; else look at its log"
    if error.verify_code in _UNTRUSTED:
        save = f"openssl s_client -connect {host}:{port} </dev/null | openssl x509 >server.pem"
        return (
            "its certificate is not trusted by this machine (signed by itself, or by an unknown authority)",
            f"If it is your server, save its certificate ({save}) and set SSL_CERT_FILE=server.pem",
        )
    other = f"its certificate was refused ({one_line(error.verify_message)})", "Put a right certificate on the server"
    return _CERTIFICATES.get(error.verify_code, other)
