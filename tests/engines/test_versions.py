"""Commands by the installed version: a note on newer ones, and programs asked for their flags."""

import shutil
from dataclasses import replace

import pytest

from seatrial.engines import build_command
from seatrial.engines.snapshot import read_snapshot, rejected, with_version_note
from seatrial.errors import RefusedError
from seatrial.flags import Flags
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.programs.find import installed_command


@pytest.fixture
def stand_in():
    """Return the plan of the stand-in on this machine's CPU."""
    return make_plan("smollm2", hardware=detect_hardware("cpu"))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Return a function that writes a native llama.cpp with a version and a list of flags, some left out."""

    def write(version, without=(), *, lists=True):
        flags = sorted(read_snapshot("llamacpp").accepted - set(without))
        listed = "\n".join(f"-x,   {flag} N   what it does" for flag in flags) if lists else "no help here"
        path = tmp_path / "llama-server"
        path.write_text(
            f"#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'version: {version} (abc)'; else\ncat <<'END'\n{listed}\nEND\nfi\n"
        )
        path.chmod(0o755)
        monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", str(path))

    return write


def test_the_installed_version_is_the_snapshot_s_and_nothing_is_said():
    """The command is the same as without a version."""
    plan = make_plan(hardware=detect_hardware("h200x4"), engine="sglang")
    assert build_command(plan) == build_command(plan, version="0.5.23")


def test_a_newer_version_is_noted():
    """With both versions; the flags stay."""
    plan = make_plan(hardware=detect_hardware("h200x4"), engine="sglang")
    command = build_command(plan, version="0.5.30")
    assert ("Flags were checked against sglang 0.5.23; 0.5.30 is installed.",) == command.notes
    assert build_command(plan).argv == command.argv


@pytest.mark.parametrize(
    ("runner", "version", "noted"),
    [
        ("xllamacpp", "2026.10.11549", False),
        ("xllamacpp", "2026.12.1", True),
        ("llama-server", "b11549", False),
        ("llama-server", "11600", True),
        ("llama_cpp.server", "0.3.36", False),
        ("llama_cpp.server", "0.4.0", True),
    ],
)
def test_each_program_is_held_against_its_own_numbers(stand_in, runner, version, noted):
    """Three packages of llama.cpp count three ways."""
    assert noted == bool(build_command(stand_in, runner=runner, version=version).notes)


def test_an_engine_without_a_snapshot_is_taken_as_it_is(stand_in):
    """The simulator is part of this kit: there is nothing to compare."""
    command = build_command(replace(stand_in, engine="simulated"))
    assert command == with_version_note(command, "99.0")


def test_what_mlx_gets_is_in_its_parser(stand_in):
    """Its flags were read from its wheel."""
    command = build_command(replace(stand_in, engine="mlx"), model_path="/models/m")
    assert () == rejected("mlx", command.flags)
    assert "takes one of" in rejected("mlx", Flags.of({"--log-level": "LOUD"}))[0]


def test_a_program_that_lists_its_flags_is_asked_before_it_is_started(stand_in, server):
    """One that dropped a flag is refused with the flag's name, instead of a server that dies on it."""
    server("99999", without=["--jinja", "--n-cpu-moe"])
    with pytest.raises(
        RefusedError, match=r"llama.cpp 99999 .* does not take --jinja: its own --help does not name it"
    ):
        installed_command(stand_in, runner="llama-server")


def test_one_that_takes_them_all_is_started(stand_in, server):
    """With the note that it is newer."""
    server("99999")
    command = installed_command(stand_in, runner="llama-server")
    assert "99999 is installed" in command.notes[0]


def test_one_that_lists_nothing_is_not_judged(stand_in, server):
    """Help that names no flags says nothing about them."""
    server("99999", lists=False)
    assert installed_command(stand_in, runner="llama-server").argv


def test_a_program_that_was_replaced_is_asked_again(stand_in, server):
    """What it said is remembered only until its file changes."""
    server("99999", without=["--metrics"])
    with pytest.raises(RefusedError, match="--metrics"):
        installed_command(stand_in, runner="llama-server")
    server("100000")
    assert "100000 is installed" in installed_command(stand_in, runner="llama-server").notes[0]


@pytest.mark.engine
def test_the_real_native_server_takes_what_it_gets(require, stand_in):
    """Its own help names every flag of the command."""
    require("llama-server")
    command = installed_command(stand_in, runner="llama-server")
    assert shutil.which(command.argv[0])
