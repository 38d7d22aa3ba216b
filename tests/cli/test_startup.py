"""A start in a terminal has a moving bar; elsewhere it has lines; only the document is on stdout."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from tests.server.conftest import end_everything

from seatrial.server import stop_all

SERVE = (sys.executable, "-m", "seatrial", "serve", "--model=smollm2", "--engine=simulated", "--keep-running", "--json")
PHASES = [
    "starts on port",
    "loading weights",
    "allocating caches",
    "capturing graphs",
    "warming up",
    "first token",
    "answers on",
]


@pytest.fixture(autouse=True)
def nothing_left():
    """No engine process survives a test."""
    yield
    end_everything()


@pytest.fixture
def slow(monkeypatch):
    """Let the simulator take a while for each phase."""
    monkeypatch.setenv("SEATRIAL_SIMULATED_STARTUP_S", "4")


def in_a_terminal(*words):
    """Run a command whose standard error is a terminal; gives its output, and what the terminal was sent."""
    terminal, end = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=end, text=True, env=environment) as process:
        os.close(end)
        sent = b""
        while True:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            sent += piece
        printed = process.stdout.read()
    os.close(terminal)
    return process.returncode, printed, sent.decode()


@pytest.mark.usefixtures("slow")
def test_in_a_terminal_a_bar_moves():
    """Counts grow on one line that is drawn over itself; each phase leaves a line; only the document is on stdout."""
    code, printed, sent = in_a_terminal(*SERVE)
    assert 0 == code
    assert json.loads(printed)["ready_after_s"] > 4
    counts = [int(count) for count in re.findall(r"loading weights (\d+)/46", sent)]
    assert len(set(counts)) > 3
    assert sorted(counts) == counts
    assert "━" in sent
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sent)
    assert sorted(map(lines.index, PHASES)) == list(map(lines.index, PHASES))


@pytest.mark.usefixtures("slow")
def test_elsewhere_it_is_lines():
    """In a file or a pipe: one line a phase with the time it began, no control characters; the second start knows more."""
    runs = []
    for _ in range(2):
        runs.append(subprocess.run(SERVE, capture_output=True, text=True, check=True))
        stop_all()
    for run in runs:
        assert json.loads(run.stdout)["simulated"]
        assert run.stderr.replace("\n", "").isprintable()
        printed = [line for line in run.stderr.splitlines() if re.match(r" *[\d.]+ (ms|s) ", line)]
        found = [next(phase for phase in PHASES if phase in line) for line in printed]
        assert PHASES == found
    first, second = (run.stderr for run in runs)
    assert "time left not known yet: first start of this engine on this machine" in first
    assert "from 1 earlier start here; the spread is assumed" in second
