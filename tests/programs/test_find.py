"""Engines on this machine: found by setting or PATH; missing and too old ones are refused before anything starts."""

import contextlib
import stat
import sys

import pytest

from seatrial.engines import RUNNERS, Command
from seatrial.errors import EngineMissingError, RefusedError, UnknownNameError
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.programs.find import installed_command, known_programs, resolve_program, resolve_runner


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    """Clear the settings of the person who runs the tests."""
    for row in known_programs().values():
        if row.setting:
            monkeypatch.delenv(row.setting, raising=False)


@pytest.fixture
def program(tmp_path):
    """Write an executable shell script that prints something."""

    def write(name, prints):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{prints}\nEND\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


def command(*argv):
    """Return a command that starts with these words."""
    return Command(engine="llamacpp", argv=argv, model="m")


def test_every_runner_has_a_row():
    """Each way to run llama.cpp stands in the table, with remedy, source and date."""
    assert set(RUNNERS) == {row.runner for row in known_programs().values() if row.runner}
    assert all(row.remedy and row.source and row.checked for row in known_programs().values())


def test_the_embedded_runner_comes_first(require):
    """Where xllamacpp is installed nothing else is looked for."""
    require("xllamacpp")
    assert "xllamacpp" == resolve_runner()


def test_for_gpus_the_embedded_runner_comes_last(monkeypatch, tmp_path, require):
    """Its wheel computes on CPUs, so a llama-server that is here goes first when layers lie on GPUs."""
    require("xllamacpp")
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", str(program))
    monkeypatch.setattr("sys.platform", "linux")
    assert ("xllamacpp", "llama-server") == (resolve_runner(), resolve_runner(on_gpus=True))


@pytest.mark.parametrize("runner", RUNNERS)
def test_an_asked_for_runner_is_honoured(runner):
    """Whoever names a runner gets it; whether it is here is said when it is launched."""
    assert runner == resolve_runner(runner)


def test_an_unknown_runner_names_the_nearest():
    """A typing mistake is bad usage."""
    with pytest.raises(UnknownNameError, match="llama-server"):
        resolve_runner("lama-server")


def test_python_is_this_python():
    """A bare ``python`` means the one that runs the kit."""
    assert (sys.executable, "-m", "json.tool") == resolve_program(command("python", "-m", "json.tool"))


@pytest.mark.parametrize(
    "version", ["version: 9840 (abc)", "version: 0.5.0 (build 12000, commit 1)", "version: 1 (x)", ""]
)
def test_a_native_server_is_found_by_its_setting(program, monkeypatch, version):
    """New enough, or a build that does not know its number."""
    path = program("my-llama-server", version)
    monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", str(path))
    assert (str(path), "--port=1") == resolve_program(command("llama-server", "--port=1"))


@pytest.mark.parametrize("version", ["version: 8145 (abc)", "version: 0.4.9 (build 9839, commit 1)"])
def test_an_old_native_server_is_refused(program, monkeypatch, version):
    """Both versions are said."""
    monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", str(program("llama-server", version)))
    with pytest.raises(RefusedError, match=r"llama.cpp (8145|9839) is installed, but b9840 or newer"):
        resolve_program(command("llama-server"))


def test_a_native_server_on_path(program, monkeypatch):
    """Without a setting PATH decides."""
    path = program("llama-server", "version: 9999 (abc)")
    monkeypatch.setenv("PATH", f"{path.parent}:/bin:/usr/bin")
    assert (str(path),) == resolve_program(command("llama-server"))


@pytest.mark.parametrize("value", ["/no/such/program", "/etc/passwd", "/etc"])
@pytest.mark.parametrize("setting", ["SEATRIAL_LLAMA_SERVER", "SEATRIAL_LLAMACPP_PYTHON"])
def test_a_setting_that_points_nowhere_is_said(monkeypatch, setting, value):
    """Missing, not executable, or a folder: the setting is named."""
    monkeypatch.setenv(setting, value)
    argv = ("llama-server",) if setting == "SEATRIAL_LLAMA_SERVER" else ("python", "-m", "llama_cpp.server")
    with pytest.raises(EngineMissingError, match=setting):
        resolve_program(command(*argv))


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ("\n0.3.36", None, ""),
        ("\n0.3.35", RefusedError, "llama-cpp-python 0.3.35 is installed, but 0.3.36"),
        ("llama_cpp,fastapi\n", EngineMissingError, "llama-cpp-python is not installed for"),
        ("uvicorn\n0.3.36", EngineMissingError, "without its server: uvicorn missing"),
        ("Traceback", EngineMissingError, "does not run: .* it answered something else"),
    ],
)
def test_another_python_is_asked(program, monkeypatch, answer, error, words):
    """The package may live in another environment: that python says what it has."""
    python = program("python3.12", answer)
    monkeypatch.setenv("SEATRIAL_LLAMACPP_PYTHON", str(python))
    asked = command("python", "-m", "llama_cpp.server", "--port=1")
    if error is None:
        assert (str(python), *asked.argv[1:]) == resolve_program(asked)
    else:
        with pytest.raises(error, match=words):
            resolve_program(asked)


def test_an_engine_that_is_not_here_is_said_with_its_remedy(monkeypatch, tmp_path):
    """VLLM is not on PATH: the package and what to set."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissingError, match="no program 'vllm' on PATH") as caught:
        resolve_program(command("vllm", "serve"))
    assert "SEATRIAL_VLLM" in caught.value.remedy


def test_a_python_given_by_path_is_used_as_it_is(program):
    """Whoever names the python of an engine's own environment gets that one."""
    python = program("python3", "\n0.5.23")
    asked = command(str(python), "-m", "sglang.launch_server")
    assert (str(python), "-m", "sglang.launch_server") == resolve_program(asked)


@pytest.mark.parametrize(("build", "starts"), [(10963, False), (10964, True)])
def test_a_plan_that_drafts_needs_a_newer_native_server(program, monkeypatch, build, starts):
    """New enough for V4 is not new enough for its drafter; without one it is."""
    monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", str(program("llama-server", f"version: {build} (abc)")))
    hardware = detect_hardware("cpu", host_memory_gib=16)
    plan, alone = (make_plan("tiny-v4", hardware=hardware, drafter=drafter) for drafter in ("auto", None))
    assert ("b10964", "b9840") == (plan.engine_version_min, alone.engine_version_min)
    assert installed_command(alone, runner="llama-server")
    with contextlib.nullcontext() if starts else pytest.raises(RefusedError, match="this plan needs b10964 or newer"):
        installed_command(plan, runner="llama-server")
