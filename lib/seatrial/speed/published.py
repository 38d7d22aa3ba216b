"""Published runs as ``published.json`` holds them: where, with what load, and how fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from seatrial.json_text import JsonDecoder

PUBLISHED = Path(__file__).with_name("published.json")
_Count = Annotated[int, msgspec.Meta(ge=1)]
_NotNegative = Annotated[int, msgspec.Meta(ge=0)]


class PublishedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run at one level of concurrency."""

    accelerator: str
    model: str
    variant: str  # the vendor's word for the release
    precision: str
    checkpoint: str
    strategy: str
    nodes: _Count
    gpus: _Count
    data_parallel: _Count
    deepep: bool  # experts are exchanged by DeepEP
    prefill_together: bool  # attention replicas wait for one another's prompts
    draft_method: str
    draft_tokens: _NotNegative  # drafted in each step
    concurrency: _Count
    requests: _Count
    prompt_tokens: _Count
    answer_tokens: _Count
    lengths: Literal["fixed", "drawn"]  # every request has these lengths; or they are the longest
    running_limit: _Count  # requests that run at once
    running_limit_basis: str
    ttft_s: float
    tpot_s: float
    tpot_from: str  # published, or what it was derived from
    output_tokens_per_s: float
    percentile: str
    engine_version: str


class PublishedWork(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes and parameters of a checkpoint, as ``seatrial.speed.work.Work`` takes them."""

    dense_bytes: _Count
    expert_bytes: _Count
    experts: _Count
    experts_per_token: _Count
    layers: _Count
    active_parameters: _Count
    routed_parameters: _Count


class PublishedFile(msgspec.Struct, frozen=True, kw_only=True):
    """The document of ``published.json``."""

    source: str
    licence: str
    checked: str
    notes: list[str]
    work_source: str
    work: dict[str, PublishedWork]  # by checkpoint
    rows: list[PublishedRow]


def read_published() -> PublishedFile:
    """Load published.json."""
    return JsonDecoder(PublishedFile)(PUBLISHED.read_bytes())
