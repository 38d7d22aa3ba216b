"""Asks a program or a python which version of an engine it holds, and which flags it takes."""

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
_WORD_S = 3.0
"""Seconds after which a person is told what is waited for."""
_MOST_BYTES = 4 << 20  # a version is a line and --help 60 kB: whoever prints more than this is not answering
_LOOK_S = 0.05
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
# Says which of the modules named after the package are missing, then the package's version.
_ASK_PYTHON = (
    "import importlib.metadata as m, importlib.util as u, sys;"
    "print(','.join(n for n in sys.argv[2:] if not u.find_spec(n)));"
    "print(next((d.version for d in m.distributions(name=sys.argv[1])), ''))"
)
# A script that pip installed names its python in the first line, or in the second where the path is long.
_SCRIPT_PYTHON = re.compile(r"\A#!\s*(\S*python\S*)|\A#!/bin/sh\n'''exec' \"?(/[^\"\n]*?python[\d.]*)\"? ")

log = logging.getLogger("seatrial")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a program printed in all and as its result, and why it is none to rely on ("" where it ended well)."""

    text: str
    failed: str = ""
    result: str = ""


def installed_here(row: Program, wanted: tuple[str, ...]) -> tuple[list[str], str | None]:
    """Which of the modules ``wanted`` are missing here, and the version of the row's package."""
    absent = [name for name in wanted if find_spec(name) is None]
    try:
        return absent, metadata.version(row.package)
    except metadata.PackageNotFoundError:
        return absent, None


def installed_there(
    row: Program, wanted: tuple[str, ...], python: str, limit_s: float = PROBE_S
) -> tuple[list[str], str | None]:
    """The same for another python, within ``limit_s`` seconds.

    Raises:
        EngineMissingError: It fails or hangs: what it has, nobody knows.

    """
    answer = _run((python, "-c", _ASK_PYTHON, row.package, *wanted), limit_s)
    told = answer.result.splitlines()
    if len(told) != 2:  # noqa: PLR2004 -- missing modules, version
        raise EngineMissingError(
            f"{python} does not run: asked whether it has {row.package} it {answer.failed or 'answered something else'}.",
            remedy=row.remedy,
            cause="engine broken",
        )
    return [name for name in told[0].split(",") if name], told[1] or None


def program_version(row: Program, path: str, limit_s: float = PROBE_S) -> str | None:
    """What its python has installed, for a script of pip's (that takes no import); else what it says itself.

    Raises:
        EngineMissingError: It says none, because it fails or hangs: whatever it is, it cannot serve.

    """
    python = script_python(path)
    version = installed_there(row, (), python, limit_s)[1] if python else None
    if version is None and row.version:
        told = _told(path, row.version, limit_s)
        match = re.search(row.version_pattern, told.text)
        version = match[1] if match else None
        if version is None and told.failed:
            raise EngineMissingError(
                f"{path} does not run: asked for its version ({' '.join(row.version)}) it {told.failed}.",
                remedy=row.remedy,
                cause="engine broken",
            )
    return version


def output_of(argv: tuple[str, ...], limit_s: float = PROBE_S) -> str:
    """What a program prints, without its warnings; "" for one that does not start, floods or hangs."""
    return _run(argv, limit_s).result


def script_python(path: str) -> str | None:
    """The python a script of pip's runs in, None for any other program."""
    try:
        with Path(path).open("rb") as stream:
            match = _SCRIPT_PYTHON.match(stream.read(1024).decode(errors="replace"))
    except OSError:
        return None
    python = (match[1] or match[2]) if match else None
    return python if python and os.access(python, os.X_OK) else None


def _told(path: str, arguments: tuple[str, ...], limit_s: float = PROBE_S) -> _Answer:
    """What a program prints, remembered until its file changes."""
    status = Path(path).stat()
    return _told_once(path, arguments, limit_s, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=64)
def _told_once(path: str, arguments: tuple[str, ...], limit_s: float, _stamp: tuple[int, int]) -> _Answer:
    return _run((path, *arguments), limit_s)


def _run(argv: tuple[str, ...], limit_s: float) -> _Answer:
    """What a program prints; nothing of it is left, nor is more than ``MOST_BYTES`` kept."""
    try:
        with _said_when_slow(argv, limit_s), _asked(argv) as process:
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
    """How a program that failed ended, with the last line it said."""
    if code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    last = next((line.strip()[:200] for line in reversed(text.splitlines()) if line.strip()), "")
    return (f"ended with exit code {code}" + (f": {last}" if last else "")) if code else ""


def _read(process: subprocess.Popen[bytes], limit_s: float) -> tuple[bytes, bytes]:
    """Its output and errors, until it has ended; a child of its own that holds the pipes is not waited for."""
    assert process.stdout is not None  # noqa: S101 -- both are pipes
    assert process.stderr is not None  # noqa: S101 -- same
    kept = {process.stdout: bytearray(), process.stderr: bytearray()}
    deadline = time.monotonic() + limit_s
    with selectors.DefaultSelector() as pipes:
        for stream, told in kept.items():
            pipes.register(stream, selectors.EVENT_READ, told)
        ended = False
        while pipes.get_map() and time.monotonic() < deadline:
            events = pipes.select(_LOOK_S)
            for key, _ in events:
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    pipes.unregister(key.fileobj)
                key.data.extend(chunk)
            if sum(map(len, kept.values())) > _MOST_BYTES or (ended and not events):
                break
            ended = has_ended(process)
        if not pipes.get_map():  # it has closed both, and is about to end
            await_end(process, deadline - time.monotonic())
    return bytes(kept[process.stdout]), bytes(kept[process.stderr])


@contextlib.contextmanager
def _said_when_slow(argv: tuple[str, ...], limit_s: float) -> Iterator[None]:
    """Say what is waited for, once it takes a while; not the code that a python is given."""
    shown = printable(" ".join(argv[: argv.index("-c")] if "-c" in argv else argv))
    message = "Waiting for %s to answer; it is given up after %g s."
    word = threading.Timer(_WORD_S, log.warning, (message, shown, limit_s))
    word.daemon = True
    word.start()
    try:
        yield
    finally:
        word.cancel()


def _asked(argv: tuple[str, ...]) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """A process in a group of its own, which ends with this context whatever it started."""
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    process = subprocess.Popen(
        argv, stdin=null, stdout=pipe, stderr=pipe, start_new_session=True, cwd="/"
    )  # in a folder of nobody's: `python -c` imports from the one it stands in
    return ending_with_its_group(process)


def flags_taken(row: Program, path: str) -> frozenset[str]:
    """Every long flag a program's own help names."""
    return frozenset(_FLAG.findall(_told(path, row.help).text))


def slow_flags_taken(row: Program, path: str) -> tuple[frozenset[str], str]:
    """The same of an engine that takes seconds to say so, and the last line it said."""
    module = ("-m", row.starts) if row.imports else ()
    told = _run((path, *module, *row.slow_help), PROBE_S).text
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return frozenset(_FLAG.findall(told)), lines[-1] if lines else "nothing within a minute"
