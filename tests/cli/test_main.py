"""The command line as a process: streams that are closed, full or cut, and what stays on standard output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.catalog import find_model

SEATRIAL = (sys.executable, "-m", "seatrial")
CLOSED = 'exec "$@" >&-'


def run(*words, **settings):
    """Exit code, standard output and standard error of one command line."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, timeout=60, check=False, **settings)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("words", [("models",), ("models", "--json"), ("--help",), ("--version",)])
def test_a_full_disk_under_the_output_is_said(words):
    """What could not be written is an error of one message, not a traceback, and not success."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        code, _, messages = run(*SEATRIAL, *words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert 1 == code
    assert (
        "seatrial: The result could not be written to standard output: No space left on device.\n"
        "Free some space, or send the output elsewhere.\n"
    ) == messages


@pytest.mark.parametrize("words", [("models",), ("models", "--json"), ("--version",)])
def test_a_closed_output_is_no_failure(words):
    """Whoever closes standard output wants nothing on it."""
    code, _, messages = run("sh", "-c", CLOSED, "sh", *SEATRIAL, *words, stderr=subprocess.PIPE)
    assert (0, b"") == (code, messages)


def test_with_standard_error_closed_messages_do_not_turn_up_on_standard_output():
    """A program that reads the JSON document never gets a sentence instead."""
    code, out, _ = run("sh", "-c", 'exec "$@" 2>&-', "sh", *SEATRIAL, "plan", "--model", "x", stdout=subprocess.PIPE)
    assert (2, b"") == (code, out)


def test_a_reader_that_leaves_ends_it_quietly():
    """``seatrial models | true`` prints nothing about a broken pipe."""
    here, there = os.pipe()
    os.close(here)
    code, _, messages = run(*SEATRIAL, "models", "--json", stdout=there, stderr=subprocess.PIPE)
    os.close(there)
    assert (0, b"") == (code, messages)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_name_the_encoding_lacks_is_written_all_the_same(tmp_path, encoding):
    """The JSON document holds the exact name in every encoding, the table a readable form of it."""
    config = tmp_path / "\N{WAVE DASH}\u200b.json"
    config.write_text(json.dumps(dict(find_model("flash").config)))
    settings = {"capture_output": True, "env": {**os.environ, "PYTHONIOENCODING": encoding}}
    code, out, messages = run(*SEATRIAL, "footprint", "--config", config, "--json", **settings)
    assert (0, b"") == (code, messages)
    assert str(config) == json.loads(out)["checkpoint"]
    code, out, messages = run(*SEATRIAL, "footprint", "--config", config, **settings)
    assert (0, b"") == (code, messages)


def test_an_error_leaves_standard_output_empty():
    """With --json there is one document on standard output or nothing."""
    code, out, messages = run(*SEATRIAL, "plan", "--hardware", "h999", "--json", capture_output=True, text=True)
    assert (2, "") == (code, out)
    assert "Unknown hardware 'h999'" in messages
    code, out, messages = run(*SEATRIAL, "plan", "--hardware", "h200x4", "--json", capture_output=True, text=True)
    assert (0, "") == (code, messages)
    assert "verified" == json.loads(out)["verdict"]
