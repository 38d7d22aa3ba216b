"""Writes prompts to send as load: sensible questions of an exact length that no prefix cache has seen.

Each begins with a number of its own (the nonce): a server that remembers the beginning of
earlier prompts would otherwise skip the prefill and look faster than it is.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import chain, islice
from typing import Any

from seatrial.json_text import parse_json
from seatrial.measure.client.questions import Question

_NONCE_DIGITS = 8
_NONCES = range(10**7, 10**8)  # all numbers of that many digits
_TOKENS_PER_WORD = 1.33  # first guess for English text; the server's own counts replace it at once
_MAX_PADS = 4

_CountTokens = Callable[[str], Awaitable[int | None]]  # as the server counts them; None if it does not answer


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt to send."""

    text: str
    exact: bool  # the server's tokenizer confirmed its length
    nonce_at: int = 0  # where its own part begins, after a beginning that it shares
    question: Question | None = None  # that it asks, whose answer is checked
    answer_tokens: int | None = None  # most tokens of its answer; None for those of the workload

    def renewed(self) -> Prompt:
        """Return the same prompt under another nonce, which is as long in digits and so in tokens."""
        rest = self.text[self.nonce_at + 1 + _NONCE_DIGITS :]
        return replace(self, text=f"{self.text[: self.nonce_at]}[{_new_nonce()}{rest}")


class PromptWriter:
    """Writer of prompts of a given length, the same for a seed but for their nonces."""

    def __init__(self, seed: int, count: _CountTokens | None) -> None:
        self.template_tokens = 0  # learned from the server's usage, as is:
        self.tokens_per_word = _TOKENS_PER_WORD
        self._count = count  # asks the server's tokenizer; None if it has none
        self._seed = seed
        self._written = 0

    async def write(self, tokens: int, shared: str = "") -> Prompt:
        """Return the next prompt: as many tokens, chat template included, and beginning with ``shared``."""
        source = self.next_source()
        nonce = _new_nonce()
        question = source.choice(_data("questions"))
        words = list(islice(_endless(source), tokens))  # a word has at least one token
        beginning = f"{shared} " if shared else ""
        prompt = await self.fit(tokens, lambda length: beginning + _compose(nonce, question, " ".join(words[:length])))
        return replace(prompt, nonce_at=len(beginning))

    async def fit(self, tokens: int, build: Callable[[int], str]) -> Prompt:
        """Return the text of so many words that it has as many tokens, chat template included."""
        return await self._fit(max(tokens - self.template_tokens, 1), build)

    async def write_beginning(self, tokens: int) -> str:
        """Return a text of as many tokens for prompts to share, under a nonce of its own."""
        source, nonce = self.next_source(), _new_nonce()
        words = list(islice(_endless(source), tokens))
        return (await self._fit(tokens, lambda length: " ".join((f"[{nonce}]", *words[:length])))).text

    def next_source(self) -> random.Random:
        """Return the source of the next text."""
        self._written += 1
        return random.Random(f"{self._seed} {self._written - 1}")  # noqa: S311 -- load, not secrets

    async def learn(self, text: str, prompt_tokens: int) -> None:
        """Learn from the server's count of a prompt, its chat template included."""
        counted = await self._counted(text)
        if counted is None:
            self.tokens_per_word = prompt_tokens / max(len(text.split()), 1)
        else:
            self.template_tokens = max(prompt_tokens - counted, 0)

    async def _counted(self, text: str) -> int | None:
        counted = None if self._count is None else await self._count(text)
        if counted is None:
            self._count = None  # a tokenizer that fails once gets no further request
        return counted

    async def _fit(self, target: int, build: Callable[[int], str]) -> Prompt:
        """Search the number of words that makes the prompt exactly ``target`` tokens long."""
        length = max(round(target / self.tokens_per_word) - len(build(1).split()) + 1, 0)
        low, high = 0, target
        best = build(0)
        while low <= high:
            length = min(max(length, low), high)
            text = build(length)
            counted = await self._counted(text)
            if counted is None:
                return Prompt(text, exact=False)
            if counted == target:
                self.tokens_per_word = counted / len(text.split())
                return Prompt(text, exact=True)
            if counted < target:
                low, best = length + 1, text
            else:
                high = length - 1
            length += round((target - counted) / self.tokens_per_word)
        return await self._pad(best, target)

    async def _pad(self, text: str, target: int) -> Prompt:
        """Close the last gap with full stops, mostly one token each, since no number of words does."""
        for _ in range(_MAX_PADS):
            counted = await self._counted(text)
            if counted is None or counted >= target:
                return Prompt(text, exact=counted == target)
            text += " ." * (target - counted)
        return Prompt(text, exact=False)


class SharedTexts:
    """Texts that recorded requests share: the beginning of a conversation, or the blocks of a prompt."""

    def __init__(self, writer: PromptWriter, block_tokens: int) -> None:
        self._writer = writer
        self._block_tokens = block_tokens
        self._sources: dict[str, tuple[int, str, Iterator[str], list[str]]] = {}  # of each session
        self._blocks: dict[int, asyncio.Future[str]] = {}

    async def of_session(self, tokens: int, session: str) -> Prompt:
        """Return a prompt that begins like every other of its session: the longer one goes on when the shorter ends."""
        if session not in self._sources:
            source = self._writer.next_source()
            self._sources[session] = (_new_nonce(), source.choice(_data("questions")), _endless(source), [])
        nonce, question, more, words = self._sources[session]
        words += islice(more, max(tokens - len(words), 0))
        return await self._writer.fit(tokens, lambda length: _compose(nonce, question, " ".join(words[:length])))

    async def of_blocks(self, tokens: int, blocks: Sequence[int]) -> Prompt:
        """Return a prompt of these blocks; the last one is cut or filled up to the length."""
        texts = [await self._block(block) for block in blocks]
        *whole, last = texts
        beginning = "".join(f"{text} " for text in whole)
        words = last.split() + list(islice(_endless(self._writer.next_source()), tokens))
        return await self._writer.fit(tokens, lambda length: beginning + " ".join(words[: length + 1]))

    async def _block(self, block: int) -> str:
        if block not in self._blocks:
            self._blocks[block] = asyncio.ensure_future(self._writer.write_beginning(self._block_tokens))
        return await self._blocks[block]


def _compose(nonce: int, question: str, notes: str) -> str:
    """Join the parts of a prompt, the nonce first, or a prefix cache would answer."""
    if not notes:
        return f"[{nonce}] {question}"
    return f"[{nonce}] {question} Use these notes where they help: {notes}"


def _new_nonce() -> int:
    return secrets.choice(_NONCES)


def _endless(source: random.Random) -> Iterator[str]:
    """Yield the words of varied sentences."""
    sentences = _data("sentences")
    while True:
        yield from chain.from_iterable(sentence.split() for sentence in source.sample(sentences, len(sentences)))


@cache
def _data(name: str) -> list[str]:
    data: dict[str, Any] = parse_json(files("seatrial.measure.client").joinpath("prompts.json").read_bytes())
    return list(data[name])
