"""The simulated engine's HTTP side: health, models, tokenizer, chat and plain completions."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from seatrial.json_text import JsonError, parse_json
from seatrial.simulator import Settings
from seatrial.simulator.counts import Counts
from seatrial.simulator.stream import Stream, write_stream
from seatrial.simulator.text import CHAT_TEMPLATE_TOKENS, PrefixCache, word, words_of

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_MAX_TOKENS = 1 << 20


def build_app(settings: Settings) -> web.Application:
    """Return the application; every answer it gives is marked as simulated."""
    engine = SimulatedEngine(settings)
    app = web.Application(middlewares=[engine.guard], client_max_size=64 << 20)
    app.router.add_get("/health", engine.health)
    app.router.add_get("/v1/models", engine.models)
    app.router.add_get("/metrics", engine.metrics)
    app.router.add_post("/v1/completions", engine.complete)
    if settings.chat:
        app.router.add_post("/v1/chat/completions", engine.complete)
    if settings.tokenizer:
        app.router.add_post("/tokenize", engine.tokenize)
    return app


class SimulatedEngine:
    """One simulated engine: its settings, its slots and its counts of requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ready_at = time.monotonic() + settings.ready_after_s
        self.cache = PrefixCache()
        self.counts = Counts(settings.kv_tokens)
        self.slots = asyncio.Semaphore(settings.slots or _MAX_TOKENS)

    @web.middleware
    async def guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Require the key everywhere but on /health, as engines do."""
        key = self.settings.api_key
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if key is not None and request.path != "/health" and not hmac.compare_digest(given, key.encode()):
            return _openai_error(401, "Invalid API key", "authentication_error")
        return await handler(request)

    async def health(self, _: web.Request) -> web.Response:
        """Answer 200 once ``ready_after_s`` has passed, and 503 before."""
        ready = time.monotonic() >= self.ready_at
        return web.json_response({"status": "ok" if ready else "loading"}, status=200 if ready else 503)

    async def models(self, _: web.Request) -> web.Response:
        """List the one model."""
        listed = {"id": self.settings.model, "object": "model", "owned_by": "seatrial-simulator"}
        return web.json_response({"object": "list", "data": [listed]})

    async def metrics(self, _: web.Request) -> web.Response:
        """Return requests, queue, KV cache and tokens, as Prometheus text."""
        return web.Response(text=self.counts.page())

    async def tokenize(self, request: web.Request) -> web.Response:
        """Return token ids of ``content`` (llama.cpp) or ``prompt`` (SGLang, vLLM)."""
        body = await _json(request)
        if body is None:
            return _sglang_error(400, "the body is not a JSON object")
        count = len(str(body.get("content", body.get("prompt", ""))).split())
        return web.json_response({"tokens": list(range(count)), "count": count})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat or plain completion, streamed or in one piece."""
        body = await _json(request)
        if body is None:
            return _sglang_error(400, "the body is not a JSON object")
        if body.get("model") not in (None, self.settings.model):
            return _sglang_error(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        faults = self._faults_of_next_request()
        refused = self._refuse(request, faults)
        if refused is not None:
            return refused
        self.counts.waiting += 1
        try:
            await self.slots.acquire()
        finally:
            self.counts.waiting -= 1
        try:
            stream = self._stream(request, body, faults)
            with self.counts.serving(stream.prompt_tokens, stream.cached_tokens, stream.tokens):
                return await (self._write(request, stream) if body.get("stream") else self._whole(stream))
        finally:
            self.slots.release()

    def _faults_of_next_request(self) -> frozenset[str]:
        number = self.counts.requests - self.settings.fault_skip
        self.counts.requests += 1
        times = self.settings.fault_times
        meets = number >= 0 and (times is None or number < times)
        return frozenset(self.settings.faults if meets else ())

    def _refuse(self, request: web.Request, faults: frozenset[str]) -> web.Response | None:
        retry = {"Retry-After": f"{self.settings.retry_after_s:g}"}
        if "http_400" in faults:
            return _sglang_error(400, "Requested token count exceeds the model's maximum context length")
        if "http_500" in faults:
            return _openai_error(500, "the simulated engine failed", "internal_error")
        for status in (429, 503):
            if f"http_{status}" in faults:
                return _openai_error(status, "too many requests", "overloaded", retry)
        if "redirect" in faults:
            return web.Response(status=302, headers={"Location": f"{request.path}/elsewhere"})
        if "not_a_stream" in faults:
            return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")
        return None

    def _stream(self, request: web.Request, body: dict[str, Any], faults: frozenset[str]) -> Stream:
        settings = self.settings
        words = words_of(body)
        is_chat = request.path.startswith("/v1/chat")
        prompt = len(words) + (CHAT_TEMPLATE_TOKENS if is_chat else 0)
        cached = self.cache.cached_tokens(words)
        wanted = body.get("max_completion_tokens", body.get("max_tokens", 16))
        tokens = min(wanted if isinstance(wanted, int) and wanted > 0 else 16, _MAX_TOKENS)
        if settings.answer_tokens is not None and not body.get("ignore_eos"):
            tokens = min(tokens, settings.answer_tokens)
        options = body.get("stream_options")
        asked = isinstance(options, dict) and bool(options.get("include_usage"))
        return Stream(
            settings=settings,
            is_chat=is_chat,
            tokens=0 if "empty" in faults else tokens,
            prompt_tokens=prompt,
            cached_tokens=cached,
            usage=settings.usage if settings.usage == "none" or asked else "none",
            faults=faults,
            started=time.monotonic(),
            ttft_s=settings.ttft_s * (1 - cached / max(prompt, 1)),
            counts=self.counts,
        )

    async def _write(self, request: web.Request, stream: Stream) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Simulated": "seatrial"}
        )
        await response.prepare(request)
        # The client left: nothing to do, the connection is gone.
        with contextlib.suppress(ConnectionError):
            await write_stream(stream, request, response)
        return response

    async def _whole(self, stream: Stream) -> web.Response:
        await asyncio.sleep(stream.ttft_s + max(stream.tokens - 1, 0) * stream.tpot_s)
        self.counts.generated_tokens += stream.tokens
        text = "".join(map(word, range(stream.tokens)))
        answer = {"message": {"role": "assistant", "content": text}} if stream.is_chat else {"text": text}
        return web.json_response(
            {
                "id": "simulated",
                "object": "chat.completion" if stream.is_chat else "text_completion",
                "model": self.settings.model,
                "system_fingerprint": "simulated",
                "choices": [{"index": 0, "finish_reason": "length", **answer}],
                "usage": stream.usage_after(stream.tokens),
            }
        )


async def _json(request: web.Request) -> dict[str, Any] | None:
    try:
        body = parse_json(await request.read())
    except JsonError:
        return None
    return body if isinstance(body, dict) else None


def _openai_error(status: int, message: str, kind: str, headers: dict[str, str] | None = None) -> web.Response:
    error = {"message": message, "type": kind, "code": status}
    return web.json_response({"error": error}, status=status, headers=headers)


def _sglang_error(status: int, message: str, kind: str = "BadRequestError") -> web.Response:
    error = {"object": "error", "message": message, "type": kind, "param": None, "code": status}
    return web.json_response(error, status=status)
