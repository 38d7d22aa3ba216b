"""requirements.lock is the one list of exact versions; the conda and Binder environments install from it."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ("pyproject.toml", "requirements.lock", "README.md", "LICENSE", "environment.yml", "binder", "lib")
PYTHONS = ("3.11.0", "3.11.9", "3.12.0", "3.13.0")


def check(root):
    """Run the tool's check on the files in ``root``."""
    command = [sys.executable, ROOT / "tools" / "lock.py", "--root", root, "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def environment(name):
    """Return the conda entries and the pip entries of an environment file."""
    entries = yaml.safe_load((ROOT / name).read_text())["dependencies"]
    return [entry for entry in entries if isinstance(entry, str)], entries[-1]["pip"]


def needed(package, extras, seen):
    """Add to ``seen`` the names of all installed packages that a package with these extras needs."""
    for requirement in map(Requirement, distribution(package).requires or ()):
        marker, name = requirement.marker, canonicalize_name(requirement.name)
        wanted = marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))
        if wanted and (name, *sorted(requirement.extras)) not in seen:
            seen.add((name, *sorted(requirement.extras)))
            needed(name, requirement.extras, seen)
    return {name for name, *_ in seen}


@pytest.fixture
def copy(tmp_path):
    """Copy the files that the tool reads into a folder that may be changed."""
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="session")
def locked():
    """Return every line of the lock."""
    return [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines() if line]


@pytest.fixture(scope="session")
def versions(locked):
    """Return the locked version of each package that this Python installs."""
    pins = [pin for pin in locked if pin.marker is None or pin.marker.evaluate()]
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}


def test_the_lock_gives_what_the_project_asks_for():
    """Every requirement of pyproject.toml has a pin within its range."""
    done = check(ROOT)
    assert (0, "") == (done.returncode, done.stderr)


def test_a_dependency_without_a_pin_is_noticed(copy):
    """The check names a package that was added to pyproject.toml only."""
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace('"psutil>=6"', '"psutil>=6",\n  "leftpad>=1"'))
    done = check(copy)
    assert 1 == done.returncode
    assert "lacks leftpad" in done.stderr


def test_a_pin_outside_its_range_is_noticed(copy):
    """The lock may not contradict pyproject.toml."""
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace('"rich>=13.9"', '"rich>=99"'))
    done = check(copy)
    assert 1 == done.returncode
    assert "asks for rich>=99" in done.stderr


def test_the_full_kit_installs_what_it_promises():
    """The full environment has these names, an exact Python, the lock, and SGLang on Linux only."""
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
    assert ["-r requirements.lock", "-e ."] == [entry for entry in pip if entry.startswith("-")]
    sglang = next(Requirement(entry) for entry in pip if entry.startswith("sglang"))
    assert "==0.5.23" == str(sglang.specifier)
    assert {"linux": True, "darwin": False} == {
        system: Marker(str(sglang.marker)).evaluate({"sys_platform": system}) for system in ("linux", "darwin")
    }


def test_conda_and_the_lock_agree(versions):
    """Conda installs the lock's minor release: conda-forge may be a patch release behind."""
    conda = dict(entry.split("=") for entry in environment("environment.yml")[0] if "=" in entry and ">" not in entry)
    del conda["python"]
    assert {name: ".".join(versions[name].split(".")[:2]) for name in conda} == conda


def test_binder_is_small_and_exact(versions):
    """Binder takes only what the notebooks run with, an exact Python, and the lock's version of every package."""
    conda, pip = environment("binder/environment.yml")
    assert ["python=3.12", "pip"] == conda
    assert ["-c ../requirements.lock", "-e ..[run]"] == pip
    installed = needed("seatrial", {"run"}, set()) - {"seatrial"}
    assert {"papermill", "plotly", "xllamacpp", "tornado"} <= installed
    assert set() == installed - versions.keys()
    assert set() == installed & {"sglang", "torch", "vllm", "jupyterlab"}


def test_the_lock_names_no_index():
    """The lock holds pins only: where packages come from is the person's own setting."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [] == [line for line in lines if line.startswith("-") or "://" in line]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_the_lock_has_one_version_of_each_package_everywhere(locked, python, system):
    """Markers never let two pins of one name apply at once."""
    target = {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": system,
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    names = [canonicalize_name(pin.name) for pin in locked if pin.marker is None or pin.marker.evaluate(target)]
    assert sorted(set(names)) == sorted(names)


def test_what_is_installed_is_what_is_locked(versions):
    """The environment these tests run in has the lock's versions."""
    installed = {canonicalize_name(found.name): found.version for found in distributions()}
    both = versions.keys() & installed.keys()
    assert {name: versions[name] for name in both} == {name: installed[name] for name in both}
    assert {"plotly", "papermill", "rich"} <= both


@pytest.mark.parametrize(
    ("name", "some"),
    [("environment.yml", {"sglang", "seatrial", "nbval"}), ("binder/environment.yml", {"seatrial", "papermill"})],
)
def test_the_pip_sections_resolve(require, tmp_path, name, some):
    """Pip finds versions of everything that agree, from a file beside the environment's, as conda calls it."""
    require("index")
    for part in PACKAGE:
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, tmp_path / part)
    folder = (tmp_path / name).parent
    wanted = folder / "condaenv.requirements.txt"
    wanted.write_text("\n".join(environment(name)[1]))
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    options = ["--only-binary=:all:", f"--report={report}", f"--requirement={wanted}"]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    found = {canonicalize_name(row["metadata"]["name"]) for row in json.loads(report.read_text())["install"]}
    assert some <= found


def test_repo2docker_picks_up_binder(require):
    """Without Docker: the plan it prints uses binder/'s environment and postBuild, with Python 3.12."""
    require("repo2docker")
    command = [Path(sys.executable).parent / "jupyter-repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert 0 == done.returncode
    assert "Building conda environment for python=3.12" in printed
    assert "binder/environment.yml" in printed
    assert "./binder/postBuild" in printed
    assert printed.index(" src/ ${REPO_DIR}/") < printed.index('--file "binder/environment.yml"')
    assert os.access(ROOT / "binder" / "postBuild", os.X_OK)
