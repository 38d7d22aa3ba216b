"""A person's own key: from a file or a variable, strong, readable only by its owner, and never repeated."""

import os
import stat
from pathlib import Path

import pytest
from tests.security.conftest import leaky_command

from seatrial.launching import launch
from seatrial.launching.access import Access
from seatrial.server import find_server
from seatrial.server.folder import folder_of
from seatrial.server.keys import LEAST_CHARACTERS

GOOD = "Zy8xW7vU6tS5rQ4pO3nM2lK1"
WEAK = {
    "empty": "",
    "a blank": " ",
    "blanks and line ends": " \n\t\r\n",
    "one character": "x",
    "a word": "hunter2-secret",
    "one too few": GOOD[: LEAST_CHARACTERS - 1],
    "one character over and over": "z" * 64,
    "three characters over and over": "abc" * 20,
    "two lines": f"{GOOD}\n{GOOD}",
    "a header in it": f"{GOOD}\r\nX-Evil: 1",
    "a quote, for YAML": f'{GOOD}"\ntrust-remote-code: true',
    "a space": f"{GOOD[:12]} {GOOD[12:]}",
    "a colon": f"{GOOD}: evil",
    "a control character": f"{GOOD}\x1b[31m",
    "a null": f"{GOOD}\x00",
    "other letters": f"{GOOD}ключ",
    "too long": GOOD * 40,
    "a template": "{key}{port}{key_file}abcdefgh",
}


def key_file(tmp_path, text, mode=0o600):
    """Write a file with a key."""
    path = tmp_path / "beside" / "mine"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("kind", WEAK)
def test_a_weak_or_odd_key_in_a_file_is_refused(not_launched, tmp_path, kind):
    """Short, blank, guessable, or with characters that mean something to a header, to YAML or to a list of keys."""
    path = key_file(tmp_path, WEAK[kind])
    secrets = [line for line in WEAK[kind].split() if len(line) > 4]
    not_launched(says="API key", never=secrets, access=Access(api_key_file=path))


@pytest.mark.parametrize("kind", [kind for kind in WEAK if kind != "a null"])
def test_a_weak_or_odd_key_in_a_variable_is_refused(not_launched, monkeypatch, kind):
    """The same for the environment."""
    monkeypatch.setenv("MY_KEY", WEAK[kind])
    secrets = [line for line in WEAK[kind].split() if len(line) > 4]
    not_launched(says="API key in MY_KEY", never=secrets, access=Access(api_key_env="MY_KEY"))


def test_the_least_length_is_said(not_launched, tmp_path):
    """A person reads how long it must be."""
    not_launched(says="at least 22 characters", access=Access(api_key_file=key_file(tmp_path, "short")))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o606, 0o666, 0o777, 0o620, 0o602])
def test_a_file_others_can_read_or_write_is_refused(not_launched, tmp_path, mode):
    """The error names its mode and the way to mend it; the key in it must not be used any more."""
    path = key_file(tmp_path, GOOD, mode)
    not_launched(says=f"mode {mode:04o}.*\n.*chmod 600", never=[GOOD], access=Access(api_key_file=path))


def test_what_is_no_file_is_refused(not_launched, tmp_path):
    """A missing file, a folder, a device, a pipe without a writer, and a name with a null in it."""
    pipe = tmp_path / "beside" / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (tmp_path / "none", tmp_path, Path("/dev/zero"), pipe, Path("a\x00b")):
        not_launched(says="no file of yours|cannot be read|can be read by others", access=Access(api_key_file=path))


@pytest.mark.parametrize(
    "name", ["", "A B", "A=B", "$KEY", "1KEY", "A\nB", GOOD + "!", "sk-abcdefghijklmnop", "A" * 200]
)
def test_the_option_takes_a_name_and_never_repeats_a_key(not_launched, name):
    """Whoever gives the key itself in place of the variable's name does not see it again in a message."""
    not_launched(
        says="name of an environment variable", never=[name] if len(name) > 4 else [], access=Access(api_key_env=name)
    )


def test_a_variable_that_is_not_set_is_said(not_launched):
    """By its name."""
    not_launched(says="NO_SUCH_KEY is not set", access=Access(api_key_env="NO_SUCH_KEY"))


def test_one_source_of_the_key(not_launched, tmp_path, refused):
    """Which of two was meant cannot be known."""
    path = key_file(tmp_path, GOOD)
    not_launched(says="one of the two", access=Access(api_key_file=path, api_key_env="HOME"))
    refused("serve", "--engine=simulated", f"--api-key-file={path}", "--api-key-env=HOME", codes=(2,))


@pytest.mark.parametrize("option", [f"--api-key={GOOD}", f"--key={GOOD}", f"--api-key-fil={GOOD}"])
def test_there_is_no_option_that_takes_a_key(refused, option):
    """A key on the command line can be read by every user of the machine; abbreviations do not exist either."""
    refused("serve", "--engine=simulated", option, codes=(2,))


def test_the_command_line_refuses_a_weak_key_before_anything_else(refused, tmp_path):
    """Before it detects, plans or fetches."""
    refused("serve", "--model=no-such-model", f"--api-key-file={key_file(tmp_path, 'short')}", says="too easy to guess")


@pytest.mark.parametrize("source", ["file", "variable"])
def test_an_own_key_is_the_one_that_counts(tmp_path, monkeypatch, source):
    """The engine gets it; the server's own copy is readable only by this user and goes with the server."""
    (tmp_path / "beside").mkdir()
    monkeypatch.setenv("MY_KEY", f"{GOOD}\n")
    access = Access(api_key_file=key_file(tmp_path, f"{GOOD}\n")) if source == "file" else Access(api_key_env="MY_KEY")
    with launch(leaky_command(), name="own", access=access) as server:
        assert GOOD == server.api_key()
        assert 0o600 == stat.S_IMODE(Path(server.api_key_file).stat().st_mode)
    assert not Path(server.api_key_file).exists()
    assert not list(folder_of("own").path.glob("engine_key*"))
    assert find_server("own").state == "ended"


def test_random_keys_have_256_bits_and_differ():
    """64 hexadecimal digits, new for each launch."""
    keys = set()
    for _ in range(2):
        with launch(leaky_command(), name="random") as server:
            keys.add(server.api_key())
    assert [64, 64] == [len(key) for key in keys]
    assert all(set(key) <= set("0123456789abcdef") for key in keys)
