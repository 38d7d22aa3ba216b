"""What differs between runs: configuration, versions, hardware and load, of each only what is not the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any

from seatrial.flags import Flags
from seatrial.units import format_bytes, format_seconds
from seatrial.view.report.run_record import RunRecord
from seatrial.view.tables.table import Table
from seatrial.view.untrusted import plain_text

_PLACES = frozenset(
    {
        "--port",
        "--host",
        "--model",
        "--model-path",
        "--api-key",
        "--api-key-file",
        "--served-model-name",
        "--alias",
        "--log-file",
    }
)
"""Flags that differ from start to start and change no speed, or say what the checkpoint says."""
_UNKNOWN = "-"
_MOST = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is not the same in all runs."""

    group: str  # ``configuration``, ``versions``, ``hardware`` or ``load``
    what: str
    values: tuple[str, ...]  # one for each run, ``-`` if it was not recorded


def differences(runs: Sequence[RunRecord]) -> list[Difference]:
    """Return the facts for which two runs are known to differ, the most telling first."""
    facts = [dict(_facts(run)) for run in runs]
    found = []
    for group, what in dict.fromkeys(key for one in facts for key in one):
        values = tuple(one.get((group, what), _UNKNOWN) for one in facts)
        if len({value for value in values if value != _UNKNOWN}) > 1:
            found.append(Difference(group, what, values))
    return found


def table_differences(found: Sequence[Difference], names: Sequence[str]) -> Table:
    """Return a row for each difference, a column for each run."""
    groups = list(dict.fromkeys(one.group for one in found))
    counted = ", ".join(groups[:-1]) + (" and " if groups[1:] else "") + "".join(groups[-1:])
    return Table(
        f"They differ in {counted}" if found else "No recorded fact differs",
        ("What", *names),
        tuple((f"{one.group}: {one.what}", *one.values) for one in found),
        "Only what differs. A dash was not recorded.",
    )


def _facts(run: RunRecord) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield group, name and value of every fact that may explain a difference in speed."""
    for group, rows in (
        ("configuration", _configuration(run)),
        ("versions", _versions(run)),
        ("hardware", _hardware(run)),
        ("load", _load(run)),
    ):
        for what, value in rows:
            if value is not None and value != "":
                yield (group, what), plain_text(value, _MOST)


def _configuration(run: RunRecord) -> Iterator[tuple[str, Any]]:
    plan, result = run.plan, run.measurement
    if result is not None and (plan is None or result.model != plan.checkpoint):
        yield "model", result.model
    yield "kind", (run.kind or "measured") if result else None
    if plan is not None:
        yield "checkpoint", plan.checkpoint
    yield "engine", result.engine if result else plan.engine if plan else run.server.get("engine")
    if plan is not None:
        yield "context", f"{plan.context_tokens:,} tokens"
        yield "requests at once", plan.concurrency
        yield "GPUs used", plan.ranks
        for one in fields(plan.parallelism):
            yield f"{one.name} parallelism", getattr(plan.parallelism, one.name)
        yield "drafter", plan.drafter or "none"
        yield "drafted tokens a step", plan.draft_tokens
        yield "share of GPU memory", plan.gpu_memory_fraction
    yield from _flags(run)


def _flags(run: RunRecord) -> Iterator[tuple[str, Any]]:
    argv, environment = run.command.get("argv"), run.command.get("env")
    words = [word for word in argv if isinstance(word, str)] if isinstance(argv, list) else []
    first = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    for name, value in Flags.from_words(words[first:]).items():
        if name not in _PLACES:
            yield name, "set" if value is None else PurePath(value).name if value.startswith("/") else value
    if isinstance(environment, dict):
        yield from environment.items()


def _versions(run: RunRecord) -> Iterator[tuple[str, Any]]:
    yield "seatrial", run.document.get("seatrial_version")
    yield "engine's version", run.server.get("engine_version")
    known = run.document.get("versions")
    for name, value in known.items() if isinstance(known, dict) else ():
        yield from value.items() if isinstance(value, dict) else [(name, value)]


def _hardware(run: RunRecord) -> Iterator[tuple[str, Any]]:
    machine = run.hardware
    if machine is None:
        return
    yield "machine", machine.name
    kinds = Counter((gpu.name, gpu.memory_bytes) for gpu in machine.gpus)
    yield (
        "GPUs",
        ", ".join(f"{count} x {name}, {format_bytes(size)}" for (name, size), count in kinds.items()) or "none",
    )
    yield "driver", machine.driver
    yield "CUDA", machine.cuda
    yield "processor", machine.host.cpu
    yield "cores", machine.host.cores
    yield "host memory", format_bytes(machine.host.usable_memory_bytes)
    yield "in a container", "yes" if machine.host.container else "no"
    yield "figures of the machine", machine.origin


def _load(run: RunRecord) -> Iterator[tuple[str, Any]]:
    result = run.measurement
    if result is None:
        return
    for one in fields(result.workload):
        value = getattr(result.workload, one.name)
        name = one.name.removesuffix("_s").replace("_", " ")
        if value is not None and value != ():
            listed = ", ".join(map(str, value)) if isinstance(value, tuple) else value
            yield name, format_seconds(value) if one.name.endswith("_s") and isinstance(value, float) else listed
    yield "tokens counted by", ", ".join(sorted({point.token_source for point in result.points if point.token_source}))
    yield "server", "elsewhere" if not _is_here(result.url) else "on the same machine"


def load_table(run: RunRecord) -> Table:
    """Return the load that was sent, a row for each of its figures."""
    rows = tuple((what, plain_text(value, _MOST)) for what, value in _load(run) if value not in {None, ""})
    return Table("The load", ("What", "Value"), rows)


def _is_here(url: str) -> bool:
    return any(host in url for host in ("//127.", "//localhost", "//[::1]"))
