"""Writes the prompts of a load level: of equal length, with a shared beginning, or as a recording has them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Sequence
from dataclasses import replace

from seatrial.measure.client.prompts import Prompt, PromptWriter, SharedTexts
from seatrial.measure.recording import Recording
from seatrial.measure.workload import Level, Workload

_WRITERS = 8  # at the same time: each asks the server's tokenizer a few times
_MAX_TEXTS = 512  # different texts of a level; further requests repeat them under new nonces
# Requests of a level if the workload has no number: enough for a steady stretch.
_REQUESTS_A_STREAM, _MIN_REQUESTS = 4, 8
_OPEN_LOOP_S, _MIN_ARRIVALS = 30, 20


class LevelPrompts:
    """Prompts of the levels of a workload."""

    def __init__(self, writer: PromptWriter, workload: Workload, recording: Recording | None) -> None:
        self.recording = recording  # that is replayed, None if none is
        self._writer = writer
        self._workload = workload

    def number(self, level: Level) -> int:
        """Return the requests of a level."""
        workload = self._workload
        if self.recording is not None:
            return len(self.recording.arrivals)
        if workload.requests is not None and not (workload.find_knee and workload.requests < (level.streams or 0)):
            return workload.requests
        if level.streams is not None:
            return max(_REQUESTS_A_STREAM * level.streams, _MIN_REQUESTS)
        mean_rate = (level.rate or 0.0) / (2 if workload.arrivals == "ramp" else 1)
        return max(math.ceil(_OPEN_LOOP_S * mean_rate), _MIN_ARRIVALS)

    async def write(self, level: Level, number: int) -> tuple[list[Prompt], list[Prompt]]:
        """Return a level's prompts and those that are sent before it and discarded."""
        if self.recording is not None:
            return await self._recorded(self.recording), await self._alike(self._workload.warmup_requests, level, "")
        shared = ""
        if level.shared:
            tokens = max(round(level.prompt_tokens * self._workload.shared_share), 1)
            shared = await self._writer.write_beginning(tokens)
        return (
            await self._alike(number, level, shared),
            await self._alike(self._workload.warmup_requests, level, shared),
        )

    async def _alike(self, number: int, level: Level, shared: str) -> list[Prompt]:
        texts = min(number, _MAX_TEXTS)
        prompts = await _in_batches([self._writer.write(level.prompt_tokens, shared) for _ in range(texts)])
        return prompts + [prompts[index % texts].renewed() for index in range(texts, number)]

    async def _recorded(self, recording: Recording) -> list[Prompt]:
        shared = SharedTexts(self._writer, recording.block_tokens)
        prompts = []
        for one in recording.arrivals:
            if one.blocks:
                prompts.append(shared.of_blocks(one.prompt_tokens, one.blocks))
            elif one.session:
                prompts.append(shared.of_session(one.prompt_tokens, one.session))
            else:
                prompts.append(self._writer.write(one.prompt_tokens))
        written = await _in_batches(prompts)
        return [
            replace(prompt, answer_tokens=one.answer_tokens)
            for prompt, one in zip(written, recording.arrivals, strict=True)
        ]


async def _in_batches(prompts: Sequence[Awaitable[Prompt]]) -> list[Prompt]:
    written: list[Prompt] = []
    for first in range(0, len(prompts), _WRITERS):
        written += await asyncio.gather(*prompts[first : first + _WRITERS])
    return written
