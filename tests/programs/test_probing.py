"""Programs that behave oddly when asked for their version count as broken, and leave nothing behind."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.engines import Command
from seatrial.errors import EngineMissingError
from seatrial.programs import probing
from seatrial.programs.find import find_program, known_programs


@pytest.fixture
def version_of(tmp_path, monkeypatch):
    """Return a function that probes a llama-server made of a shell script for its version."""

    def ask(script):
        path = tmp_path / "llama-server"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", str(path))
        return find_program(Command(engine="llamacpp", argv=("llama-server",), model="m")).version

    return ask


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -SEGV $$", "was ended by signal 11"),
        ("echo 'error while loading shared libraries: libllama.so' >&2; exit 127", "code 127: error while loading"),
        ("exit 3", "ended with exit code 3"),
        ("exec cat /dev/zero", "printed without end"),
        ("exec yes >&2", "printed without end"),
    ],
)
def test_a_program_that_cannot_say_its_version_is_not_started(version_of, script, words):
    """It crashes, lacks a library or floods: it would not serve, and might be one with known holes."""
    with pytest.raises(EngineMissingError, match=words) as caught:
        version_of(script)
    assert "engine broken" == caught.value.cause


def test_what_it_says_counts_however_it_ends(version_of):
    """Some builds print their version and exit with 1."""
    assert "9900" == version_of("echo 'version: 9900 (abc)'; exit 1")


def test_a_child_that_holds_the_pipe_is_not_waited_for_and_is_ended(version_of, tmp_path):
    """The program itself has answered and ended."""
    mark = tmp_path / "pid"
    assert "9900" == version_of(f"sleep 600 & echo $! > {mark}; echo 'version: 9900 (abc)'")
    child = Path("/proc") / mark.read_text().strip() / "stat"
    deadline = time.monotonic() + probing.PROBE_S
    while child.exists() and ") Z" not in child.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not child.exists() or ") Z" in child.read_text()


def test_a_program_that_closes_its_output_and_hangs_is_given_up(tmp_path):
    """The end of its output is not its end."""
    path = tmp_path / "llama-server"
    path.write_text("#!/bin/sh\nexec >&- 2>&-; exec sleep 600\n")
    path.chmod(0o755)
    with pytest.raises(EngineMissingError, match="said nothing within"):
        probing.program_version(known_programs()["llama-server"], str(path), 0.5)


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        ("#!/bin/sh\necho 3.12; echo 'a warning' >&2", "3.12\n"),
        ("#!/bin/sh\necho 3.12; exit 3", "3.12\n"),
        ("#!/nowhere/sh", ""),
        ("#!/bin/sh\necho 3.12; sleep 100", ""),
    ],
)
def test_what_a_program_prints_is_told_without_its_warnings(tmp_path, script, printed):
    """A Python whose start-up warns on the other stream is asked as any other; none that hangs or does not start."""
    program = tmp_path / "python3"
    program.write_text(f"{script}\n")
    program.chmod(0o755)
    assert printed == probing.output_of((str(program),), 1.0)


def test_a_python_that_warns_has_what_it_has(tmp_path):
    """The warnings of its start-up are no part of the answer."""
    program = tmp_path / "python3"
    program.write_text(f"#!/bin/sh\necho 'a warning' >&2\nexec {sys.executable} \"$@\"\n")
    program.chmod(0o755)
    row = known_programs()["llama_cpp.server"]
    row = replace(row, package="pytest")
    assert ([], pytest.__version__) == probing.package_in(str(program), row, ("pytest",))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sleep 100", "asked whether it has llama-cpp-python it said nothing within 0.5 s"),
        ("echo 'no such module' >&2; exit 1", "ended with exit code 1: no such module"),
        ("echo hello", "answered something else"),
    ],
)
def test_a_python_that_does_not_answer_is_broken_and_not_without_the_package(tmp_path, script, words):
    """What it has nobody knows; its path is named."""
    program = tmp_path / "python3"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(EngineMissingError, match=f"{program} does not run: .*{words}") as caught:
        probing.package_in(str(program), known_programs()["llama_cpp.server"], ("llama_cpp",), 0.5)
    assert "engine broken" == caught.value.cause


def test_what_is_waited_for_is_said(tmp_path, monkeypatch, caplog):
    """A program that hangs holds nobody up without a word: which one, and for how much longer."""
    monkeypatch.setattr(probing, "_SLOW_S", 0.1)
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    with pytest.raises(EngineMissingError):
        probing.program_version(known_programs()["llama-server"], str(program), 2.0)
    assert [f"Waiting for {program} --version to answer; it is given up after 2 s."] == caplog.messages


def test_one_that_answers_soon_is_not_spoken_of(version_of, caplog):
    """The word is for those that take long."""
    assert "9900" == version_of("echo 'version: 9900 (abc)'")
    assert [] == caplog.messages
