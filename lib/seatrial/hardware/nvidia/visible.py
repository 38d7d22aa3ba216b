"""Applies CUDA_VISIBLE_DEVICES as CUDA does, and has an engine count the GPUs in the kit's order.

NVML lists GPUs by their place on the PCI bus. CUDA does so only with CUDA_DEVICE_ORDER=PCI_BUS_ID, else the fastest comes
first (https://docs.nvidia.com/cuda/cuda-c-programming-guide/, environment variables). Every engine gets that variable. If
somebody wants numbers counted fastest first, the engine gets the GPUs they name by UUID, which no order changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.hardware.accelerators import match_driver_name
from seatrial.hardware.types import CUDA_ORDER, Problem
from seatrial.printable import shortened

_FASTEST = "FASTEST_FIRST"
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,9})")
"""CUDA reads the digits an entry begins with: 1st is 1."""


@dataclass(frozen=True, slots=True)
class Visible:
    """What the variables leave of the GPUs that NVML lists."""

    entries: list[dict[str, Any]]  # in the order in which an engine is to count them
    note: str = ""  # ending of the source
    problems: tuple[Problem, ...] = ()
    engine_env: tuple[str, ...] = ()  # variables with which an engine sees these, NAME=value


def visible_gpus(entries: list[dict[str, Any]], environment: Mapping[str, str]) -> Visible:
    """Return what the variables of an environment leave of NVML's entries."""
    setting = environment.get("CUDA_VISIBLE_DEVICES")
    order = (CUDA_ORDER,) if entries else ()
    if setting is None or not entries:
        return Visible(entries, engine_env=order)
    by_number = not setting.lstrip().startswith(("GPU-", "MIG-"))
    fastest = by_number and environment.get("CUDA_DEVICE_ORDER") == _FASTEST
    chosen, why = _choose(setting, _fastest_first(entries) if fastest else entries)
    shown = f"CUDA_VISIBLE_DEVICES={shortened(setting)}"
    note = f"; {shown} leaves {len(chosen)} of {len(entries)}{why and f', as {why}'}"
    if not chosen:
        hidden = f"CUDA_VISIBLE_DEVICES={shortened(setting)!r} hides all {len(entries)} GPUs from this process"
        remedy = "Name each GPU once." if "twice" in why else "Unset CUDA_VISIBLE_DEVICES to use them."
        return Visible([], note, (Problem(f"{hidden}{why and f': {why}'}.", remedy),), order)
    if not fastest:
        return Visible(chosen, note, engine_env=(*order, f"CUDA_VISIBLE_DEVICES={_words(setting, chosen, entries)}"))
    note += f"; its numbers count the fastest first, as CUDA_DEVICE_ORDER={_FASTEST} says"
    uuids = [entry.get("uuid") for entry in chosen]
    pinned = (CUDA_ORDER, f"CUDA_VISIBLE_DEVICES={','.join(map(str, uuids))}")
    return Visible(chosen, note, engine_env=pinned if all(uuids) else (f"CUDA_DEVICE_ORDER={_FASTEST}",))


def _words(setting: str, chosen: Sequence[dict[str, Any]], entries: Sequence[dict[str, Any]]) -> str:
    """Return the valid entries of a list; copied to another shell, a command then means the same GPUs."""
    if setting.lstrip().startswith(("GPU-", "MIG-")):
        return ",".join(word.strip() for word in setting.split(",")[: len(chosen)])
    return ",".join(str(entries.index(entry)) for entry in chosen)


def _choose(setting: str, entries: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Return the entries of a list in its order, and why it ended early; empty if it did not.

    All entries of a list are of the kind of the first: numbers, UUIDs of GPUs, or UUIDs of MIG slices. The list ends at the
    first invalid one; one that stands twice hides all (torch/cuda/__init__.py, _parse_visible_devices, which follows CUDA).
    """
    find: Callable[[Sequence[dict[str, Any]], str], dict[str, Any] | None] = _by_number
    for prefix, by_uuid in (("GPU-", _by_uuid), ("MIG-", _slice)):
        if setting.lstrip().startswith(prefix):
            find = by_uuid
    chosen: list[dict[str, Any]] = []
    for word in setting.split(","):
        found = find(entries, word.strip())
        if found is None:
            return chosen, f"{shortened(word.strip(), 60)!r} is none of them" if word.strip() else ""
        if found in chosen:
            return [], f"{shortened(word.strip(), 60)!r} stands there twice, for which CUDA shows none"
        chosen.append(found)
    return chosen, ""


def _by_number(entries: Sequence[dict[str, Any]], word: str) -> dict[str, Any] | None:
    match = _NUMBER.match(word)
    number = int(match[1]) if match else -1
    return entries[number] if 0 <= number < len(entries) else None


def _by_uuid(entries: Sequence[dict[str, Any]], word: str) -> dict[str, Any] | None:
    """Return the only entry whose UUID begins with a word."""
    return _only(entry for entry in entries if word.startswith("GPU-") and str(entry.get("uuid")).startswith(word))


def _slice(entries: Sequence[dict[str, Any]], word: str) -> dict[str, Any] | None:
    """Return the entry of a MIG slice, with that slice only."""
    return _only(
        {**entry, "slices": [part]}
        for entry in entries
        for part in entry.get("slices", ())
        if word.startswith("MIG-") and str(part["uuid"]).startswith(word)
    )


def _only(found: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    first = next(found, None)
    return first if next(found, None) is None else None


def _fastest_first(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort entries by speed: by the data sheets if all are listed, else by architecture and memory.

    CUDA's own measure is not documented.
    """
    listed = [match_driver_name(entry.get("name") or "", entry.get("memory_bytes")) for entry in entries]
    rates = [row.dense_tflops.bf16 if row else None for row in listed]
    if all(rates):
        speeds: list[Any] = rates
    else:
        speeds = [(entry.get("capability") or (0, 0), entry.get("memory_bytes") or 0) for entry in entries]
    order = sorted(range(len(entries)), key=lambda at: speeds[at], reverse=True)
    return [entries[at] for at in order]
