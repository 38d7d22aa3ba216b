"""Folders of the kit and paths that people type: one message for each that cannot be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial import paths
from seatrial.errors import UsageError

NOBODY = 65534


@pytest.mark.parametrize("name", ["SEATRIAL_STATE", "SEATRIAL_CACHE"])
@pytest.mark.parametrize("value", ["", " ", "\r"])
def test_a_blank_folder_counts_as_unset(monkeypatch, tmp_path, name, value):
    """It is not the folder one stands in."""
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    usual = {
        "SEATRIAL_STATE": tmp_path / ".local/state/seatrial",
        "SEATRIAL_CACHE": tmp_path / ".cache/seatrial/models",
    }
    found = {"SEATRIAL_STATE": paths.state_dir, "SEATRIAL_CACHE": paths.models_dir}
    assert usual[name] == found[name]()


def test_a_blank_home_is_the_one_the_system_knows(monkeypatch):
    """As for a login."""
    monkeypatch.setenv("HOME", "")
    assert paths.home().is_absolute()
    assert paths.home() == paths.typed_path("~")


@pytest.mark.parametrize("value", ["~", "home", "./x"])
def test_a_home_that_is_no_absolute_path_is_refused(monkeypatch, value):
    """It would be another folder wherever one stands."""
    monkeypatch.setenv("HOME", value)
    monkeypatch.setenv("SEATRIAL_STATE", "~/state")
    with pytest.raises(UsageError, match=r"HOME is .* no absolute path"):
        paths.state_dir()


def test_a_relative_folder_of_the_desktop_does_not_count(monkeypatch, tmp_path):
    """The XDG specification has relative ones ignored."""
    monkeypatch.delenv("SEATRIAL_STATE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    assert tmp_path / ".local/state/seatrial" == paths.state_dir()


def test_a_relative_folder_of_ones_own_is_beside_where_one_stands(monkeypatch, tmp_path):
    """As the shell reads it; what is launched gets it in full."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEATRIAL_STATE", "here")
    assert tmp_path / "here" == paths.state_dir()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no path"),
        ("  ", "no path"),
        ("a\0b", "no path"),
        ("~nobody_here/x", "no user 'nobody_here'"),
        ("n" * 256, "too long"),
        ("ö" * 128, "too long"),
        ("a/" * 2100, "too long"),
    ],
)
def test_a_path_that_no_file_can_have_is_refused(text, says):
    """One message that repeats it in short."""
    with pytest.raises(UsageError, match=says) as caught:
        paths.typed_path(text, "--output")
    assert caught.value.what.startswith("--output is ")
    assert len(caught.value.what) < 200


@pytest.mark.parametrize("text", ["a", "n" * 255, "a b ", "größe", "-x", "/a/./b", "b\udcff"])
def test_other_paths_are_taken_as_they_are(text):
    """Odd is not wrong."""
    assert Path(text) == paths.typed_path(text)


def as_somebody_else(folder, *words):
    """Run a command for which ``folder`` is another user's: as root without root's rights, else closed."""
    drop = []
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    else:
        folder.chmod(0)
    try:
        argv = [*drop, sys.executable, "-m", "seatrial", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False)
    finally:
        if drop:
            os.chown(folder, 0, 0)
        folder.chmod(0o700)


WORDS = [
    ("plan", "--model=smollm2"),
    ("serve", "--engine=simulated", "--model=smollm2"),
    ("tune", "--show"),
    ("ps",),
    ("stop", "--all"),
    ("logs", "x"),
    ("detect", "--measure"),
]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words[0])
def test_an_unreadable_state_folder_is_not_taken_for_an_empty_one(require, words):
    """``sudo`` made it: which folder, and what to do; never that no server runs."""
    require("setpriv")
    folder = paths.state_dir()
    done = as_somebody_else(folder, *words)
    assert (2, "") == (done.returncode, done.stdout)
    assert str(folder) in done.stderr
    advice = f"sudo chown -R 0 {folder}" if os.getuid() == 0 else f"chmod u+rwX {folder}"
    assert advice in done.stderr
    assert "set SEATRIAL_STATE" in done.stderr


@pytest.mark.parametrize("name", ["servers", "servers/s/record.json"])
def test_a_server_that_cannot_be_looked_at_is_no_server_that_does_not_run(require, name):
    """``stop --all`` says so, wherever the rights are missing."""
    require("setpriv")
    locked = paths.state_dir() / name
    locked.parent.mkdir(parents=True, exist_ok=True)
    if locked.suffix:
        locked.write_text("{}")
        locked.chmod(0)
    else:
        locked.mkdir(mode=0o700)
    done = as_somebody_else(locked, "stop", "--all")
    assert 2 == done.returncode
    assert f"{locked} cannot be read: Permission denied." in done.stderr


def test_an_unreadable_cache_is_not_taken_for_an_empty_one(require, monkeypatch, tmp_path):
    """Nobody fetches 160 GB again that is there."""
    require("setpriv")
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    done = as_somebody_else(tmp_path, "fetch", "smollm2")
    assert 2 == done.returncode
    assert f"{tmp_path}" in done.stderr
    assert "cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (("ps",), {"SEATRIAL_STATE": "~nobody_here/x"}),
        (("plan", "--model=smollm2"), {"SEATRIAL_CACHE": "~nobody_here/x"}),
        (("ps",), {"HOME": "~", "SEATRIAL_STATE": "~/x"}),
        (("ps",), {"SEATRIAL_STATE": "n" * 300}),
        (("ps",), {"SEATRIAL_STATE": os.fsencode("/x/").decode() + "\udcff"}),
        (("serve", "--model=smollm2", "--plan", "~nobody_here/p.json"), {}),
        (("serve", "--model=smollm2", "--plan", "n" * 300), {}),
        (("serve", "--model=smollm2", "--api-key-file", "~nobody_here/k"), {}),
        (("footprint", "--config", "~nobody_here/c.json"), {}),
        (("plan", "--checkpoint", "~nobody_here/m.gguf"), {}),
        (("plan", "--checkpoint", "/x/" + "n" * 300 + ".gguf"), {}),
        (("run", "x.ipynb", "--output", "~nobody_here/x"), {}),
        (("measure", "--url=http://127.0.0.1:9", "--model", "\udcff"), {}),
        (("report", "\udcff"), {}),
    ],
)
def test_a_path_or_word_that_is_none_is_one_message(words, variables):
    """Exit code 2, and no traceback."""
    argv = [sys.executable, "-m", "seatrial", *words]
    done = subprocess.run(argv, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert "Traceback" not in done.stderr
    assert "unexpected failure" not in done.stderr
    assert done.stderr.startswith("seatrial: ")


@pytest.mark.parametrize("columns", ["0", "-1", "²", "1", "999999999999"])
@pytest.mark.parametrize("words", [("models",), ("ps", "--help")])
def test_odd_widths_of_a_terminal_change_nothing(words, columns):
    """A table is as wide as without them."""
    argv = [sys.executable, "-m", "seatrial", *words]

    def shown(**sizes):
        return subprocess.run(argv, env={**os.environ, **sizes}, capture_output=True, text=True, check=True).stdout

    assert shown() == shown(COLUMNS=columns, LINES=columns)
