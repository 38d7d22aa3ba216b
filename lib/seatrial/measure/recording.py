"""Reads a recorded list of arrivals: when requests came, how long prompts and answers were, and what they shared."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from seatrial.errors import UsageError
from seatrial.json_text import JsonError, parse_json
from seatrial.measure.workload import MAX_TOKENS, Workload
from seatrial.printable import shortened

MOST_ROWS = 100_000
MOST_PROMPT_TOKENS = 32_000_000
"""Of all prompts together: their text is made before the first is sent."""

_LONGEST_LINE = 1 << 22
_MOST_BYTES = 256 << 20  # of a file that is one JSON list
_MOST_BLOCKS = 1 << 16  # of one prompt

# Names of columns without case and punctuation. Public traces: Azure's (TIMESTAMP, ContextTokens, GeneratedTokens), BurstGPT
# (Timestamp, Request tokens, Response tokens, Session ID), Mooncake (timestamp in ms, input_length, output_length, hash_ids),
# Splitwise (arrival_timestamp, prompt_size, token_size), Vidur (arrived_at, num_prefill_tokens, num_decode_tokens).
_COLUMNS = {
    "time": ("timestamp", "timestamps", "timestampms", "arrivaltimestamp", "arrivaltime", "arrivedat", "arrival", "ats",
             "time", "times", "timems", "requesttime"),
    "prompt": ("prompttokens", "promptlength", "promptlen", "promptsize", "inputtokens", "inputlength", "inputlen",
               "contexttokens", "requesttokens", "numprefilltokens"),
    "answer": ("answertokens", "answerlength", "outputtokens", "outputlength", "outputlen", "generatedtokens",
               "responsetokens", "completiontokens", "tokensize", "numdecodetokens"),
    "session": ("sessionid", "session", "conversationid", "conversation"),
    "blocks": ("hashids",),
}  # fmt: skip
_NEEDED = ("time", "prompt", "answer")
_WORDS = {"time": "when it came", "prompt": "prompt tokens", "answer": "answer tokens"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A recorded request."""

    at_s: float  # since the first
    prompt_tokens: int
    answer_tokens: int
    session: str = ""  # requests of one session begin alike
    blocks: tuple[int, ...] = ()  # ids of its pieces of ``block_tokens``; equal beginnings are equal text


@dataclass(frozen=True, slots=True)
class Recording:
    """Arrivals of a file, in the order of time."""

    arrivals: tuple[Arrival, ...]
    block_tokens: int = 0
    notes: tuple[str, ...] = ()


def mean_rate(recording: Recording) -> float:
    """Return the requests per second of a recording; of one moment, as if it took a second."""
    return len(recording.arrivals) / (recording.arrivals[-1].at_s or 1.0)


def read_recording(workload: Workload) -> Recording | None:
    """Return the arrivals that a workload replays, its speed applied; None if it replays none.

    Raises:
        UsageError: If the file cannot be read, lacks a column, or has a bad row; the message names the line.

    """
    if workload.replay is None:
        return None
    path = Path(workload.replay)
    most = workload.requests or MOST_ROWS + 1
    found: list[Arrival] = []
    empty = 0
    for arrival in _rows(path):
        if len(found) >= most:
            break
        if arrival.prompt_tokens and arrival.answer_tokens:
            found.append(arrival)
        else:
            empty += 1
    return _recording(path, found, empty, workload.speed_up)


def _recording(path: Path, found: list[Arrival], empty: int, speed_up: float) -> Recording:
    fewer = "Replay the first ones with --requests N (requests=N)."
    if not found:
        raise UsageError(f"{_shown(path)} has no request with a prompt and an answer.", remedy="Choose another file.")
    if len(found) > MOST_ROWS:
        raise UsageError(f"{_shown(path)} has more than {MOST_ROWS:,} requests.", remedy=fewer)
    tokens = sum(arrival.prompt_tokens for arrival in found)
    if tokens > MOST_PROMPT_TOKENS:
        raise UsageError(
            f"The prompts of {_shown(path)} have {tokens:,} tokens together, more than {MOST_PROMPT_TOKENS:,}.",
            remedy=fewer,
        )
    found.sort(key=lambda arrival: arrival.at_s)
    begin = found[0].at_s
    # Mooncake's traces have whole milliseconds beside the ids of blocks; others with such ids have fractions of seconds.
    in_ms = any(one.blocks for one in found) and all(one.at_s.is_integer() for one in found)
    unit = 1000 if in_ms else 1
    moved = tuple(replace(arrival, at_s=(arrival.at_s - begin) / unit / speed_up) for arrival in found)
    notes = [f"The times of {_shown(path)} were read as milliseconds."] if in_ms else []
    notes += [f"{empty:,} rows of {_shown(path)} without prompt or answer tokens were left out."] if empty else []
    return Recording(moved, _block_tokens(moved), tuple(notes))


def _block_tokens(arrivals: Iterable[Arrival]) -> int:
    """Return the tokens of a block, which no row says: the power of two that covers every prompt."""
    needed = max((math.ceil(one.prompt_tokens / len(one.blocks)) for one in arrivals if one.blocks), default=0)
    return 1 << (needed - 1).bit_length() if needed else 0


def _rows(path: Path) -> Iterator[Arrival]:
    if path.exists() and not path.is_file():
        raise UsageError(f"{_shown(path)} is no file.", remedy="Name a CSV or JSONL file of recorded requests.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.read(1)
            file.seek(0)
            yield from _json_list(path) if first == "[" else _lines(file, path, as_json=first == "{")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or an impossible name
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise UsageError(
            f"{_shown(path)} cannot be read: {why}.", remedy="Name a CSV or JSONL file of recorded requests."
        ) from error


def _lines(file: TextIO, path: Path, *, as_json: bool) -> Iterator[Arrival]:
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise _bad(path, number, f"is longer than {_LONGEST_LINE:,} characters")
            if line.strip():
                yield line

    try:
        if as_json:
            yield from _of_objects(map(parse_json, lines()), path, lambda: number)
        else:
            yield from _of_csv(lines(), path, lambda: number)
    except JsonError as error:
        raise _bad(path, number, str(error)) from error
    except csv.Error as error:
        raise _bad(path, number, f"cannot be read ({error})") from error


def _of_csv(lines: Iterator[str], path: Path, number: Callable[[], int]) -> Iterator[Arrival]:
    head = next(lines, "")
    separator = max(",;\t", key=head.count)
    names = next(csv.reader([head], delimiter=separator), [])
    columns = _columns(names, path)
    for values in csv.reader(lines, delimiter=separator):
        if len(values) < len(names):
            raise _bad(path, number(), f"has {len(values)} values for {len(names)} columns")
        yield _arrival(dict(zip(names, values, strict=False)), columns, path, number())


def _of_objects(rows: Iterable[Any], path: Path, number: Callable[[], int]) -> Iterator[Arrival]:
    columns: dict[str, str] = {}
    for row in rows:
        if not isinstance(row, dict):
            raise _bad(path, number(), "is no JSON object")
        columns = columns or _columns(list(row), path)
        yield _arrival(row, columns, path, number())


def _json_list(path: Path) -> Iterator[Arrival]:
    if path.stat().st_size > _MOST_BYTES:
        raise UsageError(f"{_shown(path)} is larger than {_MOST_BYTES >> 20} MiB.", remedy="Give a row a line (JSONL).")
    try:
        rows = parse_json(path.read_bytes())
    except JsonError as error:
        raise UsageError(f"{_shown(path)} cannot be read: it {error}.", remedy="Give a JSON object a line.") from error
    numbers = iter(range(1, len(rows) + 1))
    yield from _of_objects(rows, path, lambda: next(numbers))


def _columns(names: list[str], path: Path) -> dict[str, str]:
    """Return the name of each column that is understood, by what it means."""
    plain = {re.sub(r"[^a-z0-9]", "", str(name).lower()): name for name in reversed(names)}
    found = {what: plain[name] for what, known in _COLUMNS.items() for name in known[::-1] if name in plain}
    missing = [_WORDS[what] for what in _NEEDED if what not in found]
    if missing:
        shown = ", ".join(shortened(str(name), 30) for name in names[:12]) or "nothing"
        raise UsageError(
            f"{_shown(path)} does not tell {' and '.join(missing)} of each request: its columns are {shown}.",
            remedy="Name the columns timestamp, prompt_tokens and answer_tokens; session_id or hash_ids may be beside them.",
        )
    return found


def _arrival(row: dict[str, Any], columns: dict[str, str], path: Path, number: int) -> Arrival:
    try:
        session = row.get(columns.get("session", ""))
        return Arrival(
            _seconds(row.get(columns["time"]), columns["time"]),
            _tokens("prompt", row.get(columns["prompt"])),
            _tokens("answer", row.get(columns["answer"])),
            "" if session is None else str(session),
            _blocks(row.get(columns.get("blocks", ""))),
        )
    except ValueError as error:
        raise _bad(path, number, str(error)) from None


def _seconds(value: Any, column: str) -> float:
    """Return a moment in seconds: a number, text with one, or a date with a time."""
    seconds = math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            seconds = float(value)
        if isinstance(value, str) and math.isnan(seconds):
            with contextlib.suppress(ValueError, OverflowError, OSError):
                seconds = datetime.fromisoformat(value.strip()).timestamp()
    if not math.isfinite(seconds):
        raise ValueError(f"has no time but {shortened(repr(value), 40)}")
    return seconds / 1000 if column.lower().endswith("ms") else seconds


def _tokens(what: str, value: Any) -> int:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= MAX_TOKENS or number != int(number):
        raise ValueError(f"has no number of {what} tokens from 0 to {MAX_TOKENS:,} but {shortened(repr(value), 40)}")
    return int(number)


def _blocks(value: Any) -> tuple[int, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        value = [word for word in re.split(r"[\s,;\[\]]+", value) if word]
    try:
        blocks = tuple(int(one) for one in value)
    except (TypeError, ValueError, OverflowError):
        blocks = ()
    if not blocks or len(blocks) > _MOST_BLOCKS:
        raise ValueError(f"has no list of hash ids but {shortened(repr(value), 40)}")
    return blocks


def _bad(path: Path, number: int, what: str) -> UsageError:
    return UsageError(f"{_shown(path)}, line {number:,}: the row {what}.", remedy="Mend the row, or leave it out.")


def _shown(path: Path) -> str:
    return shortened(os.path.basename(path) or str(path))  # noqa: PTH119 -- of any text
