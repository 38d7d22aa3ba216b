"""Takes off what Docker, Kubernetes, journald or Slurm wrote before each line of an engine's log."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seatrial.json_text import JsonError, parse_json

_MOST_LAYERS = 6
_MOST_LINES = 0.6  # of the lines must have a prefix that a log may also have of itself
_STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)"
_MONTH_DAY = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?"
# Each with what only it writes; the group is the name of the process or container that wrote the line.
_SURE = tuple(
    re.compile(pattern)
    for pattern in (
        r"\[pod/(?P<who>[\w./-]+)\] ?",  # kubectl logs --prefix
        rf"{_STAMP} (?:stdout|stderr) [FP](?: |$)",  # containerd: /var/log/pods
        rf"(?:{_MONTH_DAY}|\[ *\d+\.\d{{6}}\]) [\w.-]+ (?:(?P<who>[\w@./:-]+)\[\d+\]|kernel):(?: |$)",  # journalctl
        rf"{_STAMP} [\w.-]+ (?:(?P<who>[\w@./:-]+)\[\d+\]|kernel):(?: |$)",  # journalctl -o short-iso
        r"\[(?:[\w.-]+@)?\d+,(?P<who>\d+)\]<std(?:out|err)>:(?: (?=\S))?",  # mpirun --tag-output, --output tag
        r"\[default(?P<who>\d+)\]:(?: (?=\S))?",  # torchrun
        rf"{_STAMP}(?: |$)",  # docker logs -t, kubectl logs --timestamps
    )
)
_USUAL = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<who>[A-Za-z][\w.-]*) +\|(?: |$)",  # docker compose
        r" *(?P<who>\d{1,5}):(?: |$)",  # srun --label
        r"(?P<who>[a-z][\w-]*\d[\w.-]*):(?: |$)",  # pdsh, clush
        rf"{_MONTH_DAY}(?: |$)",  # ts
    )
)
_FILE = re.compile(r"==> (?P<who>.+) <==")  # tail -f of several files
_MESSAGE_KEYS = ("log", "MESSAGE", "message", "msg")  # docker's json-file, journalctl -o json, fluentd
_BYTES = range(256)
_WHO_KEYS = ("_SYSTEMD_UNIT", "CONTAINER_NAME", "container_name")


@dataclass(frozen=True, slots=True)
class WrittenLine:
    """One line, with who wrote it."""

    who: str  # container, unit or rank; empty if only one process wrote the log
    text: str
    at: int  # its place in the file


def unwrapped(lines: Sequence[str]) -> dict[str, list[WrittenLine]]:
    """Return the lines without such prefixes, in order, by who wrote them."""
    rows, file = [], ""
    for at, text in enumerate(lines):
        if header := _FILE.fullmatch(text):
            file = header["who"]
        else:
            rows.append(WrittenLine(file, text, at))
    for _ in range(_MOST_LAYERS):
        peeled = [_peeled(row, [_from_json, *(_from(pattern) for pattern in _SURE)]) for row in rows]
        usual = [pattern for pattern in _USUAL if _is_usual(pattern, peeled)]
        peeled = [_peeled(row, [_from(pattern) for pattern in usual[:1]]) for row in peeled]
        if peeled == rows:
            break
        rows = peeled
    found: dict[str, list[WrittenLine]] = {}
    for row in rows:
        found.setdefault(row.who, []).append(row)
    return found


Peel = Callable[[str], tuple[str, str] | None]


def _peeled(row: WrittenLine, ways: Sequence[Peel]) -> WrittenLine:
    for way in ways:
        if (found := way(row.text)) is not None:
            who, text = found
            return WrittenLine(" ".join(filter(None, (row.who, who))), text, row.at)
    return row


def _from(pattern: re.Pattern[str]) -> Peel:
    def peel(text: str) -> tuple[str, str] | None:
        found = pattern.match(text)
        return (found.groupdict().get("who") or "", text[found.end() :]) if found else None

    return peel


def _is_usual(pattern: re.Pattern[str], rows: Sequence[WrittenLine]) -> bool:
    written = [row.text for row in rows if row.text.strip()]
    return sum(bool(pattern.match(text)) for text in written) > _MOST_LINES * len(written)


def _from_json(text: str) -> tuple[str, str] | None:
    """Return the message of a line of JSON, None if it is none."""
    if not text.startswith("{"):
        return None
    try:
        found = parse_json(text, mend_halves=True)
    except JsonError:
        return None
    for key in _MESSAGE_KEYS:
        message = found.get(key)
        if isinstance(message, list):  # journald gives bytes that are no text as numbers
            message = bytes(byte for byte in message if isinstance(byte, int) and byte in _BYTES).decode(
                errors="replace"
            )
        if isinstance(message, str):
            who = next((name for each in _WHO_KEYS if isinstance(name := found.get(each), str)), "")
            return who, message.rstrip("\r\n")
    return None
