"""Engines in environments of their own: the real pip and uv install small stand-ins for them from a folder."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.conftest import PARTS
from tests.install.stand_in_wheels import MODULES, installs, write_source, write_stand_ins
from tests.server.conftest import FAKE_ENGINE, fake_command, until

from seatrial.cli.main import main
from seatrial.errors import DoesNotFitError, EngineError, RefusedError, UnknownNameError, UsageError
from seatrial.hardware import detect_hardware
from seatrial.install.checks import find_python, needed_bytes
from seatrial.install.engine import find_installable, install_engine, remove_engine
from seatrial.install.steps import Steps, choose_tool, diagnose_installation
from seatrial.launching import launch
from seatrial.programs.find import known_programs, look_up
from seatrial.programs.own import NOTE, installations, own_program

SMALL = "mlx"
"""Requires nothing of the machine, so that no test needs ``anyway``."""


@pytest.fixture(autouse=True)
def wheels(tmp_path, monkeypatch):
    """Return the folder that pip and uv take everything from; engines go into a folder of this test."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for variable in ("SEATRIAL_LLAMACPP_PYTHON", "SEATRIAL_SGLANG_PYTHON", "SEATRIAL_VLLM", "SEATRIAL_MLX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SEATRIAL_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "empty").as_uri())
    return folder


@pytest.fixture
def uv(monkeypatch, require):
    """Put the uv beside this Python on PATH."""
    require("uv")
    put_uv_on_path(monkeypatch)


@pytest.fixture
def quick(monkeypatch):
    """Return the quicker tool, for claims about both: uv makes an environment in a tenth of a second, pip in four."""
    if not PARTS["uv"]():
        return "pip"
    put_uv_on_path(monkeypatch)
    return "uv"


def put_uv_on_path(monkeypatch):
    """Put the folder of this Python on PATH, and keep uv from its cache of other tests' wheels."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("UV_NO_CACHE", "1")


def left_over(tmp_path):
    """Return the environments, complete or not, in the folder of engines."""
    return sorted(path.name for path in (tmp_path / "engines").iterdir() if path.is_dir())


@pytest.mark.parametrize("name", MODULES)
def test_an_engine_is_installed_and_found(wheels, tmp_path, name):
    """Each goes into its own environment, says its version there, and is the one that would be started."""
    row = write_stand_ins(wheels, name)
    told = []
    outcome = install_engine(name, anyway=True, tool="pip", on_event=told.append)
    found = outcome.installation
    assert (row.package, row.version, False) == (found.package, found.version, outcome.already)
    assert str(tmp_path / "engines" / f"{name}-{row.version}") == found.path
    assert {"check", "environment", "download", "install", "prove", "done"} == {event.stage for event in told}
    programs = [look_up(program) for program in known_programs().values() if program.package == row.package]
    assert [(True, row.version)] == [(each.path.startswith(f"{found.path}/bin/"), each.version) for each in programs]


def test_the_kits_own_environment_is_not_touched(wheels, quick):
    """The stand-in can be imported there and not here."""
    write_stand_ins(wheels, SMALL)
    found = install_engine(SMALL, tool=quick).installation
    there = subprocess.run([found.python, "-c", "import mlx_vlm.server"], check=False).returncode
    assert (0, None) == (there, find_spec("mlx_vlm"))


def test_a_second_call_says_what_is_there(wheels):
    """Nothing is done again; an engine id names the same."""
    write_stand_ins(wheels, SMALL)
    first = install_engine(SMALL, tool="pip")
    for wheel in wheels.iterdir():
        wheel.unlink()
    second = install_engine("mlx")
    assert (first.installation, True) == (second.installation, second.already)
    assert find_installable("llamacpp") == find_installable("llama-cpp-python")


@pytest.mark.usefixtures("uv")
def test_uv_installs_the_same(wheels):
    """Where uv is the tool, no pip lies in the environment and the engine is found all the same."""
    write_stand_ins(wheels, SMALL)
    found = install_engine(SMALL, tool="uv").installation
    assert ("uv", [found]) == (found.tool, installations())
    assert not (Path(found.path) / "bin/pip").exists()


@pytest.mark.usefixtures("uv")
def test_pip_is_chosen_where_it_has_settings_that_uv_would_not_read(monkeypatch):
    """An index, links or constraints of pip's hold; without any uv is quicker."""
    assert "pip" == choose_tool()
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert "uv" == choose_tool()


def test_what_the_index_does_not_have_is_named(tmp_path):
    """No fitting package: the cause, pip's own line, and nothing left."""
    with pytest.raises(EngineError, match="no release that fits") as caught:
        install_engine(SMALL, tool="pip")
    assert "not for this machine" == caught.value.cause
    assert any("mlx-vlm==" in line for line in caught.value.evidence)
    assert [] == left_over(tmp_path)


def test_a_build_that_fails_is_named(wheels, tmp_path):
    """The compiler's failure is the cause, and nothing is left."""
    write_source(wheels, "llama-cpp-python", "raise SystemExit('CMake Error: no CMAKE_CXX_COMPILER')")
    with pytest.raises(EngineError) as caught:
        install_engine("llama-cpp-python", anyway=True, tool="pip")
    assert "compilation failed" == caught.value.cause
    assert [] == left_over(tmp_path)


def test_what_does_not_import_is_not_kept(wheels, tmp_path, quick):
    """Installed is not enough: it has to be importable where it lies."""
    write_stand_ins(wheels, SMALL, left_out=["mlx_vlm/server.py"])
    with pytest.raises(EngineError, match="cannot be imported") as caught:
        install_engine(SMALL, tool=quick)
    assert "does not import" == caught.value.cause
    assert any("mlx_vlm.server" in line for line in caught.value.evidence)
    assert [] == left_over(tmp_path)


def test_a_reinstallation_that_fails_keeps_what_was_there(wheels, tmp_path, quick):
    """The old environment comes back, and still starts."""
    write_stand_ins(wheels, SMALL)
    before = install_engine(SMALL, tool=quick).installation
    write_stand_ins(wheels, SMALL, left_out=["mlx_vlm/server.py"])
    with pytest.raises(EngineError):
        install_engine(SMALL, reinstall=True, tool=quick)
    assert ([before], [f"mlx-{before.version}"]) == (installations(), left_over(tmp_path))
    assert 0 == subprocess.run([before.python, "-c", "import mlx_vlm.server"], check=False).returncode


def test_a_reinstallation_that_succeeds_replaces_it(wheels, tmp_path, quick):
    """One environment stays."""
    row = write_stand_ins(wheels, SMALL)
    folder = tmp_path / "engines" / f"mlx-{row.version}"
    install_engine(SMALL, tool=quick)
    (folder / "old").touch()
    assert not install_engine(SMALL, reinstall=True, tool=quick).already
    assert ([folder.name], False) == (left_over(tmp_path), (folder / "old").exists())


@pytest.fixture
def slow(wheels, tmp_path):
    """Start an installation whose build stands still until the pipe it reads from is opened."""
    pipe, begun = tmp_path / "pipe", tmp_path / "begun"
    write_source(
        wheels, SMALL, f"open({str(begun)!r}, 'w'); open({str(pipe)!r}).read(); raise SystemExit('CMake Error')"
    )
    os.mkfifo(pipe)
    words = [sys.executable, "-m", "seatrial", "engines", "install", SMALL, "--tool", "pip"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(begun.exists, "the build")
        yield process
    finally:
        process.kill()
        process.communicate()
        let_go(pipe)


def let_go(pipe):
    """End the build that waits for the pipe, or is about to: what a failed test leaves would wait for ever."""
    end = os.open(pipe, os.O_RDWR)
    pipe.unlink()
    os.close(end)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_installation_leaves_nothing(slow, tmp_path, number):
    """Ctrl-C and TERM end pip, and half an environment is removed."""
    slow.send_signal(number)
    _, said = slow.communicate(timeout=120)
    assert (130, "interrupted" in said) == (slow.returncode, True)
    assert [] == left_over(tmp_path)


def test_a_killed_pip_is_named(wheels, tmp_path):
    """It says nothing itself; big wheels on a small machine end so."""
    write_source(wheels, SMALL, "import os; os.kill(os.getppid(), 9)")
    with pytest.raises(EngineError, match="something killed it") as caught:
        install_engine(SMALL, tool="pip")
    assert ("killed", []) == (caught.value.cause, left_over(tmp_path))


def test_a_killed_installation_is_never_used(slow, wheels, tmp_path):
    """What KILL leaves is no engine; nobody begins anew while its pip runs, and the next one clears it away."""
    until(lambda: left_over(tmp_path), "the environment")
    with pytest.raises(UsageError, match="under way"):
        install_engine(SMALL)
    slow.kill()
    slow.wait()
    assert (1, []) == (len(left_over(tmp_path)), installations())
    with pytest.raises(UsageError, match="under way"):
        install_engine(SMALL)
    with (tmp_path / "pipe").open("w"):
        pass  # lets its build go on
    for source in wheels.glob("*.tar.gz"):
        source.unlink()
    write_stand_ins(wheels, SMALL)

    def again():
        try:
            return install_engine(SMALL, tool="pip")
        except UsageError:
            return None

    assert [until(again, "the end of the killed one's pip").installation] == installations()


def test_a_server_keeps_its_environment(wheels, quick):
    """It can be neither removed nor made anew while a server runs from it."""
    write_stand_ins(wheels, SMALL)
    found = install_engine(SMALL, tool=quick).installation
    command = fake_command()
    with launch(replace(command, argv=(str(found.python), *command.argv[1:])), name="busy"):
        assert str(FAKE_ENGINE) == command.argv[1]
        for change in (lambda: remove_engine(SMALL), lambda: install_engine(SMALL, reinstall=True)):
            with pytest.raises(UsageError, match="busy runs from"):
                change()
    assert ([found], []) == (remove_engine(SMALL), installations())


def test_removing_where_nothing_is_makes_no_folder(tmp_path):
    """A setting that leads nowhere is looked at, not followed."""
    assert ([], False) == (remove_engine(SMALL), (tmp_path / "engines").exists())


def test_removing_takes_what_an_interruption_left(tmp_path):
    """Half an environment goes too, and what was not there is no error."""
    half = tmp_path / "engines" / "mlx-0.1"
    half.mkdir(parents=True)
    assert ([], False) == (remove_engine(SMALL), half.exists())


def test_a_setting_comes_before_an_own_environment_and_that_before_path(wheels, tmp_path, monkeypatch, quick):
    """The order in which an engine is looked for."""
    write_stand_ins(wheels, SMALL)
    program = tmp_path / "mlx_vlm.server"
    program.write_text("#!/bin/sh\necho 0.32.2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    row = known_programs()["mlx_vlm.server"]
    assert str(program) == look_up(row).path
    found = install_engine(SMALL, tool=quick).installation
    assert str(found.python.with_name("mlx_vlm.server")) == look_up(row).path == own_program(row)
    monkeypatch.setenv("SEATRIAL_MLX", str(program))
    assert str(program) == look_up(row).path


def test_an_environment_that_was_moved_is_not_used(wheels, tmp_path, quick):
    """Its programs name a Python where it used to lie."""
    write_stand_ins(wheels, SMALL)
    found = install_engine(SMALL, tool=quick).installation
    Path(found.path).rename(tmp_path / "engines" / "mlx-moved")
    assert (True, []) == ((tmp_path / "engines" / "mlx-moved" / NOTE).exists(), installations())


def test_what_cannot_run_here_is_refused_before_anything_is_downloaded(tmp_path):
    """No GPU, no gigabytes: both are said, and how to insist."""
    if detect_hardware().gpus:
        pytest.skip("this machine has a GPU")
    with pytest.raises(RefusedError, match="GPU vendor is none") as caught:
        install_engine("sglang")
    assert "--anyway" in caught.value.remedy
    assert [] == left_over(tmp_path)


def test_what_is_compiled_needs_a_compiler(monkeypatch, tmp_path):
    """Said before the source is downloaded."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RefusedError, match=r"none of c\+\+, g\+\+, clang\+\+ was found"):
        install_engine("llama-cpp-python")
    assert [] == left_over(tmp_path)


def test_the_disk_is_looked_at_first(monkeypatch, tmp_path, require):
    """What it needs and what is free stand in the error."""
    require("mount")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", small], check=True)
    try:
        monkeypatch.setenv("SEATRIAL_ENGINES", str(small))
        with pytest.raises(DoesNotFitError, match=r"mlx 0\.7\.10 needs 1\.5 GiB .* 64\.0 MiB are free"):
            install_engine(SMALL)
    finally:
        subprocess.run(["umount", small], check=True)


def test_an_unknown_engine_is_named():
    """With what there is."""
    with pytest.raises(UnknownNameError, match="llama-cpp-python"):
        install_engine("llama-cpp")


@pytest.mark.parametrize("name", MODULES)
def test_what_is_installed_is_described(name):
    """Pinned, with sizes, a source and a version that the kit accepts."""
    row = installs()[name]
    assert all("==" in requirement for requirement in row.requirements)
    assert row.download_bytes < needed_bytes(row)
    assert row.source
    minimum = {program.minimum for program in known_programs().values() if program.package == row.package}
    assert {row.version} == minimum


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk full"),
        ("error: Failed to extract archive: No space left on device (os error 28)", "disk full"),
        ("SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed')", "certificate"),
        ("ERROR: HTTP error 403 while getting x: 403 Client Error: Forbidden for url: y", "access refused"),
        ("WARNING: Retrying after connection broken by 'NewConnectionError(... Connection refused'))'", "no network"),
        ("  cause: dns error", "no network"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "wrong hash"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "compiler killed"),
        ("ERROR: No matching distribution found for sglang==0.5.23", "not for this machine"),
        ("error: No solution found when resolving dependencies:", "not for this machine"),
        ("ERROR: ResolutionImpossible: for help visit x", "packages exclude each other"),
        ("  ERROR: Failed building wheel for llama-cpp-python", "compilation failed"),
        ("ensurepip is not available.  On Debian/Ubuntu systems, you need to install", "venv missing"),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'", "not writable"),
        ("Successfully installed mlx-0.32.4", None),
    ],
)
def test_what_pip_and_uv_say_is_understood(line, cause):
    """Each failure has a name; what is none has none."""
    row, evidence = diagnose_installation(["Collecting numpy", line])
    assert (cause, True) == (row.cause if row else None, line.strip() in evidence)


@pytest.mark.parametrize(
    ("line", "stage", "text"),
    [
        ("Collecting numpy (from mlx-vlm)", "download", "1 package found, 0 B of about 1.0 MiB: numpy"),
        ("Building wheels for collected packages: llama-cpp-python, diskcache", "build", "compiling llama-cpp-python"),
        ("  Building wheel for llama-cpp-python (pyproject.toml): started", "build", "compiling llama-cpp-python"),
        ("Installing collected packages: numpy", "install", "unpacking packages"),
    ],
)
def test_what_is_done_is_said_by_its_name(tmp_path, line, stage, text):
    """A line of pip's becomes a step that names the package."""
    events = []
    steps = Steps("x", tmp_path / "log", tmp_path, 0, events.append, 1 << 20)
    steps.run(["printf", "%s\\n", line])
    assert [(stage, text)] == [(event.stage, event.text) for event in events]


def test_the_command_line_installs_and_removes(wheels, capsys):
    """One document on standard output, progress on the other, and a second call that says so."""
    row = write_stand_ins(wheels, SMALL)
    documents, said = [], []
    for words in (["install", SMALL, "--tool", "pip"], ["install", SMALL], ["remove", SMALL], ["remove", SMALL]):
        assert 0 == main(["engines", *words, "--json"])
        out, err = capsys.readouterr()
        documents.append(json.loads(out))
        said.append(err)
    first, second, gone, nothing = documents
    assert (row.version, False, True) == (first["version"], first["already"], second["already"])
    assert ([first["path"]], []) == ([each["path"] for each in gone], nothing)
    assert "1.5 GiB of disk" in said[0]
    assert 2 == main(["engines", "install", "nothing"])


def test_for_people_it_says_where_and_how_much(wheels, capsys):
    """A sentence each time, without any flag."""
    row = write_stand_ins(wheels, SMALL)
    said = []
    for words in (["install", SMALL], ["install", SMALL], ["remove", SMALL], ["remove", SMALL]):
        assert 0 == main(["engines", *words])
        said.append(" ".join(capsys.readouterr().out.split()))
    assert said[0].startswith(f"mlx-vlm {row.version} is installed in ")
    assert "is installed already" in said[1]
    assert said[2].startswith(f"mlx {row.version} is removed: ")
    assert "mlx was not installed by seatrial." == said[3]


def test_another_python_is_found_on_path(tmp_path, monkeypatch):
    """The one that runs the kit is taken where it will do, else the first on PATH that starts; without any it is said."""
    row = installs()[SMALL]
    assert sys.executable == find_python(row)
    other = replace(row, pythons=("9.8", "9.9"))
    with pytest.raises(RefusedError, match=r"lives in Python 9\.8, 9\.9, and this is"):
        find_python(other)
    for version, says in (("9.8", "not installed"), ("9.9", "9.9")):
        program = tmp_path / f"python{version}"
        program.write_text(f"#!/bin/sh\necho {says}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert str(tmp_path / "python9.9") == find_python(other)
