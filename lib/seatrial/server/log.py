"""Reads an engine's log for people: the last lines, or new ones as it grows, with control characters escaped."""

from __future__ import annotations

import contextlib
import re
import time
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from seatrial.printable import printable
from seatrial.secret_text import MASK, SECRET, secrets_of

_TAIL_BYTES = 1 << 20
LONGEST_LINE = 2000
_LINE_END = re.compile(r"\r\n|\n|\r")  # a progress bar rewrites its line with \r


def size(log: Path) -> int:
    """Return the bytes in the log now, 0 if there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def tail(log: Path, lines: int, *, end: int | None = None) -> list[str]:
    """Return the last lines, printable, long ones cut; the part moved past the cap included.

    Args:
        log: Log file.
        lines: Number of lines.
        end: Byte up to which to read, None for all.

    """
    stop = size(log) if end is None else end
    text = _end_of(log, stop)
    if stop <= _TAIL_BYTES and len(_LINE_END.findall(text)) < lines:  # else what follows the earlier part was not read
        earlier = log.with_name(f"{log.name}.1")
        text = _end_of(earlier, size(earlier)) + text
    last = deque(_LINE_END.split(text.removesuffix("\n")) if text else (), maxlen=lines)
    return [_shown(line) for line in last]


def follow(log: Path, *, ended: Callable[[], bool], lines: int = 0, poll_s: float = 0.2) -> Iterator[str]:
    """Yield the last lines, then new ones as they come, printable, until ``ended()`` and all are read.

    Args:
        log: Log file.
        ended: Returns True once nobody writes to the log any more.
        lines: Number of earlier lines to begin with.
        poll_s: Seconds between looks.

    """
    position = size(log)
    earlier = tail(log, lines, end=position) if lines else []
    return chain(earlier, _new_lines(log, position, ended, poll_s))


def _new_lines(log: Path, position: int, ended: Callable[[], bool], poll_s: float) -> Iterator[str]:
    rest, decoder = "", getincrementaldecoder("utf-8")("replace")  # a read may end within a character
    while True:
        over = ended()  # before the read: what was written until then is given
        if size(log) < position:
            position = 0  # it passed its cap and was emptied
            decoder.reset()
        new = read(log, position)
        position += len(new)
        *lines, rest = _LINE_END.split(rest + decoder.decode(new, final=over and not new))
        yield from map(_shown, lines)
        if not new and over:
            if rest:
                yield _shown(rest)
            return
        if not new:
            time.sleep(poll_s)


def _end_of(log: Path, stop: int) -> str:
    begin = max(0, stop - _TAIL_BYTES)
    return read(log, begin)[: stop - begin].decode(errors="replace")


def read(log: Path, position: int, most_bytes: int = _TAIL_BYTES) -> bytes:
    """Return what the log holds from a byte on; empty if it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(position)
            return _masked(file.read(most_bytes), log)
    except OSError:
        return b""


def _masked(text: bytes, log: Path) -> bytes:
    """Return the text with the key of the launch and this environment's secrets masked, equally long."""
    secrets = [*secrets_of()]
    with contextlib.suppress(OSError):  # removed when the server ends, and masked by then
        secrets.append(log.with_name("key").read_text(encoding="utf-8").strip())
    for secret in filter(None, secrets):
        text = text.replace(
            secret.encode(errors="surrogateescape"), b"*" * len(secret.encode(errors="surrogateescape"))
        )
    return text


def _shown(line: str) -> str:
    cut = f"{line[:LONGEST_LINE]} ... ({len(line):,} characters)" if len(line) > LONGEST_LINE else line
    return printable(SECRET.sub(MASK, cut))
