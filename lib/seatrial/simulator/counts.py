"""Counts what the simulated engine does, and shows it on a page as engines do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Requests and tokens since the start, and what runs now."""

    kv_tokens: int  # that fit the simulated KV cache
    requests: int = 0
    running: int = 0
    waiting: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    held_tokens: int = 0  # of the requests that run, prompt and whole answer: room in the KV cache is kept for both

    @contextmanager
    def serving(self, prompt_tokens: int, cached_tokens: int, answer_tokens: int) -> Iterator[None]:
        """Count a request as running, and its prompt."""
        self.prompt_tokens += prompt_tokens
        self.cached_tokens += cached_tokens
        self.held_tokens += prompt_tokens + answer_tokens
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self.held_tokens -= prompt_tokens + answer_tokens

    def page(self) -> str:
        """Return Prometheus text; docs/measuring.md says what each figure means."""
        usage = min(self.held_tokens / self.kv_tokens, 1.0)
        rows = (
            ("requests_total", "counter", self.requests),
            ("requests_running", "gauge", self.running),
            ("requests_waiting", "gauge", self.waiting),
            ("kv_cache_usage", "gauge", usage),
            ("prompt_tokens_total", "counter", self.prompt_tokens),
            ("cached_tokens_total", "counter", self.cached_tokens),
            ("generated_tokens_total", "counter", self.generated_tokens),
        )
        return "".join(f"# TYPE simulated_{name} {kind}\nsimulated_{name} {value}\n" for name, kind, value in rows)
