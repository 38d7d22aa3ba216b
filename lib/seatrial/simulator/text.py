"""Text of the simulated engine's answers, and its count of tokens: one word is one token."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

_ANSWER = (
    "This answer is simulated: no model stands behind it. A ship ⚓ leaves the yard, the crew measures speed, "
    "turning circle and fuel, and the log says what was seen — à la mer, 海, море — and what was not."
)
_WORDS = _ANSWER.split()
CHAT_TEMPLATE_TOKENS = 4
_PREFIX_BLOCK = 16


def word(index: int) -> str:
    """Return token number ``index`` of every answer, with the space that separates it from the one before."""
    return _WORDS[index % len(_WORDS)] if index == 0 else f" {_WORDS[index % len(_WORDS)]}"


def words_of(body: dict[str, Any]) -> list[str]:
    """Return the prompt's words, of a chat or a plain completion."""
    messages = body.get("messages")
    if isinstance(messages, list):
        texts = [str(message.get("content", "")) for message in messages if isinstance(message, dict)]
    else:
        texts = [str(body.get("prompt", ""))]
    return " ".join(texts).split()


class PrefixCache:
    """Remembers prompt beginnings, block by block, as engines do: a repeated one costs no prefill."""

    def __init__(self, blocks: int = 100_000) -> None:
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._blocks = blocks

    def cached_tokens(self, words: list[str]) -> int:
        """Return the number of leading tokens seen before, and remember the rest."""
        cached = 0
        complete = len(words) // _PREFIX_BLOCK * _PREFIX_BLOCK
        key = 0
        for end in range(_PREFIX_BLOCK, complete + 1, _PREFIX_BLOCK):
            key = hash((key, *words[end - _PREFIX_BLOCK : end]))
            if key in self._seen and cached == end - _PREFIX_BLOCK:
                cached = end
            self._seen[key] = None
        while len(self._seen) > self._blocks:
            self._seen.popitem(last=False)
        return cached
