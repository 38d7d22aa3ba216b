"""One door for outside text: whoever prints it, no terminal obeys it and no eye misses it."""

import ast
import json
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.conftest import ROOT

from seatrial.cli.main import COMMANDS, main
from seatrial.printable import printable, seen

SAYS = Path(__file__).with_name("says.py")
HOSTILE = [
    "\x1b]0;OWNED\x07",
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b[2J\x1b[H\x1b[?1049h\x1bc",
    "\x1b[6n",
    "\x1bP+q544e\x1b\\",
    "\x9b2J\x9d0;OWNED\x9c\x90x\x9c",
    "a\x7f\x7fb\x08\x08c\x00\x05\x0e",
    "safe\rspoofed\x0bx\x0cy\x85z",
    "txt.\u202eexe\u202c \u2066a\u2069 \u200e\u200f\u061c",
    "a\u200bb\u200cc\u200d\ufeff\u2060\u00ad",
    "a\u3164b\u115fc\u2800d\U000e0041\U000e0100",
    "half \ud83d of \udc00 and a byte \udcff",
    "a\u2028b\u2029c\ue000\U0010ffff",
]
PLAIN = "Gr\u00f6\u00dfe 10 \u00b5s \u2192 \u4f60\u597d \U0001f40b"
ENVIRONMENTS = {
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "POSIX, as Python turns it into UTF-8": {"LC_ALL": "POSIX"},
    "UTF-8": {"LC_ALL": "C.UTF-8"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
    "bytes as they came": {"PYTHONIOENCODING": "utf-8:surrogateescape"},
}
OUR_OWN = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|1A|2K)|\r")
"""What our displays send to a terminal: styles, the cursor, and the line above."""


def shown(environment, *, terminal, command):
    """Return what a program writes to standard output and standard error together."""
    settings = {**os.environ, "COLUMNS": "300", **environment}
    if not terminal:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=settings, check=False, timeout=120
        )
        return done.returncode, done.stdout
    here, there = pty.openpty()
    with subprocess.Popen(command, stdout=there, stderr=there, env={**settings, "TERM": "xterm-256color"}) as process:
        os.close(there)
        parts = []

        def read():
            try:
                while part := os.read(here, 65536):
                    parts.append(part)
            except OSError:  # Linux says so at the end
                pass

        reader = threading.Thread(target=read)
        reader.start()
        process.wait(120)
        reader.join(60)
        os.close(here)
    return process.returncode, b"".join(parts)


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_way_of_printing_goes_through_the_door(tmp_path, name, terminal):
    """Prints, logs, warnings, tracebacks, argparse, tables, live lines: only our own styles reach the terminal."""
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps(HOSTILE))
    code, content = shown(ENVIRONMENTS[name], terminal=terminal, command=[sys.executable, str(SAYS), str(texts)])
    text = content.decode("latin-1" if name == "Latin-1" else "utf-8", "backslashreplace")
    assert 0 == code, text[-2000:]
    left = OUR_OWN.sub("", text) if terminal else text
    assert [] == sorted({repr(sign) for sign in left if not seen(sign) and sign not in "\n\t"})
    assert "OWNED" in text


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_what_an_eye_sees_stays_as_it_is(tmp_path, terminal):
    """Letters of any script and emoji are no danger."""
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps([PLAIN]))
    command = [sys.executable, str(SAYS), str(texts)]
    _, content = shown(ENVIRONMENTS["UTF-8"], terminal=terminal, command=command)
    assert content.decode().count(PLAIN) >= 20
    assert "\\x" not in content.decode()
    assert "\\u" not in content.decode()


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_usage_of_every_command_repeats_its_words_escaped(capfd, command):
    """As an unknown option, which argparse quotes, and as a word; a long one is cut."""
    for text in (*HOSTILE, "\x1b[31m" * 10_000):
        assert 2 == main([command, f"--{text}=1", text, "--json"])
        out, err = capfd.readouterr()
        assert "" == out
        assert [] == [line for line in err.splitlines() if not seen(line)]
        assert printable(text[:10]) in err or " is required" in err or " are required" in err
        assert len(err) < 5000


def test_a_failure_nobody_expected_is_shown_escaped(monkeypatch, capsys):
    """As one line, and as a traceback; also one whose text cannot be formed, or that has no end."""

    class Odd(Exception):  # noqa: N818 -- its name is shown
        def __str__(self):
            raise RuntimeError("no text")

    for error, expected in (
        (ValueError(HOSTILE[0]), "ValueError: \\x1b]0;OWNED\\x07"),
        (ValueError("x" * 5_000_000), "ValueError: xxx"),
        (Odd(), "Odd"),
    ):
        for variable, wanted in (("", expected), ("1", expected)):

            def run(_, error=error):
                raise error

            monkeypatch.setenv("SEATRIAL_TRACEBACK", variable)
            monkeypatch.setattr("seatrial.cli.models.run", run)
            assert 1 == main(["models"])
            err = capsys.readouterr().err
            assert wanted in err
            assert all(map(seen, err.splitlines()))
            assert len(err) < 20_000


def test_the_streams_are_as_before_afterwards(capsys):
    """A program that calls the command line keeps its own streams."""
    before = sys.stdout, sys.stderr
    assert 0 == main(["--version"])
    assert before == (sys.stdout, sys.stderr)
    assert capsys.readouterr().out.startswith("seatrial ")


@pytest.mark.parametrize("columns", ["0", "1", "19", "-5", "x", "", "99999999999"])
def test_an_odd_width_is_no_width(columns):
    """A table is there all the same."""
    for terminal in (False, True):
        code, content = shown(
            {"COLUMNS": columns}, terminal=terminal, command=[sys.executable, "-m", "seatrial", "models"]
        )
        assert 0 == code
        assert b"DeepSeek-V4-Flash" in content


OF_THEIR_OWN = {
    "seatrial/cli/streams.py": "the door itself",
    "seatrial/cli/answer.py": "the consoles behind the door",
    "seatrial/simulator/__main__.py": "a program of its own, whose output a log file or a pipe takes",
    "seatrial/xllamacpp_server.py": "the same",
    "seatrial/server/supervisor.py": "the same",
    "seatrial/speed/calibrate.py": "a program for who maintains the kit",
    "seatrial/hardware/bandwidth/gpu_probe.py": "the same: JSON for the process that started it",
    "seatrial/hardware/bandwidth/host_probe.py": "the same",
    "seatrial/hardware/nvidia/nvml_probe.py": "the same",
}
"""Modules that may write to a stream by themselves, each with its reason."""

PAST_IT = re.compile(
    r"\b(?:rich\.)?Console\(|sys\.__std|(?:stdout|stderr)\.buffer\b|\.behind\b|os\.write\(\s*[12]\b|os\.writev|/dev/(?:tty|std)|"
    r"getpass\.(?!getuser)|from getpass|\binput\(|\(Console\)|StreamHandler|basicConfig|faulthandler|markup=True|from_markup|from_ansi|\.out\(|print_json|"
    r"stdout\.write|stderr\.write"
)


def test_no_module_goes_round_the_door():
    """A console, a handler or a raw stream of its own would show text as it came."""
    found = set()
    for path in sorted((ROOT / "lib" / "seatrial").rglob("*.py")):
        name = str(path.relative_to(ROOT / "lib"))
        code = ast.unparse(ast.parse(path.read_text(encoding="utf-8")))
        if name not in OF_THEIR_OWN and PAST_IT.search(code):
            found.add(f"{name}: {PAST_IT.search(code)[0]}")
    assert set() == found


def test_every_live_display_uses_our_console():
    """Rich would make one of its own."""
    for path in sorted((ROOT / "lib" / "seatrial" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Progress", "Bars", "Live", "Status"}:
                assert "console" in {keyword.arg for keyword in node.keywords}, f"{path.name}:{node.lineno}"
