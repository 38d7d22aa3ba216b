"""What every bad input must come to: one typed error with a remedy, nothing started, written or repeated."""

import os
import re
from pathlib import Path

import pytest
from tests.server.conftest import end_everything, launched_processes

from seatrial.cli.main import main
from seatrial.engines.types import Command
from seatrial.errors import RefusedError, SeatrialError, UsageError
from seatrial.launching import launch

LEAKY_ENGINE = Path(__file__).with_name("leaky_engine.py")
LONGEST_MESSAGE = 1500
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def leaky_command(*flags, engine="llamacpp", key_env=None, **changes):
    """Return the command of the engine that writes down all it knows; its name is ``leaky``."""
    key = f"--key-env={key_env}" if key_env else "--key-file={key_file}"
    argv = ("python", str(LEAKY_ENGINE), "--host=127.0.0.1", "--port={port}", key, *flags)
    return Command(**{"engine": engine, "argv": argv, "model": "leaky", "key_env": key_env} | changes)


def tree(*folders):
    """Return every file and folder below some, with size and mode."""
    found = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            status = path.lstat()
            found[str(path)] = (status.st_mode, status.st_size)
    return found


def is_one_clear_error(text, never=()):
    """Check that a message is short, has a remedy, and shows neither control characters nor secrets."""
    assert "Traceback" not in text
    assert len(text.strip().splitlines()) >= 2, f"no remedy: {text}"
    assert len(text) < LONGEST_MESSAGE
    assert CONTROL.search(text) is None
    for secret in never:
        assert secret not in text


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Return folders a bad input may not touch: the working folder, its neighbour, cache and state."""
    here = tmp_path / "here"
    for name in ("here", "beside", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    return tmp_path, os.environ["SEATRIAL_STATE"]


@pytest.fixture
def refused(places, capsys):
    """Check that the command line refuses words with one clear error, and that nothing has changed."""

    def check(*words, codes=(2, 3), never=(), says=""):
        before = tree(*places)
        code = main(list(words))
        out, err = capsys.readouterr()
        assert code in codes, err
        assert out == ""
        assert err.startswith("seatrial: ")
        is_one_clear_error(err, never)
        assert re.search(says, err), err
        assert before == tree(*places)
        assert [] == launched_processes()

    return check


@pytest.fixture
def not_launched(places):
    """Ask for a launch that is refused before anything is started or written."""

    def check(command=None, *, never=(), says="", kind=(UsageError, RefusedError), **wishes):
        before = tree(*places)
        with pytest.raises(kind) as caught:
            launch(command or leaky_command(), name="bad", **wishes)
        assert isinstance(caught.value, SeatrialError)
        is_one_clear_error(str(caught.value), never)
        assert re.search(says, str(caught.value)), caught.value
        assert before == tree(*places)
        assert [] == launched_processes()

    return check


@pytest.fixture(autouse=True)
def nothing_left():
    """Check that no engine process survives a test."""
    yield
    end_everything()
