"""Connects to one server: lists its models, counts tokens with its tokenizer, times each request.

No redirects are followed and no cookies stored, so the API key goes only to that server. The
pool has no limit of its own, because a limit in the client would hide the server's overload.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from seatrial.errors import UsageError
from seatrial.json_text import JsonError, parse_json
from seatrial.measure.client_limits import CLIENT_LIMIT, own_limit
from seatrial.measure.stream.answer import StreamError
from seatrial.measure.stream.chunks import error_text, one_line
from seatrial.measure.stream.flight import Flight, StreamReader
from seatrial.measure.stream.usage import whole
from seatrial.measure.target import check_address

# uvicorn closes a silent connection after 5 s: give it up before, or a request meets the closing.
_KEEPALIVE_S = 4.0
_CONNECT_TIMEOUT_S = 10.0
_SHORT_TIMEOUT_S = 30.0
_ERROR_TIMEOUT_S = 5.0  # for the rest of an error, whose beginning says why
_MAX_ERROR_BODY = 1 << 16
_MAX_MODELS_BODY = 1 << 22
# SGLang, vLLM and llama.cpp, then llama-cpp-python: path, and the fields that carry the text.
_TOKENIZERS = (("/tokenize", ("prompt", "content")), ("/extras/tokenize", ("input",)))
_STREAM_TYPES = frozenset(("text/event-stream", "application/octet-stream"))
_STREAM_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")  # of a stream under another type
_BOM = b"\xef\xbb\xbf"
_SPECIAL_TOKENS = 8  # that a tokenizer may add to a text; every other token has a byte at least
_NO_SUCH_PAGE = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}

CHAT = "/v1/chat/completions"
PLAIN = "/v1/completions"


class RequestError(StreamError):
    """A request that brought no answer."""

    def __init__(self, kind: str, message: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(kind, message)
        self.status = status  # of HTTP, None if nothing came at all
        self.retry_after_s = retry_after_s  # as the server asked, None if it did not


class CheckedResolver(AbstractResolver):
    """A resolver that looks up each host once: a name must not turn into another address later."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()
        self._known: dict[tuple[str, int, int], list[ResolveResult]] = {}

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        """Return the addresses of ``host``, each checked."""
        key = (host, port, int(family))
        if key not in self._known:
            found = await self._resolver.resolve(host, port, family)
            for one in found:
                check_address(one["host"], host)
            self._known[key] = found
        return self._known[key]

    async def close(self) -> None:
        """Do nothing: no resource is open."""


class Session:
    """Requests to one server. Use as an async context manager."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self.url = url
        self._api_key = api_key
        self._reader = StreamReader()
        self._tokenizer: tuple[str, tuple[str, ...]] | None = None
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(_note_sent)
        tracing.on_connection_reuseconn.append(_note_reused)
        headers = {"Accept-Encoding": "identity", "User-Agent": "seatrial"}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S, resolver=CheckedResolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
            headers=headers,
            trace_configs=[tracing],
            json_serialize=lambda value: msgspec.json.encode(value).decode(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def models(self) -> list[dict[str, Any]] | None:
        """Return the list of ``/v1/models``, None if the server has none; raise RequestError if it refuses."""
        try:
            body = await self._short("GET", "/v1/models", None)
        except RequestError as error:
            if error.status in _NO_SUCH_PAGE:
                return None
            raise
        data = body.get("data") if isinstance(body, dict) else None
        return [model for model in data if isinstance(model, dict)] if isinstance(data, list) else None

    async def find_tokenizer(self, model: str) -> bool:
        """Return True if the server counts tokens."""
        for path, names in _TOKENIZERS:
            self._tokenizer = (path, names)
            try:
                await self.count_tokens(model, "ship")
            except RequestError:
                continue
            return True
        self._tokenizer = None
        return False

    async def count_tokens(self, model: str, text: str) -> int:
        """Return the tokens in ``text``, without a chat template; raise RequestError if the server counts none."""
        if self._tokenizer is None:
            raise RequestError("no_tokenizer", "the server has no tokenizer")
        path, names = self._tokenizer
        body = {"model": model, "add_special_tokens": False, **dict.fromkeys(names, text)}
        answer = await self._short("POST", path, body)
        if isinstance(answer, dict):
            for counted in (answer.get("count"), answer.get("tokens")):
                tokens = len(counted) if isinstance(counted, list) else whole(counted)
                if tokens is not None and 0 < tokens <= len(text.encode()) + _SPECIAL_TOKENS:
                    return tokens
        raise RequestError("no_tokenizer", "the tokenizer's answer has no count of tokens that can be right")

    async def open_connections(self, number: int) -> None:
        """Open ``number`` connections at once, for the requests that follow."""
        await asyncio.gather(*(self._short("GET", "/v1/models", None) for _ in range(number)), return_exceptions=True)

    async def stream(self, path: str, body: dict[str, Any], flight: Flight) -> None:
        """Send one completion request and follow its answer in ``flight``; raise StreamError if it fails."""
        try:
            async with await self._send("POST", path, body, flight) as response:
                await self._check(response)
                await self._reader.follow(response.content, flight, await _first_piece(response))
        except aiohttp.ClientError as error:
            if not flight.answer.finished:
                raise _network_error(error, flight) from error
        except UsageError as error:
            raise RequestError("refused_address", self._without_key(error.what)) from error

    async def _short(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        flight = Flight()
        try:
            async with asyncio.timeout(_SHORT_TIMEOUT_S):
                async with await self._send(method, path, body, flight) as response:
                    await self._check(response)
                    return parse_json(await _bounded(response, _MAX_MODELS_BODY))
        except aiohttp.ClientError as error:  # before the next: a connection not made in time is both
            raise _network_error(error, flight) from error
        except TimeoutError as error:
            raise RequestError("timeout", f"{path} did not answer within {_SHORT_TIMEOUT_S:g} s") from error
        except JsonError as error:
            raise RequestError("malformed", f"the answer of {path} {error}") from error

    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None, flight: Flight
    ) -> aiohttp.ClientResponse:
        """Send a request, again if the server closed an idle connection at the same moment.

        llama.cpp closes a connection after each stream although it promises to leave it open, and
        uvicorn after 5 s: a reused connection that ends without a byte of an answer says nothing
        about the request (RFC 9112, section 9.3.1). Each such failure uses up one idle connection.
        """
        while True:
            flight.reused = False
            try:
                return await self._http.request(
                    method, self.url + path, json=body, allow_redirects=False, trace_request_ctx=flight
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not flight.reused:
                    raise

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise RequestError("redirect", f"HTTP {status}: the server redirects, which is not followed", status)
        if status != HTTPStatus.OK:
            text = self._without_key(await _error_text(response))
            raise RequestError(f"http_{status}", f"HTTP {status}: {text}", status, _retry_after(response))

    def _without_key(self, text: str) -> str:
        return text.replace(self._api_key, "[key]") if self._api_key else text


async def _note_sent(_: object, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.sent = time.perf_counter_ns()


async def _note_reused(_: object, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.reused = True


async def _first_piece(response: aiohttp.ClientResponse) -> bytes:
    """Read what comes first; raise RequestError if that is no event stream. What it begins with counts more than its type."""
    piece = await response.content.readany()
    begin = piece.removeprefix(_BOM).lstrip()
    if response.content_type in _STREAM_TYPES and not begin.startswith((b"{", b"<")):  # an error, or a page
        return piece
    if begin.startswith(_STREAM_STARTS):
        return piece
    text = await _error_text(response, piece)
    raise RequestError("not_a_stream", f"the answer is {one_line(response.content_type)}, not an event stream: {text}")


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    while len(body) < limit and (piece := await response.content.readany()):
        body += piece
    return bytes(body[:limit])


async def _error_text(response: aiohttp.ClientResponse, begun: bytes = b"") -> str:
    """Return the reason in an error, or what came of it in time: it may drip, never end, or be compressed in odd ways."""
    body, unread = bytearray(begun), ""
    try:
        async with asyncio.timeout(_ERROR_TIMEOUT_S):
            while len(body) < _MAX_ERROR_BODY and (piece := await response.content.readany()):
                body += piece
    except TimeoutError:
        unread = f" (the rest did not come within {_ERROR_TIMEOUT_S:g} s)"
    except aiohttp.ClientError:
        unread = " (the rest cannot be read)"
    text = error_text(bytes(body[:_MAX_ERROR_BODY])) or one_line(response.reason or "") or "no reason given"
    return f"{text}{unread}"


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        seconds = float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None  # missing, or a date, which no engine sends
    return seconds if 0 <= seconds < float("inf") else None


def _network_error(error: aiohttp.ClientError, flight: Flight) -> RequestError:
    limit = own_limit(error)
    if limit is not None:
        return RequestError(CLIENT_LIMIT, str(limit))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return RequestError("unknown_host", "the host name is not known")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return RequestError("tls", "the TLS connection was refused or its certificate is not trusted")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        passed_s = (time.perf_counter_ns() - flight.started) / 1e9  # several addresses are tried one after the other
        late = isinstance(error, aiohttp.ConnectionTimeoutError)
        why = f"within {passed_s:.0f} s" if late else f"({error.strerror or 'refused'})"
        return RequestError("unreachable", f"no connection {why}")
    return _broken(error, len(flight.answer.stamps))


def _broken(error: aiohttp.ClientError, received: int) -> RequestError:
    """Return the error of an answer that broke off after so many chunks, or that is none."""
    if "decode content-encoding" in str(error):
        return RequestError(
            "compressed", f"the answer cannot be unpacked after {received} chunks; plain text was asked for"
        )
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | aiohttp.ClientPayloadError):
        return RequestError("disconnected", f"the server closed the connection after {received} chunks")
    # A body in an encoding that nobody asked for and nothing here reads (br) is such an answer, too.
    why = one_line(str(getattr(error, "message", ""))) or type(error).__name__
    return RequestError("not_http", f"the answer is not HTTP that can be read ({why})")
