"""Lists and opens the files of a model on a hub with Hugging Face's HTTP API; ``HF_ENDPOINT`` names a mirror."""

from __future__ import annotations

import contextlib
import http.client
import re
from urllib.parse import quote, urljoin, urlsplit

from seatrial.addresses import plain_host, spells_forbidden
from seatrial.catalog.remote_file import RemoteFile
from seatrial.environment import variable
from seatrial.errors import UsageError
from seatrial.fetch.listing import LISTING_LIMIT_BYTES, Listing
from seatrial.fetch.pace import Pace
from seatrial.fetch.progress import FetchProgress
from seatrial.fetch.retry import RetryPolicy
from seatrial.fetch.web import Web
from seatrial.printable import shortened

_CHUNK_BYTES = 1 << 16
_ENDPOINT = "https://huggingface.co"
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")


class Hub:
    """The hub at ``HF_ENDPOINT``, by default Hugging Face itself.

    Raises:
        UsageError: If the address is not a plain ``http(s)://host[:port][/path]``, or ``HF_TOKEN`` is no token.

    """

    def __init__(self) -> None:
        self.endpoint = (variable("HF_ENDPOINT") or _ENDPOINT).rstrip("/")
        self.host = _checked_host(self.endpoint)
        self._web = Web(self.endpoint)

    def __repr__(self) -> str:
        return f"Hub({self.endpoint!r})"

    def open(self, url: str, headers: dict[str, str], pace: Pace) -> http.client.HTTPResponse:
        """Send a GET request for ``url``, and return the open response."""
        return self._web.open(url, headers, pace)

    def address(self, repository: str, revision: str) -> str:
        """Return the address of a model's files, to which a file's quoted name is appended."""
        return f"{self.endpoint}/{repository}/resolve/{quote(revision, safe='')}/"

    def files(self, repository: str, progress: FetchProgress, revision: str = "main") -> tuple[RemoteFile, ...]:
        """List every file of a model, each once, with size and hash.

        Raises:
            UsageError: If the name is malformed, or the hub has no such model.
            NetworkError: If the hub does not answer, or answers with something else than a list of files.

        """
        check_repository(repository)
        url: str | None = f"{self.endpoint}/api/models/{repository}/tree/{quote(revision, safe='')}?recursive=1"
        name = repository if revision == "main" else f"{repository} at revision {revision[:8]}"
        listing = Listing(f"{name} on {self.host}", self.address(repository, revision))
        retry = RetryPolicy(listing.what, self.host, progress)
        asked: set[str] = set()
        while url is not None and url not in asked:  # a mirror that ignores the cursor names its first page as the next
            asked.add(url)
            text, following = self._page(url, retry)
            url = following if listing.add(text) else None
        return listing.files()

    def start_of(self, file: RemoteFile, most_bytes: int, progress: FetchProgress) -> bytes:
        """Return the first ``most_bytes`` of a file, or all of a shorter one."""
        if file.size_bytes == 0:
            return b""  # no range of it can be asked for
        retry = RetryPolicy(file.name, self.host, progress)
        while True:
            try:
                with self.open(file.url, {"Range": f"bytes=0-{most_bytes - 1}"}, retry.pace) as response:
                    retry.pace.waiting_for = f"the first bytes of {file.name}"
                    start = _read(response, most_bytes, retry.pace)
                    if len(start) == most_bytes or not response.length:
                        return start
                retry.pause("the connection was cut")
            except (OSError, http.client.HTTPException) as error:
                retry.wait_or_raise(error)

    def _page(self, url: str, retry: RetryPolicy) -> tuple[bytes, str | None]:
        while True:
            try:
                with self.open(url, {"Accept": "application/json"}, retry.pace) as response:
                    retry.pace.waiting_for = "the list of files"
                    text = _read(response, LISTING_LIMIT_BYTES, retry.pace)
                    if not response.length or len(text) == LISTING_LIMIT_BYTES:
                        return text, self._next_page(url, response)
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
            return urlsplit(url)._replace(path=following.path, query=following.query).geturl()
        return None


def _read(response: http.client.HTTPResponse, most_bytes: int, pace: Pace) -> bytes:
    """Return the first ``most_bytes`` of an answer, or all of a shorter one."""
    text = bytearray()
    while len(text) < most_bytes and (chunk := response.read1(min(_CHUNK_BYTES, most_bytes - len(text)))):
        pace.count_body(len(chunk))
        text += chunk
    return bytes(text)


def check_repository(repository: str) -> None:
    """Check that a name can be that of a model on a hub.

    Raises:
        UsageError: If it cannot.

    """
    # "--" separates the parts of a name in folders of caches, so that hubs forbid it in names.
    if not _REPOSITORY.fullmatch(repository) or ".." in repository or "--" in repository:
        raise UsageError(
            f"{shortened(repository)!r} is not the name of a model on a hub.", remedy="Names look like owner/model."
        )


def _checked_host(endpoint: str) -> str:
    """Return the host and port of the hub's address.

    Raises:
        UsageError: If it is no address of a hub.

    """
    try:
        parts = urlsplit(endpoint)
        plain = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and not parts.query
        allowed = parts.port != 0 and not parts.fragment
    except ValueError:  # an unclosed bracket, or an invalid port
        plain = allowed = False
    if not (plain and allowed) or re.search(r"[\s\x00-\x1f\x7f]", endpoint):
        raise UsageError(
            "HF_ENDPOINT is not the address of a hub: http://host or https://host, without a password.",
            remedy=f"Unset it, or set it to something like {_ENDPOINT}.",
        )
    host = plain_host(parts.hostname or "")
    if spells_forbidden(host):
        raise UsageError(
            f"HF_ENDPOINT names {shortened(host)}, a link-local, metadata or other address that is no hub's.",
            remedy=f"Unset it, or set it to something like {_ENDPOINT}.",
        )
    return parts.netloc
