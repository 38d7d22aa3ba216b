"""A scripted engine to launch, and the promise that no test leaves a process behind."""

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from seatrial.engines.types import Command
from seatrial.launching import launch
from seatrial.server import list_servers, stop_all

FAKE_ENGINE = Path(__file__).with_name("fake_engine.py")
DEADLINE_S = 120.0
"""Ends a hang; a busy machine may take long for everything else."""


def fake_command(*flags, key_env=None, **changes):
    """Return the scripted engine as a command; its model is ``fake-model``."""
    key = f"--key-env={key_env}" if key_env else "--key-file={key_file}"
    argv = ("python", str(FAKE_ENGINE), "--port={port}", key, *flags)
    return Command(**{"engine": "fake", "argv": argv, "model": "fake-model", "key_env": key_env} | changes)


@pytest.fixture
def fake():
    """Launch the scripted engine with flags of its own; keyword arguments go to ``launch``."""

    def start(*flags, key_env=None, **wishes):
        return launch(fake_command(*flags, key_env=key_env), **{"name": "fake", **wishes})

    return start


def until(true, what):
    """Wait until a function returns something true, and return that."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        result = true()
        if result:
            return result
        time.sleep(0.02)
    return pytest.fail(f"{what} did not happen within {DEADLINE_S} s")


def delete(folder):
    """Delete a server's folder, in which somebody may be writing a file just now."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def launched_processes():
    """Return every process of every launch of this test: their environment names its state folder."""
    state = os.environ["SEATRIAL_STATE"]
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
            if ours and "SEATRIAL_LAUNCH_ID" in process.environ() and process.environ().get("SEATRIAL_STATE") == state:
                found.append(process)
    return found


def end_everything():
    """Stop every server of this test, and wait until no process of any launch is left."""
    stop_all()
    until(lambda: not launched_processes(), "the end of every engine process")


@pytest.fixture(autouse=True)
def nothing_left():
    """Check that no engine process survives a test."""
    yield
    end_everything()
    assert [] == [server.name for server in list_servers() if server.state != "stale"]


@pytest.fixture
def another_process():
    """Run a few lines of Python in a process of its own, its output a pipe."""
    started = []

    def run(code):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
