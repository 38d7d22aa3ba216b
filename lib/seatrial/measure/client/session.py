"""Connects to one server: lists its models, counts tokens with its tokenizer, times each request.

No redirects are followed, no cookies stored and no proxies asked, so the API key goes only to that server.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote, urlsplit

import msgspec

from seatrial.json_text import JsonError, parse_json
from seatrial.measure.client.exchange import Exchange, Patience, Streamed, Whole
from seatrial.measure.client.failure import RequestError, UnansweredError
from seatrial.measure.client.pool import Pool
from seatrial.measure.stream.answer import StreamError
from seatrial.measure.stream.flight import Flight
from seatrial.measure.stream.usage import whole

__all__ = ["CHAT", "PLAIN", "RequestError", "Session"]

_SHORT_TIMEOUT_S = 30.0
_MAX_MODELS_BODY = 1 << 22
# SGLang, vLLM and llama.cpp, then llama-cpp-python: path, and the fields that carry the text.
_TOKENIZERS = (("/tokenize", ("prompt", "content")), ("/extras/tokenize", ("input",)))
_SPECIAL_TOKENS = 8  # that a tokenizer may add to a text; every other token has a byte at least
_NO_SUCH_PAGE = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
_IN_A_PATH = "/%:@!$&'()*+,;=~"  # characters that need no escape there (RFC 3986, section 3.3)

CHAT = "/v1/chat/completions"
PLAIN = "/v1/completions"


class Session:
    """Requests to one server. Use as an async context manager."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self.url = url
        self._api_key = api_key
        self._patience = Patience()
        self._tokenizer: tuple[str, tuple[str, ...]] | None = None
        parts = urlsplit(url)
        self._base = quote(parts.path, safe=_IN_A_PATH)
        key = "" if api_key is None else f"Authorization: Bearer {api_key}\r\n"
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
        self._headers = f"Host: {host}\r\n{key}User-Agent: seatrial\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        self._parts = parts
        self._pool: Pool

    async def __aenter__(self) -> Self:
        self._pool = Pool(self._parts)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.close()

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
        """Have ``number`` connections open for the requests that follow; nothing is asked over them."""
        await self._pool.open_idle(number)

    async def stream(self, path: str, body: dict[str, Any], flight: Flight) -> None:
        """Send one completion request and follow its answer in ``flight``; raise StreamError if it fails."""
        await self._exchange("POST", path, body, flight, Streamed(flight, self._patience))

    async def _short(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        answer = Whole(_MAX_MODELS_BODY)
        try:
            async with asyncio.timeout(_SHORT_TIMEOUT_S):
                await self._exchange(method, path, body, Flight(), answer)
            return parse_json(bytes(answer.body))
        except TimeoutError as error:
            raise RequestError("timeout", f"{path} did not answer within {_SHORT_TIMEOUT_S:g} s") from error
        except JsonError as error:
            raise RequestError("malformed", f"the answer of {path} {error}") from error

    async def _exchange(
        self, method: str, path: str, body: dict[str, Any] | None, flight: Flight, exchange: Exchange
    ) -> None:
        """Send a request, again if the server closed an idle connection at the same moment.

        llama.cpp closes a connection after each stream although it promises to leave it open, and
        uvicorn after 5 s: a reused connection that ends without a byte of an answer says nothing
        about the request (RFC 9112, section 9.3.1). Each such failure uses up one idle connection.
        """
        request = self._request(method, path, body)
        try:
            while not await self._attempt(request, flight, exchange):
                exchange.again()
        except StreamError as error:
            if self._api_key and self._api_key in str(error):
                error.args = (str(error).replace(self._api_key, "[key]"),)
            raise

    async def _attempt(self, request: bytes, flight: Flight, exchange: Exchange) -> bool:
        """Return False if the request is worth sending again over another connection."""
        connection, flight.reused = await self._pool.take()
        flight.sent = connection.send(request, exchange)
        try:
            await exchange.over
        except UnansweredError:
            if not flight.reused:
                raise
            return False
        finally:
            connection.leave(exchange)
        return True

    def _request(self, method: str, path: str, body: dict[str, Any] | None) -> bytes:
        content = b"" if body is None else msgspec.json.encode(body)
        kind = "" if body is None else f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        return f"{method} {self._base}{path} HTTP/1.1\r\n{self._headers}{kind}\r\n".encode("latin1") + content
