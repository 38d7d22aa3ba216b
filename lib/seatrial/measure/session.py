"""Connects to one server: lists its models, counts tokens with its tokenizer, times each request.

No redirects are followed and no cookies stored, so the API key goes only to that server. The
pool has no limit of its own, because a limit in the client would hide the server's overload.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from seatrial.errors import UsageError
from seatrial.measure.answer import Answer, StreamError
from seatrial.measure.chunks import error_text
from seatrial.measure.odd_chunk import whole
from seatrial.measure.target import check_address

# uvicorn closes a silent connection after 5 s: give it up before, or a request meets the closing.
_KEEPALIVE_S = 4.0
_CONNECT_TIMEOUT_S = 10.0
_SHORT_TIMEOUT_S = 30.0
_REST_S = 2.0  # after a finish reason, for counts and [DONE] ...
_KNOWN_REST_S = 0.25  # ... of a server that left a connection open after one
_END_S = 1.0  # after [DONE], for the end of the body
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
        self._rest_s, self._end_s = _REST_S, _END_S
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
                await self._follow(response, flight)
        except aiohttp.ClientError as error:
            if not flight.answer.finished:
                raise _network_error(error, flight) from error
        except UsageError as error:
            raise RequestError("refused_address", self._without_key(error.what)) from error

    async def _short(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        try:
            async with asyncio.timeout(_SHORT_TIMEOUT_S):
                async with await self._send(method, path, body, Flight()) as response:
                    await self._check(response)
                    return msgspec.json.decode(await _bounded(response, _MAX_MODELS_BODY))
        except TimeoutError as error:
            raise RequestError("timeout", f"{path} did not answer within {_SHORT_TIMEOUT_S:g} s") from error
        except aiohttp.ClientError as error:
            raise _network_error(error, None) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RequestError("malformed", f"{path} did not answer with JSON") from error

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
            text = self._without_key(error_text(await _bounded(response, _MAX_ERROR_BODY)))
            raise RequestError(f"http_{status}", f"HTTP {status}: {text}", status, _retry_after(response))

    async def _follow(self, response: aiohttp.ClientResponse, flight: Flight) -> None:
        answer, content = flight.answer, response.content
        flight.take(await _first_piece(response))
        while not answer.done and (piece := await self._read(content, flight)):
            flight.take(piece)
        answer.close(time.perf_counter_ns())
        flight.ended = time.perf_counter_ns()
        if answer.done:
            await self._reach_end(content)

    async def _read(self, content: aiohttp.StreamReader, flight: Flight) -> bytes:
        """Read on; after a finish reason only for a while, since counts and [DONE] may never come."""
        if not flight.answer.finished:
            return await content.readany()
        clock = asyncio.get_running_loop().time
        flight.rest_until = flight.rest_until or clock() + self._rest_s
        try:
            async with asyncio.timeout_at(flight.rest_until):
                return await content.readany()
        except TimeoutError:
            self._rest_s = _KNOWN_REST_S
            return b""

    async def _reach_end(self, content: aiohttp.StreamReader) -> None:
        """Read to the end of the body, so that its connection serves the next request; not if a server leaves it open."""
        try:
            async with asyncio.timeout(self._end_s):
                while await content.readany():
                    pass
        except TimeoutError:
            self._end_s = 0.0

    def _without_key(self, text: str) -> str:
        return text.replace(self._api_key, "[key]") if self._api_key else text


class Flight:
    """An attempt at a request. All clocks are nanoseconds, 0 until it happens."""

    __slots__ = ("answer", "count_chunks", "ended", "error", "progress", "rest_until", "reused", "sent", "started")

    def __init__(self, count_chunks: Callable[[int], None] = lambda _: None, asked: int = 1) -> None:
        self.answer = Answer(asked)
        self.started = time.perf_counter_ns()  # the request was built
        self.sent = 0  # it was passed to its connection
        self.progress = 0  # last token; before the first, an event that began and is not complete
        self.ended = 0
        self.rest_until = 0.0  # how long the rest of a finished answer is awaited, on the loop's clock
        self.reused = False  # over a connection that was open already
        self.error: StreamError | None = None  # None unless it failed
        self.count_chunks = count_chunks  # called with the number of token chunks of each read

    def take(self, piece: bytes) -> None:
        """Take what a read brought."""
        stamp = time.perf_counter_ns()
        answer = self.answer
        chunks = answer.feed(stamp, piece)
        if chunks:
            self.progress = stamp
            self.count_chunks(chunks)
        elif not answer.pending and not answer.stamps:
            self.progress = 0  # nothing but comments or an empty role chunk: still waiting in line
        elif not self.progress:
            self.progress = stamp


async def _note_sent(_: object, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.sent = time.perf_counter_ns()


async def _note_reused(_: object, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.reused = True


async def _first_piece(response: aiohttp.ClientResponse) -> bytes:
    """Read what comes first; raise RequestError if that is no event stream, by its type and by itself."""
    piece = await response.content.readany()
    if response.content_type in _STREAM_TYPES or piece.removeprefix(_BOM).lstrip().startswith(_STREAM_STARTS):
        return piece
    text = error_text(piece + await _bounded(response, _MAX_ERROR_BODY))
    raise RequestError("not_a_stream", f"the answer is {response.content_type}, not an event stream: {text}")


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    while len(body) < limit and (piece := await response.content.readany()):
        body += piece
    return bytes(body[:limit])


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        seconds = float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None  # missing, or a date, which no engine sends
    return seconds if 0 <= seconds < float("inf") else None


def _network_error(error: aiohttp.ClientError, flight: Flight | None) -> RequestError:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return RequestError("unknown_host", "the host name is not known")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return RequestError("tls", "the TLS connection was refused or its certificate is not trusted")
    if isinstance(error, aiohttp.ClientConnectorError):
        return RequestError("unreachable", f"no connection ({error.strerror or 'refused'})")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return RequestError("unreachable", f"no connection within {_CONNECT_TIMEOUT_S:g} s")
    received = len(flight.answer.stamps) if flight is not None else 0
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | aiohttp.ClientPayloadError):
        return RequestError("disconnected", f"the server closed the connection after {received} chunks")
    return RequestError("not_http", f"the answer is not HTTP ({type(error).__name__})")
