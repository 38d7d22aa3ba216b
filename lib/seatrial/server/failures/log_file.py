"""Reads both ends of a log file, however it was written: compressed, in UTF-16, gigabytes long."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import math
import os
import re
import stat
import sys
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from seatrial.errors import UsageError
from seatrial.paths import typed_path
from seatrial.printable import shortened
from seatrial.server.phases import ESCAPES

STDIN = "-"
HEAD_BYTES, TAIL_BYTES = 1 << 20, 3 << 20
"""Bytes that are read from the beginning and from the end."""
HEAD_LINES, TAIL_LINES = 2000, 4000
"""Lines that are kept of them."""
MOST_UNPACKED_BYTES = 1 << 30
"""Of a compressed file; what follows is not read."""
_CHUNK = 1 << 18
_LONGEST_LINE = 1 << 16
_SAMPLE = 1 << 16
_WIDE_SHARE = 0.3  # of zero bytes at every other place, from which on a text is UTF-16
_BINARY_SHARE = 0.05  # of characters that no text has, from which on it is none
_TEXT = "Give it the text that the engine wrote to its terminal."
_PATH = "Give the path of a log file; seatrial logs NAME shows that of a server of this machine."
_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_BOMS = {  # UTF-32 first: its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NO_LOG = {
    b"GGUF": "a GGUF model",
    b"PK\x03\x04": "a ZIP archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x7fELF": "a program",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF document",
}
_LINE_END = re.compile(r"\r\n|[\n\r]")  # a progress bar rewrites its line with \r
_CONTROL = re.compile(r"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f\ufffd]")


@dataclass(frozen=True, slots=True)
class LogText:
    """Lines of both ends of a log."""

    lines: tuple[str, ...]  # without terminal commands
    left_out: bool  # True if lines between the two ends were not read


def read_log_text(name: str) -> LogText:
    """Return the lines of a log file, of a long one those of both ends.

    Args:
        name: Its path, or ``-`` for standard input.

    Raises:
        UsageError: If it is no ordinary file, cannot be read, is empty, or holds no text.

    """
    shown = "Standard input" if name == STDIN else shortened(name) or "''"
    try:
        head, tail, skipped = _ends_of_input() if name == STDIN else _ends_of_file(name, shown)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise UsageError(f"{shown} is compressed and damaged: {error}.", remedy="Copy the file again.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{shown} cannot be read: {reason}.", remedy=_PATH) from error
    parts = [[_plain(line) for line in _LINE_END.split(text)] for text in _decoded(head, tail, shown, skipped > 0)]
    if skipped:
        parts = [parts[0][:-1] or parts[0], parts[1][1:] or parts[1]]  # without the two halves of lines
    lines = [line for part in parts for line in part]
    if not any(map(str.strip, lines)):
        raise UsageError(f"{shown} is empty: no engine has written anything.", remedy=_TEXT)
    many = len(lines) > HEAD_LINES + TAIL_LINES
    kept = [*lines[:HEAD_LINES], *lines[-TAIL_LINES:]] if many else lines
    return LogText(tuple(kept), many or skipped > 0)


def _ends_of_file(name: str, shown: str) -> tuple[bytes, bytes, int]:
    """Return the first bytes of a file, the last ones, and the number of those in between; never wait for a writer."""
    with _ordinary(typed_path(name, "The log"), shown) as file:
        head = file.read(HEAD_BYTES)
        if unpack := _unpacker(head):
            file.seek(0)
            with unpack(file, "rb") as unpacked:
                return _ends_of_stream(unpacked, MOST_UNPACKED_BYTES)
        begin = max(len(head), os.fstat(file.fileno()).st_size - TAIL_BYTES)
        begin += (begin - len(head)) % 4  # a whole character in UTF-16 and UTF-32
        file.seek(begin)
        return head, file.read(TAIL_BYTES), begin - len(head)


@contextlib.contextmanager
def _ordinary(path: Path, shown: str) -> Iterator[IO[bytes]]:
    kind = path.stat().st_mode
    if not stat.S_ISREG(kind):
        what = "a folder" if stat.S_ISDIR(kind) else "a pipe" if stat.S_ISFIFO(kind) else "a device or socket"
        remedy = "Pipe what writes it into: seatrial explain -" if stat.S_ISFIFO(kind) else _PATH
        raise UsageError(f"{shown} is {what}, and no log file.", remedy=remedy)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        yield file


def _ends_of_input() -> tuple[bytes, bytes, int]:
    source: Any = sys.stdin.buffer
    stream = io.BufferedReader(source)
    try:
        unpack = _unpacker(stream.peek(8))
        if unpack is None:
            return _ends_of_stream(stream)
        with unpack(stream, "rb") as unpacked:
            return _ends_of_stream(unpacked, MOST_UNPACKED_BYTES)
    finally:
        stream.detach()  # else standard input would be closed


def _unpacker(begin: bytes) -> Any:
    """Return what opens a stream compressed like this one, None if it is not."""
    return next((unpack for magic, unpack in _COMPRESSED.items() if begin.startswith(magic)), None)


def _ends_of_stream(stream: IO[bytes], most_bytes: float = math.inf) -> tuple[bytes, bytes, int]:
    head = stream.read(HEAD_BYTES)
    last, kept, total = deque[bytes](), 0, 0
    while total < most_bytes and (chunk := stream.read(_CHUNK)):
        last.append(chunk)
        total, kept = total + len(chunk), kept + len(chunk)
        while kept - len(last[0]) >= TAIL_BYTES:
            kept -= len(last.popleft())
    return head, b"".join(last), total - kept


def _decoded(head: bytes, tail: bytes, shown: str, gap: bool) -> list[str]:
    """Return the text of the two ends, as one if nothing is between them."""
    what = next((what for magic, what in _NO_LOG.items() if head.startswith(magic)), "")
    mark, encoding = next(((mark, name) for mark, name in _BOMS.items() if head.startswith(mark)), (b"", ""))
    encoding = encoding or _wide(head[:_SAMPLE]) or "utf-8"
    parts = [head.removeprefix(mark), tail] if gap else [head.removeprefix(mark) + tail]
    texts = [part.decode(encoding, errors="replace").strip("\0") for part in parts]  # holes of a file that was cut
    sample = texts[0][:_SAMPLE]
    if what or len(_CONTROL.findall(sample)) > _BINARY_SHARE * len(sample) or head[7:10] == b'\0{"':
        raise UsageError(f"{shown} is {what or 'a binary file'}, and no log.", remedy=_TEXT)
    return [text.replace("\0", "") for text in texts]


def _wide(sample: bytes) -> str:
    """Return the name of UTF-16 without a mark, if zero bytes show it."""
    places = len(sample) // 2
    zeros = [sample[start::2].count(0) for start in (0, 1)]
    if places and max(zeros) > _WIDE_SHARE * places and min(zeros) < max(zeros) / 10:
        return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    return ""


def _plain(line: str) -> str:
    return ESCAPES.sub("", line[:_LONGEST_LINE]).rstrip()
