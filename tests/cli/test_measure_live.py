"""``seatrial measure --live``: a picture in a terminal of any width, plain lines elsewhere, and Ctrl-C keeps what was complete."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

import pytest
from tests.simulator import running_simulator

from seatrial.cli.measure_live import plot, spark

NAN = float("nan")
SHORT = ("--concurrency", "1,2", "--requests", "4", "--prompt-tokens", "40", "--answer-tokens", "12")
LONG = ("--concurrency", "1,2", "--requests", "4000", "--prompt-tokens", "40", "--answer-tokens", "12")
CALM = ("--ttft-s=0.05", "--tpot-s=0.05")


def command(url, options):
    """Return the command line."""
    return [sys.executable, "-m", "seatrial", "measure", "--url", url, "--live", *options]


def in_terminal(options, columns, *, interrupt_at=None, **environment):
    """Run the command in a terminal; return its exit code and what it wrote, without cursor movements."""
    with running_simulator(*CALM) as server:
        reading, writing = pty.openpty()
        fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        settings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment}
        ends = dict.fromkeys(("stdin", "stdout", "stderr"), writing)
        process = subprocess.Popen(command(server.url, options), env=settings, start_new_session=True, **ends)
        os.close(writing)
        written = b""
        with contextlib.suppress(OSError):  # the terminal is gone with its last process
            while piece := os.read(reading, 65536):
                written += piece
                if interrupt_at and re.search(interrupt_at, written):
                    process.send_signal(signal.SIGINT)
                    interrupt_at = None
        os.close(reading)
        return process.wait(60), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode("utf-8", "replace"))


@pytest.mark.parametrize("columns", [60, 120])
def test_a_terminal_shows_the_load_while_it_runs(columns):
    """Headline, level, progress and waits are there, no line is wider than the terminal, the table follows."""
    code, shown = in_terminal(SHORT, columns)
    assert code in {0, 5}  # 5 on a machine too busy for the client
    for words in ("tok/s", "mean of this level so far: 2 streams", "TTFT", "Requests", "Tokens/s"):
        assert words in shown
    assert "Traceback" not in shown


def test_without_colour_and_unicode_it_is_as_legible():
    """NO_COLOR and a terminal of ASCII: the plot is made of plain signs."""
    code, shown = in_terminal(SHORT, 80, NO_COLOR="1", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert code in {0, 5}
    assert "#" in shown or "@" in shown
    assert "█" not in shown


def test_ctrl_c_keeps_what_was_complete():
    """The load ends, the person is told so, and the partial level is in the table; no traceback."""
    code, shown = in_terminal(LONG, 100, interrupt_at=rb"[1-9]\d* of 4,000 requests")
    assert "Stopped by you" in shown
    assert "1 stream" in shown[shown.index("Stopped by you") :]
    assert "Traceback" not in shown
    assert 130 == code


def test_elsewhere_it_writes_plain_lines():
    """Into a file: no cursor movement, a line that says level and progress, the table on standard output."""
    with running_simulator(*CALM) as server:
        done = subprocess.run(command(server.url, SHORT), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {0, 5}
    assert "\x1b" not in done.stderr
    assert "level 1 of 2" in done.stderr
    assert "Tokens/s" in done.stdout


def test_a_server_that_does_not_answer_is_said():
    """One message and the contract's exit code."""
    done = subprocess.run(
        command("http://127.0.0.1:9", SHORT), capture_output=True, text=True, check=False, timeout=120
    )
    assert 5 == done.returncode
    assert "127.0.0.1:9" in done.stderr


def test_a_plot_is_as_wide_as_asked_and_has_gaps():
    """From 0 to the highest value; what is not known is blank; nothing of nothing."""
    lines = plot([0.0, NAN, 100.0] * 10, 30, " .:-=+*#@")
    assert {30} == {len(line) - 10 for line in lines}
    assert "100" == lines[0].split()[0]
    assert [] == plot([NAN, NAN], 30, " #")
    assert [] == plot([], 30, " #")
    assert "# #" == spark([1.0, NAN, 1.0], 3, " #")
    assert "" == spark([], 3, " #")
