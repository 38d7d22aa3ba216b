"""Turns facts about published speeds into ``speed/published.json`` and ``speed/acceptance.json``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import msgspec

from refresh.convert import Document, Made, day_of, file_of
from refresh.kinds import DataFile
from refresh.recipe_forms import model_of
from refresh.schema import joined, problems
from seatrial.catalog import find_checkpoint
from seatrial.errors import UsageError
from seatrial.plan.gpu_server.kv_pool import A2A_FLAG, DELAYER_FLAG
from seatrial.plan.load import work_of
from seatrial.plan.vendor.limits import limits
from seatrial.plan.vendor.recipes import Cell, cells
from seatrial.speed.work import benchmark_requests

Count = Annotated[int, msgspec.Meta(ge=1)]
AboveRounding = Annotated[float, msgspec.Meta(ge=0.001)]
"""A figure that is still above zero when milliseconds are written as seconds of six places."""
_WORK = (
    "dense_bytes",
    "expert_bytes",
    "experts",
    "experts_per_token",
    "layers",
    "active_parameters",
    "routed_parameters",
)
_QUEUED_S = 15.0
"""A median time to first token beyond this is a wait for a place."""
_AGREES, _DISAGREES = math.log(1.03), math.log(1.08)
_METHOD, _DRAFTS = re.compile(r"\b(mtp|dspark)\b", re.IGNORECASE), re.compile(r"(?:block|n-max|dspark) (\d+)")
_WORKLOADS = {"coding": "code", "random": "random", "mixed": "mixed", "reference": "reference"}


class PublishedSpeed(msgspec.Struct):
    """A row of facts about published speeds."""

    hw: str
    variant: str
    quant: str
    strategy: str
    nodes: Count
    gpus: Count
    concurrency: Count
    isl: Count
    osl: Count
    ttft_ms: AboveRounding
    tpot_ms: AboveRounding
    derived_output_tok_s: AboveRounding
    sglang_version: str
    percentile: str
    num_prompts: Count | None = None
    consistent: bool | None = None


class AcceptedDrafts(msgspec.Struct):
    """A row of facts about accepted drafts."""

    model: str
    method: str
    source: str
    checked: str
    thinking: str = ""
    dataset: str = ""
    engine: str = ""
    acceptance_length: dict[str, AboveRounding] = {}
    acceptance_share: dict[str, AboveRounding] = {}


def speeds_of(documents: Sequence[Document], files: Sequence[DataFile], checked: str | None) -> Iterator[Made]:
    """Yield the published runs, with the flags of their recipes, and the tokens a step yields with drafts.

    Raises:
        UsageError: Facts about accepted drafts are malformed, or a run's figures contradict one another.

    """
    published, acceptance = file_of(files, "speed/published"), file_of(files, "speed/acceptance")
    day = max(day_of(document, checked) for document in documents)
    source = "; ".join(dict.fromkeys(document["sglang"]["source"] for document in documents))
    found = [(row, _cell(row)) for document in documents for row in document["sglang"]["rows"]]
    notes = [f"{_name(row)}: no recipe of this name, left out." for row, cell in found if cell is None]
    rows = [_row(row, cell) for row, cell in found if cell is not None]
    drafts = installed = acceptance.read()["rows"]
    for document in documents:
        told = _accepted_rows(document)
        notes += [note for note in told if isinstance(note, str)]
        made = [row for row in told if not isinstance(row, str)]
        known = {_key(row) for row in made}
        drafts = [*made, *(row for row in drafts if _key(row) not in known)]
    new = published.read() | {"source": source, "checked": day, "work": _works(rows), "rows": rows}
    yield Made(published, new, _text(new), tuple(notes))
    if drafts != installed:
        new = acceptance.read() | {"checked": day, "rows": drafts}
        yield Made(acceptance, new, _text(new))


def _accepted_rows(document: Document) -> list[Document | str]:
    """Return rows of the table of accepted drafts, and a note for each fact that makes none."""
    facts = document.get("acceptance", {"rows": []})
    rows: Any = facts.get("rows") if isinstance(facts, dict) else facts
    if found := list(problems(rows, list[AcceptedDrafts], "acceptance.rows")):
        raise UsageError(f"Facts about accepted drafts have problems:\n  {joined(found)}", remedy="Correct the file.")
    return [made for row in rows for made in _acceptances(row)]


def _cell(row: Mapping[str, Any]) -> Cell | None:
    """Return the recipe a run was measured with."""
    names = (row["hw"], row["variant"], row["quant"], row["strategy"], row["nodes"], row["gpus"])
    for cell in cells():
        if cell.engine == "sglang" and names == (
            cell.accelerator,
            cell.variant or cell.model,
            cell.precision,
            cell.strategy,
            cell.nodes,
            cell.ranks,
        ):
            return cell
    return None


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['hw']} {row['variant']} {row['quant']} {row['strategy']} x{row['concurrency']}"


def _row(row: Mapping[str, Any], cell: Cell) -> Document:
    lengths = "fixed" if _has_fixed_lengths(row) else "drawn"
    answer = row["osl"] if lengths == "fixed" else (row["osl"] + 1) / 2
    ttft, tpot, output = row["ttft_ms"] / 1000, row["tpot_ms"] / 1000, row["derived_output_tok_s"]
    contradicted = row.get("consistent") is False
    if contradicted:
        tpot = (row["concurrency"] * answer / output - ttft) / answer
    if tpot <= 0:
        raise UsageError(
            f"{_name(row)}: {output} tokens/s leave no time between tokens after {ttft} s to the first.",
            remedy="Check ttft_ms and derived_output_tok_s of this row.",
        )
    running, basis = _running(row, cell, ttft, lengths)
    return {
        "accelerator": cell.accelerator,
        "model": cell.model,
        "variant": row["variant"],
        "precision": cell.precision,
        "checkpoint": cell.checkpoint,
        "strategy": cell.strategy,
        "nodes": cell.nodes,
        "gpus": cell.ranks,
        "data_parallel": cell.parallelism.data,
        "deepep": cell.flags.get(A2A_FLAG) == "deepep",
        "prefill_together": DELAYER_FLAG in cell.flags,
        "draft_method": cell.draft_method,
        "draft_tokens": cell.draft_tokens,
        "concurrency": row["concurrency"],
        "requests": row.get("num_prompts") or benchmark_requests(row["concurrency"]),
        "prompt_tokens": row["isl"],
        "answer_tokens": row["osl"],
        "lengths": lengths,
        "running_limit": running,
        "running_limit_basis": basis,
        "ttft_s": round(ttft, 6),
        "tpot_s": round(tpot, 6),
        "tpot_from": "throughput, which the published one contradicts" if contradicted else "published",
        "output_tokens_per_s": output,
        "percentile": row["percentile"],
        "engine_version": row["sglang_version"],
    }


def _has_fixed_lengths(row: Mapping[str, Any]) -> bool:
    """Return True if a row's own figures agree with answers of the full length and not with half of it on average.

    Requests at once are the rate of requests times their duration (Little's law).
    """
    each = row["concurrency"] / row["derived_output_tok_s"]
    fixed, drawn = (
        abs(math.log(each * answer / ((row["ttft_ms"] + answer * row["tpot_ms"]) / 1000)))
        for answer in (row["osl"], (row["osl"] + 1) / 2)
    )
    return fixed < _AGREES and drawn > _DISAGREES


def _running(row: Mapping[str, Any], cell: Cell, ttft: float, lengths: str) -> tuple[int, str]:
    flag = cell.running_limit
    limit, basis = flag or limits().running_requests, "SGLang's default for V4"
    if flag:
        basis = "--max-running-requests of the recipe"
    if ttft > _QUEUED_S and lengths == "drawn":
        decoding = round(row["derived_output_tok_s"] * row["tpot_ms"] / 1000)
        if decoding < limit:
            return decoding, "throughput x TPOT (Little's law)"
    return limit, basis


def _works(rows: Sequence[Document]) -> Document:
    works = {}
    for row in rows:
        work = asdict(work_of(find_checkpoint(row["checkpoint"])))
        works[row["checkpoint"]] = {name: work[name] for name in _WORK}
    return works


def _acceptances(facts: Mapping[str, Any]) -> Iterator[Document | str]:
    """Yield the rows of the table that one row of facts makes, and a note for what makes none."""
    said = f"{facts['method']}, {facts.get('dataset', '')}"
    left_out = f"{facts['model']}, {facts['method']}"
    method, model = _METHOD.search(facts["method"]), model_of(f"DeepSeek-{facts['model']}")
    if method is None or model is None:
        why = "its method is neither mtp nor dspark" if model else "no model of the catalog has this name"
        yield f"{left_out}: {why}, left out."
        return
    thinking = facts.get("thinking", "").partition(",")[0] or None
    workload = next((name for word, name in _WORKLOADS.items() if word in said), "mixed")
    head = {"model": model, "method": method[1].lower(), "thinking": thinking}
    tail = {"origin": "verified", "measured_with": ", ".join(filter(None, (facts["model"], facts.get("engine"), said.rstrip(", ")))),
            "source": facts["source"], "checked": facts["checked"]}  # fmt: skip
    stated = _DRAFTS.search(facts["method"])
    said_drafts = stated[1] if stated else None
    given, shares = facts.get("acceptance_length", {}), facts.get("acceptance_share", {})
    uncounted = [] if said_drafts else [*(name for name in given if not name.isdigit()), *shares]
    yield from (f"{left_out}: {name} names no count of drafts, left out." for name in uncounted)
    lengths = {name if name.isdigit() else said_drafts: value for name, value in given.items()}
    if accepted := {name: value for name, value in lengths.items() if name}:
        yield head | {"workload": workload, "engine": None, "accepted": accepted} | tail
    for text, share in shares.items():
        if said_drafts:
            yield head | {"workload": text, "engine": "llamacpp", "share": {said_drafts: share}} | tail


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "method", "thinking", "workload", "engine"))


def _text(document: Document) -> str:
    """Return a document as text, a row a line."""
    rows = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in document["rows"])
    head = json.dumps({name: value for name, value in document.items() if name != "rows"}, ensure_ascii=False, indent=2)
    return f'{head[:-2]},\n  "rows": [\n{rows}\n  ]\n}}\n'
