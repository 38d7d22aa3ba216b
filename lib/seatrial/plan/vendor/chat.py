"""How to talk to a served V4 or V4.1: parsers, thinking modes and the context they need, recommended sampling."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from seatrial.catalog.types import Checkpoint, Model
from seatrial.flags import Flags
from seatrial.json_text import parse_json
from seatrial.plan.types import Chat, Recipe, Sampling, ThinkingMode
from seatrial.records import Reason

_FILES = {"deepseek_v4": "chat.json", "deepseek_v41": "chat_v41.json"}
_DEFAULT_KWARGS = "--default-chat-template-kwargs."
"""Prefix of vLLM's flags for requests that say nothing about thinking."""


def chat_of(
    engine: str, model: Model, checkpoint: Checkpoint, context_tokens: int, recipe: Recipe | None = None
) -> Chat | None:
    """Return the chat facts for a checkpoint on an engine, None if there are none for them.

    Args:
        engine: Engine id.
        model: Model of the checkpoint; only V4 and V4.1 have chat facts.
        checkpoint: Checkpoint to serve; pre-training checkpoints have no chat.
        context_tokens: Context of each request.
        recipe: Recipe of the plan, whose flags may set another default mode.

    """
    family = model.architecture
    if family not in _FILES or model.role not in {"official", "local"} or checkpoint.base:
        return None
    release = any(name in checkpoint.id for name in _document(family)["releases"])
    reached = max((least for least in _least_contexts(family) if least <= context_tokens), default=0)
    return _chat(family, engine, reached, _default_kwargs(recipe.flags if recipe else Flags()), release=release)


def chat_reasons(chat: Chat, context_tokens: int) -> tuple[Reason, ...]:
    """Return a chat's parsers, thinking modes and sampling in sentences, each with its source."""
    names = [("reasoning", chat.reasoning_parser), ("tool-call", chat.tool_call_parser)]
    parsers = ", ".join(f"{what} parser {name}" for what, name in names if name)
    think = [mode for mode in chat.thinking_modes if mode.chat_template_kwargs.get("reasoning_effort") == "high"]
    text = f"Chat: {f'{parsers}; ' if parsers else ''}{chat.template}."
    found = [Reason(text, chat.origin, chat.source)]
    for mode in think:
        modes = (
            f"It answers in {chat.default_mode.name} if a request asks for no mode; "
            f"chat_template_kwargs {json.dumps(mode.chat_template_kwargs)} asks for {mode.name}."
        )
        found.append(Reason(modes, mode.origin, mode.source))
    found += [
        Reason(
            f"{mode.name} needs a context of at least {mode.context_tokens_min:,} tokens; this plan gives "
            f"{context_tokens:,}.",
            mode.origin,
            mode.source,
        )
        for mode in chat.thinking_modes
        if not mode.fits_context
    ]
    for row in chat.sampling:
        what = f"Recommended sampling ({row.purpose}): temperature {row.temperature:.1f}, top_p {row.top_p}."
        found.append(Reason(what, row.origin, row.source))
    return tuple(found)


@lru_cache(maxsize=1024)
def _default_kwargs(flags: Flags) -> tuple[tuple[str, str], ...]:
    """Return the chat_template_kwargs that a recipe sets for requests without any, as JSON or one flag for each."""
    given = parse_json(flags.get(_DEFAULT_KWARGS.removesuffix(".")) or "{}")
    dotted = {
        name.removeprefix(_DEFAULT_KWARGS): value for name, value in flags.items() if name.startswith(_DEFAULT_KWARGS)
    }
    return tuple((name, str(value).lower()) for name, value in {**given, **dotted}.items())


@cache
def _least_contexts(family: str) -> list[int]:
    """Return the contexts that a thinking mode needs; the chat facts change at these only."""
    return [row["context_tokens_min"] for row in _document(family)["thinking_modes"] if row["context_tokens_min"]]


@lru_cache(maxsize=1024)
def _chat(
    family: str, engine: str, context_tokens: int, default_kwargs: tuple[tuple[str, str], ...], *, release: bool
) -> Chat | None:
    document = _document(family)
    row = document["engines"].get(engine)
    if row is None:
        return None

    return Chat(
        **{name: row[name] for name in ("reasoning_parser", "tool_call_parser", "tokenizer_mode", "template")},
        flags=tuple(row["flags"]),
        thinking_modes=_modes(
            _for_release(document["thinking_modes"], release), row, context_tokens, dict(default_kwargs)
        ),
        sampling=tuple(
            Sampling(**{name: value for name, value in each.items() if name != "of"})
            for each in _for_release(document["sampling"], release)
        ),
        answer_tokens_max=document["answer_tokens_max"],
        origin=row["origin"],
        source=row["source"],
    )


def _for_release(rows: list[dict[str, Any]], release: bool) -> list[dict[str, Any]]:
    return [row for row in rows if release or row.get("of") != "release"]


def _modes(
    rows: list[dict[str, Any]], engine: dict[str, Any], context_tokens: int, default_kwargs: dict[str, str]
) -> tuple[ThinkingMode, ...]:
    kwargs = {row["name"]: _kwargs(engine["switch"], row) for row in rows}
    default = engine["default_mode"]
    for name, values in kwargs.items():
        if default_kwargs == {key: str(value).lower() for key, value in values.items()}:
            default = name
    return tuple(
        ThinkingMode(
            name=row["name"],
            default=row["name"] == default,
            chat_template_kwargs=kwargs[row["name"]],
            context_tokens_min=row["context_tokens_min"],
            fits_context=context_tokens >= (row["context_tokens_min"] or 0),
            origin=row["origin"],
            source=row["source"],
        )
        for row in rows
        if row["name"] in engine.get("modes", kwargs)
    )


def _kwargs(switch: str, mode: dict[str, Any]) -> dict[str, bool | str]:
    effort = {"reasoning_effort": mode["reasoning_effort"]} if mode["reasoning_effort"] else {}
    return {switch: mode["thinking"], **effort}


@cache
def _document(family: str) -> dict[str, Any]:
    document: dict[str, Any] = parse_json(Path(__file__).with_name(_FILES[family]).read_bytes())
    return document
