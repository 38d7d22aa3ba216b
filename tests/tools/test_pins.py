"""One source of pins: pyproject.toml and requirements.lock; every other list is written from them."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ("environment.yml", "binder/environment.yml", "binder/postBuild")
PYTHONS = ("3.11.0", "3.11.9", "3.12.0", "3.13.0")


def run_pins(root, *options):
    """The tool on a copy of the files it reads and writes."""
    command = [sys.executable, ROOT / "tools" / "pins.py", "--root", root, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def environment(name):
    """A conda environment: its conda entries and its pip entries."""
    entries = yaml.safe_load((ROOT / name).read_text())["dependencies"]
    return [entry for entry in entries if isinstance(entry, str)], entries[-1]["pip"]


@pytest.fixture
def copy(tmp_path):
    """The pin files alone, in a folder that may be changed."""
    (tmp_path / "binder").mkdir()
    for name in ("pyproject.toml", "requirements.lock", *WRITTEN):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="session")
def locked():
    """Every line of the lock."""
    return [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines() if line]


def test_everything_written_is_up_to_date():
    """pyproject.toml, the lock, environment.yml and binder/ agree."""
    done = run_pins(ROOT, "--check")
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_change_by_hand_is_noticed(copy, name):
    """A line added to a written file fails the check, which names the file; writing repairs it."""
    with (copy / name).open("a") as stream:
        stream.write("# by hand\n")
    done = run_pins(copy, "--check")
    assert 1 == done.returncode
    assert name in done.stderr
    assert 0 == run_pins(copy).returncode
    assert 0 == run_pins(copy, "--check").returncode


def test_a_new_version_in_the_lock_is_noticed(copy):
    """Every environment that holds the package is named."""
    lock = copy / "requirements.lock"
    others = [line for line in lock.read_text().splitlines() if not line.startswith("plotly==")]
    lock.write_text("\n".join([*others, "plotly==6.9.9", ""]))
    done = run_pins(copy, "--check")
    assert 1 == done.returncode
    assert "environment.yml is not" in done.stderr
    assert "binder/environment.yml is not" in done.stderr


def test_a_dependency_without_a_pin_is_noticed(copy):
    """A package added to pyproject.toml only."""
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace('"psutil>=6"', '"psutil>=6",\n  "leftpad>=1"'))
    done = run_pins(copy, "--check")
    assert 1 == done.returncode


def test_a_pin_outside_its_range_is_noticed(copy):
    """The lock may not contradict pyproject.toml."""
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace('"rich>=13.9"', '"rich>=99"'))
    done = run_pins(copy, "--check")
    assert 1 == done.returncode
    assert "asks for rich>=99" in done.stderr


def test_the_full_kit_holds_what_it_promises():
    """Names, exact Python, and SGLang on Linux only."""
    conda, pip = environment("environment.yml")
    names = {entry.partition("=")[0].partition(">")[0] for entry in conda}
    promised = {
        "jupyterlab",
        "ipywidgets",
        "plotly",
        "anywidget",
        "papermill",
        "nbval",
        "llama-cpp-python",
        "nvidia-ml-py",
    }
    assert promised <= names
    assert "python=3.12" in conda
    sglang = next(Requirement(entry) for entry in pip if entry.startswith("sglang"))
    assert {"linux": True, "darwin": False} == {
        system: Marker(str(sglang.marker)).evaluate({"sys_platform": system}) for system in ("linux", "darwin")
    }


def test_binder_is_small_and_exact():
    """Nothing from CUDA, no engine beside llama.cpp, every package at one version, exact Python."""
    conda, pip = environment("binder/environment.yml")
    assert ["python=3.12", "pip"] == conda
    assert [] == [entry for entry in pip if "==" not in entry]
    assert set() == {Requirement(entry).name for entry in pip} & {"sglang", "torch", "vllm", "jupyterlab"}


def test_the_lock_names_no_index():
    """Pins only: where packages come from is the person's own setting."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [] == [line for line in lines if line.startswith("-") or "://" in line]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_the_lock_has_one_version_of_each_package_everywhere(locked, python, system):
    """Markers never let two pins of one name apply at once."""
    where = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": system,
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    names = [canonicalize_name(pin.name) for pin in locked if pin.marker is None or pin.marker.evaluate(where)]
    assert sorted(set(names)) == sorted(names)


def test_what_is_installed_is_what_is_locked(locked):
    """The environment these tests run in holds the lock's versions."""
    pins = {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version
        for pin in locked
        if pin.marker is None or pin.marker.evaluate()
    }
    here = {canonicalize_name(found.name): found.version for found in distributions()}
    both = pins.keys() & here.keys()
    assert {name: pins[name] for name in both} == {name: here[name] for name in both}
    assert {"plotly", "papermill", "rich"} <= both


@pytest.mark.parametrize("name", ["environment.yml", "binder/environment.yml"])
def test_the_pip_sections_resolve(require, tmp_path, name):
    """Pip finds every package at its version, and versions of what they need that agree (SGLang included)."""
    require("index")
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("\n".join(entry for entry in environment(name)[1] if not entry.startswith("-")))
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    options = ["--only-binary=:all:", f"--report={report}", f"--requirement={wanted}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    found = {canonicalize_name(row["metadata"]["name"]) for row in json.loads(report.read_text())["install"]}
    assert {Requirement(line).name for line in wanted.read_text().splitlines() if ";" not in line} <= found


def test_repo2docker_picks_up_binder(require):
    """Without Docker: the plan it prints uses binder/'s environment and postBuild, with Python 3.12."""
    require("repo2docker")
    command = [Path(sys.executable).parent / "jupyter-repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert 0 == done.returncode
    assert "Building conda environment for python=3.12" in said
    assert "binder/environment.yml" in said
    assert "./binder/postBuild" in said
    assert os.access(ROOT / "binder" / "postBuild", os.X_OK)
