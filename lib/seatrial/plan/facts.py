"""What a person must know to use the plan: engine versions, parsers, thinking modes, sampling."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from seatrial.catalog.types import Checkpoint, Model
from seatrial.plan.types import Plan
from seatrial.plan.versions import engine_versions
from seatrial.records import Reason


def version_reason(engine: str, checkpoint: Checkpoint) -> Reason:
    """Which version is needed, and since when it knows this checkpoint's draft."""
    row = engine_versions()[engine]
    if row.safe is None:
        return Reason(f"{engine} is {row.why}.", "verified", row.source)
    text = f"{engine} {row.safe} or newer: {row.why}."
    if row.dspark and checkpoint.draft == "dspark":
        text += f" The DSpark draft of this checkpoint needs {row.dspark} or newer."
    return Reason(text, "verified", row.source)


def chat_reasons(plan: Plan, model: Model) -> tuple[Reason, ...]:
    """How to talk to the model: parsers, thinking modes, sampling."""
    if not plan.runs or model.role != "official":
        return ()
    chat = _document()
    parsers = chat["parsers"].get(plan.engine)
    found = [Reason(parsers["text"], "verified", parsers["source"])] if parsers else []
    most = chat["think_max"]
    if plan.context_tokens < most["context_tokens"]:
        text = most["text"].format(needed=most["context_tokens"], planned=plan.context_tokens)
        found.append(Reason(text, "verified", most["source"]))
    release = "0731" in plan.checkpoint or "0813" in plan.checkpoint
    sampling = chat["sampling"]["release" if release else "preview"]
    found.append(Reason(sampling["text"], "verified", sampling["source"]))
    return tuple(found)


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(__file__).with_name("chat.json").read_text(encoding="utf-8"))
    return document
