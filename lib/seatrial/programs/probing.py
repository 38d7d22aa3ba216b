"""Asks a program or a python for an engine's version and for the flags it takes."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from seatrial.catalog.engine_facts import Program
from seatrial.errors import EngineMissingError
from seatrial.printable import printable
from seatrial.programs.groups import await_end, ending_with_its_group, has_ended

PROBE_S = 60.0
_SLOW_S = 3.0
"""Seconds after which a message says which program is slow to answer."""
_MOST_BYTES = 4 << 20  # a version is a line and --help 60 kB: a program that prints more is not answering
_POLL_S = 0.05
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
# Prints the missing ones of the modules named after the package, then the package's version.
_ASK_PYTHON = (
    "import importlib.metadata as m, importlib.util as u, sys;"
    "print(','.join(n for n in sys.argv[2:] if not u.find_spec(n)));"
    "print(next((d.version for d in m.distributions(name=sys.argv[1])), ''))"
)
# A script that pip installed names its python in the first line, or in the second if the path is long.
_SCRIPT_PYTHON = re.compile(r"\A#!\s*(\S*python\S*)|\A#!/bin/sh\n'''exec' \"?(/[^\"\n]*?python[\d.]*)\"? ")

log = logging.getLogger("seatrial")


@dataclass(frozen=True, slots=True)
class _Answer:
    """Output of a program that was asked something."""

    text: str  # stdout and stderr
    failed: str = ""  # why the answer cannot be relied on, as a verb phrase; "" if the program ended well
    result: str = ""  # stdout


def package_installed(row: Program, modules: tuple[str, ...]) -> tuple[list[str], str | None]:
    """Return which of the modules this python lacks, and the version of the row's package."""
    absent = [name for name in modules if find_spec(name) is None]
    try:
        return absent, metadata.version(row.package)
    except metadata.PackageNotFoundError:
        return absent, None


def package_in(
    python: str, row: Program, modules: tuple[str, ...], limit_s: float = PROBE_S
) -> tuple[list[str], str | None]:
    """Return which of the modules another python lacks, and the version of the row's package there.

    Raises:
        EngineMissingError: If the python fails, or does not answer within ``limit_s`` seconds.

    """
    answer = _run((python, "-c", _ASK_PYTHON, row.package, *modules), limit_s)
    try:
        absent, version = answer.result.splitlines()
    except ValueError:
        raise EngineMissingError(
            f"{python} does not run: asked whether it has {row.package} it {answer.failed or 'answered something else'}.",
            remedy=row.remedy,
            cause="engine broken",
        ) from None
    return [name for name in absent.split(",") if name], version or None


def program_version(row: Program, path: str, limit_s: float = PROBE_S) -> str | None:
    """Return the version installed in the python of a script, which takes no import; else the one a program prints.

    Raises:
        EngineMissingError: If the program prints no version because it fails or hangs, so that it cannot serve.

    """
    python = script_python(path)
    version = package_in(python, row, (), limit_s)[1] if python else None
    if version is None and row.version:
        answer = _ask(path, row.version, limit_s)
        match = re.search(row.version_pattern, answer.text)
        version = match[1] if match else None
        if version is None and answer.failed:
            raise EngineMissingError(
                f"{path} does not run: asked for its version ({' '.join(row.version)}) it {answer.failed}.",
                remedy=row.remedy,
                cause="engine broken",
            )
    return version


def output_of(argv: tuple[str, ...], limit_s: float = PROBE_S) -> str:
    """Return a program's stdout, "" if it does not start, floods or hangs."""
    return _run(argv, limit_s).result


def script_python(path: str) -> str | None:
    """Return the python that runs a script installed by pip, None for any other program."""
    try:
        with Path(path).open("rb") as stream:
            match = _SCRIPT_PYTHON.match(stream.read(1024).decode(errors="replace"))
    except OSError:
        return None
    python = (match[1] or match[2]) if match else None
    return python if python and os.access(python, os.X_OK) else None


def flags_taken(row: Program, path: str) -> frozenset[str]:
    """Return every long flag that a program's own help names."""
    return frozenset(_FLAG.findall(_ask(path, row.help).text))


def slow_flags_taken(row: Program, path: str) -> tuple[frozenset[str], str]:
    """Return every long flag that the help of a slow engine names, and the last line it printed."""
    module = ("-m", row.starts) if row.imports else ()
    text = _run((path, *module, *row.slow_help), PROBE_S).text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return frozenset(_FLAG.findall(text)), lines[-1] if lines else "nothing within a minute"


def _ask(path: str, arguments: tuple[str, ...], limit_s: float = PROBE_S) -> _Answer:
    """Return a program's answer, cached until its file changes."""
    status = Path(path).stat()
    return _ask_once(path, arguments, limit_s, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=64)
def _ask_once(path: str, arguments: tuple[str, ...], limit_s: float, _stamp: tuple[int, int]) -> _Answer:
    return _run((path, *arguments), limit_s)


def _run(argv: tuple[str, ...], limit_s: float) -> _Answer:
    """Return what a program prints, at most ``_MOST_BYTES``; none of its processes is left."""
    try:
        with _reporting_slowness(argv, limit_s), _started(argv) as process:
            texts = _read(process, limit_s)
            ended = has_ended(process)
    except OSError as error:
        return _Answer("", f"could not be started: {error.strerror or error}")
    result, warnings = (text.decode(errors="replace").replace("\r\n", "\n") for text in texts)
    if not ended:
        printed = sum(map(len, texts))
        return _Answer("", "printed without end" if printed > _MOST_BYTES else f"said nothing within {limit_s:g} s")
    text = result + warnings
    return _Answer(text, _ending(process.returncode, text), result)


def _ending(code: int, text: str) -> str:
    """Return how a program that failed ended, with the last line it printed; "" if it did not fail."""
    if code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    last = next((line.strip()[:200] for line in reversed(text.splitlines()) if line.strip()), "")
    return (f"ended with exit code {code}" + (f": {last}" if last else "")) if code else ""


def _read(process: subprocess.Popen[bytes], limit_s: float) -> tuple[bytes, bytes]:
    """Return the output and errors of a process until it ends, even if a child of its own still holds the pipes."""
    streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
    texts = [bytearray() for _ in streams]
    deadline = time.monotonic() + limit_s
    with selectors.DefaultSelector() as pipes:
        for stream, text in zip(streams, texts, strict=True):
            pipes.register(stream, selectors.EVENT_READ, text)
        ended = False
        while pipes.get_map() and time.monotonic() < deadline:
            events = pipes.select(_POLL_S)
            for key, _ in events:
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    pipes.unregister(key.fileobj)
                key.data.extend(chunk)
            if sum(map(len, texts)) > _MOST_BYTES or (ended and not events):
                break
            ended = has_ended(process)
        if not pipes.get_map():  # it has closed both, and is about to end
            await_end(process, deadline - time.monotonic())
    output, errors = texts
    return bytes(output), bytes(errors)


@contextlib.contextmanager
def _reporting_slowness(argv: tuple[str, ...], limit_s: float) -> Iterator[None]:
    """Log which program is slow to answer, without the code that a python is given."""
    shown = printable(" ".join(argv[: argv.index("-c")] if "-c" in argv else argv))
    message = "Waiting for %s to answer; it is given up after %g s."
    timer = threading.Timer(_SLOW_S, log.warning, (message, shown, limit_s))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _started(argv: tuple[str, ...]) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """Start a process in a group of its own, which ends with this context whatever it started."""
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    # In a folder nobody else can write to: `python -c` imports from its working directory.
    process = subprocess.Popen(argv, stdin=null, stdout=pipe, stderr=pipe, start_new_session=True, cwd="/")
    return ending_with_its_group(process)
