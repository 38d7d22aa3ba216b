"""The program that is started: never one that somebody else could have put on the search path."""

import os
import sys

import pytest

from seatrial.engines.types import Command
from seatrial.errors import EngineMissingError
from seatrial.hardware import detect_hardware
from seatrial.launching.choose import find_obstacle
from seatrial.plan import make_plan
from seatrial.programs.find import resolve_program
from seatrial.programs.search_path import find_on_path

PROGRAMS = ("llama-server", "vllm", "mlx_vlm.server", "my-own-server")


def plant(folder, name, mode=0o755):
    """Write a program that leaves a mark when it runs."""
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\ntouch {folder}/ran\necho 'version: 99999 (x)'\n")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("entry", ["", ".", "bin", "./bin", "../here/bin"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_in_the_folder_one_stands_in_is_passed_over(places, monkeypatch, entry, name):
    """A downloaded model's folder may hold a program of that name; a relative PATH entry would find it."""
    folder = places[0] / "here" / ("bin" if "bin" in entry else "")
    plant(folder, name)
    monkeypatch.setenv("PATH", f"{entry}{os.pathsep}/usr/bin")
    with pytest.raises(EngineMissingError, match="PATH entry is relative"):
        resolve_program(Command(engine="llamacpp", argv=(name,), model="m"))
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_in_a_folder_everybody_may_write_to_is_passed_over(tmp_path, monkeypatch, name):
    """Sticky or not: in /tmp anybody can be the first to make that name."""
    for mode in (0o777, 0o1777):
        folder = tmp_path / f"shared{mode}"
        plant(folder, name)
        folder.chmod(mode)
        monkeypatch.setenv("PATH", str(folder))
        with pytest.raises(EngineMissingError, match="everybody may write"):
            resolve_program(Command(engine="llamacpp", argv=(name,), model="m"))
        assert not (folder / "ran").exists()


def test_a_program_everybody_may_change_is_passed_over(tmp_path, monkeypatch):
    """The folder is closed, the file is not; and a link into an open folder is no better."""
    plant(tmp_path / "bin", "llama-server", 0o777)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_on_path("llama-server") is None
    plant(tmp_path / "shared", "vllm")
    (tmp_path / "shared").chmod(0o777)
    (tmp_path / "bin" / "vllm").symlink_to(tmp_path / "shared" / "vllm")
    assert find_on_path("vllm") is None


def test_the_next_good_one_is_taken(places, monkeypatch):
    """What is passed over does not hide what comes after it."""
    plant(places[0] / "here", "my-own-server")
    good = plant(places[0] / "beside", "my-own-server")
    monkeypatch.setenv("PATH", os.pathsep.join([".", str(good.parent)]))
    assert (str(good),) == resolve_program(Command(engine="own", argv=("my-own-server",), model="m"))


@pytest.mark.parametrize("module", ["csv", "email", "json", "zipfile", "xllamacpp", "sitecustomize"])
def test_asking_a_python_imports_nothing_from_where_one_stands(places, monkeypatch, module):
    """`python -c` looks in its own folder first: a planted csv.py would run while a version is asked for."""
    here = places[0] / "here"
    (here / f"{module}.py").write_text(f"open({str(here / 'ran')!r}, 'w')")
    python = here.parent / "python3"
    python.symlink_to(sys.executable)
    monkeypatch.setenv("SEATRIAL_LLAMACPP_PYTHON", str(python))
    monkeypatch.setenv("SEATRIAL_SGLANG_PYTHON", str(python))
    plan = make_plan("smollm2", hardware=detect_hardware("cpu"))
    for runner in ("llama_cpp.server", "xllamacpp"):
        find_obstacle(plan, runner)
    command = Command(engine="sglang", argv=("python", "-m", "sglang.launch_server"), model="m")
    with pytest.raises(EngineMissingError):
        resolve_program(command)
    assert not (here / "ran").exists()
