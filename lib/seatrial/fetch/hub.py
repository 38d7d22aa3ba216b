"""Lists and opens the files of a model on a hub with Hugging Face's HTTP API.

``HF_ENDPOINT`` names a mirror. ``HF_TOKEN`` goes only to that origin: a redirect to another host, which stores the large
files, never carries it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import IO, Any
from urllib.parse import quote, urljoin, urlsplit

from seatrial import __version__
from seatrial.environment import variable
from seatrial.errors import NetworkError, UsageError
from seatrial.fetch.progress import FetchProgress
from seatrial.fetch.remote_file import RemoteFile
from seatrial.fetch.retry import RetryPolicy

_ENDPOINT = "https://huggingface.co"
_TIMEOUT_S = 30.0
_LISTING_LIMIT_BYTES = 32 << 20
_MAX_PAGES = 200
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")


class Hub:
    """The hub at ``HF_ENDPOINT``, by default Hugging Face itself.

    Raises:
        UsageError: If the address is not a plain ``http(s)://host[:port][/path]``.

    """

    def __init__(self) -> None:
        self.endpoint = (variable("HF_ENDPOINT") or _ENDPOINT).rstrip("/")
        try:
            parts = urlsplit(self.endpoint)
            self._origin = _origin_of(self.endpoint)
            plain = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and not parts.query
        except ValueError:  # an unclosed bracket, or an invalid port
            plain = False
        if not plain or re.search(r"[\s\x00-\x1f\x7f]", self.endpoint):
            raise UsageError(
                "HF_ENDPOINT is not the address of a hub: http://host or https://host, without a password.",
                remedy=f"Unset it, or set it to something like {_ENDPOINT}.",
            )
        self.host = parts.netloc
        self._token = variable("HF_TOKEN") or ""
        self._director = urllib.request.OpenerDirector()
        # Not the default handlers: they also open file:, ftp: and data: addresses.
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _Redirects(self._authorize),
        ):
            self._director.add_handler(handler)

    def __repr__(self) -> str:
        return f"Hub({self.endpoint!r})"

    def open(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        """Send a GET request for ``url``, and return the open response."""
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 -- only http handlers are installed
        request.add_header("User-Agent", f"seatrial/{__version__}")
        self._authorize(request)
        try:
            response: http.client.HTTPResponse | None = self._director.open(request, timeout=_TIMEOUT_S)
        except (ValueError, http.client.InvalidURL) as error:  # a redirect may lead to any text
            raise urllib.error.URLError("its address, or one it redirects to, cannot be opened") from error
        if response is None:
            raise urllib.error.URLError("no way to open this kind of address")
        return response

    def address(self, repository: str, revision: str) -> str:
        """Return the address of a model's files, to which a file's quoted name is appended."""
        return f"{self.endpoint}/{repository}/resolve/{quote(revision, safe='')}/"

    def files(self, repository: str, progress: FetchProgress, revision: str = "main") -> tuple[RemoteFile, ...]:
        """List every file of a model, with size and hash.

        Raises:
            UsageError: If the name is malformed, or the hub has no such model.
            NetworkError: If the hub does not answer, or answers with something else than a list.

        """
        if not _REPOSITORY.fullmatch(repository) or ".." in repository:
            raise UsageError(
                f"{repository[:80]!r} is not the name of a model on a hub.", remedy="Names look like owner/model."
            )
        url: str | None = f"{self.endpoint}/api/models/{repository}/tree/{quote(revision, safe='')}?recursive=1"
        base = self.address(repository, revision)
        name = repository if revision == "main" else f"{repository} at revision {revision[:8]}"
        found: list[RemoteFile] = []
        for _ in range(_MAX_PAGES):
            if url is None:
                break
            entries, url = self._page(url, name, progress)
            found += [_file_of(entry, base) for entry in entries if entry.get("type") == "file"]
        return tuple(found)

    def _page(self, url: str, name: str, progress: FetchProgress) -> tuple[list[dict[str, Any]], str | None]:
        what = f"{name} on {self.host}"
        retry = RetryPolicy(what, self.host, progress)
        while True:
            try:
                with self.open(url, {"Accept": "application/json"}) as response:
                    text = response.read(_LISTING_LIMIT_BYTES)
                    if not response.length or len(text) == _LISTING_LIMIT_BYTES:
                        return _entries(text, what), self._next_page(url, response)
                retry.pause("the connection was cut")
            except (OSError, http.client.HTTPException) as error:
                retry.wait_or_raise(error)

    def _next_page(self, url: str, response: http.client.HTTPResponse) -> str | None:
        found = re.search(r'<([^<>]+)>\s*;\s*rel="?next"?', response.headers.get("Link") or "")
        if not found:
            return None
        # Some mirrors pass on the link with the original hub's host: keep this hub's host.
        with contextlib.suppress(ValueError):  # without the next page, the wanted file may not be found
            following = urlsplit(urljoin(url, found[1]))
            return urljoin(url, f"{following.path}?{following.query}")
        return None

    def _authorize(self, request: urllib.request.Request) -> None:
        if self._token and _origin_of(request.full_url) == self._origin:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to http(s) and never from https to http, and sends the token only to its own origin."""

    def __init__(self, authorize: Callable[[urllib.request.Request], None]) -> None:
        self._authorize = authorize

    def redirect_request(  # noqa: PLR0913, PLR0917 -- the signature urllib calls
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        schemes = (urlsplit(req.full_url).scheme, urlsplit(newurl).scheme)
        if schemes[1] not in {"http", "https"} or schemes == ("https", "http"):
            raise urllib.error.URLError("the server redirects to an address that is not safe to follow")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if request is not None:
            self._authorize(request)
        return request


def _origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _entries(text: bytes, what: str) -> list[dict[str, Any]]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise NetworkError(
            f"{what}: the answer is not a list of files.",
            remedy="A proxy or login page may answer in its place: check HF_ENDPOINT and the network.",
        )
    return entries


def _file_of(entry: dict[str, Any], base: str) -> RemoteFile:
    name, lfs = str(entry.get("path", "")), entry.get("lfs")
    lfs = lfs if isinstance(lfs, dict) else {}
    if not name or re.search(r"(^|/)\.{0,2}(/|$)|[\\\x00-\x1f\x7f\ud800-\udfff]", name):
        raise NetworkError(
            f"The hub lists a file named {name[:80]!r}, a path outside its folder. Nothing was downloaded.",
            remedy="Use another hub.",
        )
    size = lfs.get("size", entry.get("size"))
    digest = str(lfs.get("oid") or "").removeprefix("sha256:")
    oid = str(entry.get("oid") or "")
    return RemoteFile(
        name=name,
        size_bytes=size if type(size) is int and size >= 0 else None,
        sha256=digest if re.fullmatch(r"[0-9a-fA-F]{64}", digest) else None,
        # An LFS file's oid is the hash of its pointer, not of its bytes.
        git_oid=oid if not lfs and re.fullmatch(r"[0-9a-fA-F]{40}", oid) else None,
        url=base + quote(name),
    )
