"""Runs a program that reads hardware in a process of its own, so that a driver that hangs does not stop this one."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.json_text import JsonError, parse_json


@dataclass(frozen=True, slots=True)
class ProbeOutput:
    """Everything a program said before it ended or its time was up."""

    lines: list[dict[str, Any]]  # its JSON lines; one that was cut off is missing
    late: bool  # it was killed at the deadline
    code: int  # exit code; 0 if it was killed at the deadline
    last_error: str  # last line of its stderr


def run_probe_program(
    program: Path, *arguments: str, deadline_s: float, environment: Mapping[str, str] | None = None
) -> ProbeOutput:
    """Run a Python program that prints a JSON object a line, for ``deadline_s`` seconds at most."""
    process = subprocess.Popen(
        [sys.executable, "-P", str(program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    try:
        output, errors = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired as expired:
        _abandon(process)
        return ProbeOutput(_parse(expired.output or b""), late=True, code=0, last_error="")
    last = errors.decode(errors="replace").strip().rpartition("\n")[2]
    return ProbeOutput(_parse(output), late=False, code=process.returncode, last_error=last)


def _parse(output: bytes) -> list[dict[str, Any]]:
    lines = []
    for text in output.splitlines():
        with contextlib.suppress(JsonError):  # cut by the deadline
            line = parse_json(text)
            if isinstance(line, dict) and line:
                lines.append(line)
    return lines


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """Kill a process without waiting: inside the kernel, no signal may reach it."""
    process.kill()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
