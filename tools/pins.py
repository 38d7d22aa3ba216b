"""Writes environment.yml and binder/ from pyproject.toml and requirements.lock, the one source of pins.

python tools/pins.py           write them
python tools/pins.py --check   exit 1 and name the differences
python tools/pins.py --lock    resolve requirements.lock anew first (needs uv; keeps pins that still fit)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = "3.11"
GENERATED = """\
# Written by tools/pins.py from pyproject.toml and requirements.lock: change those, then run it.
"""
FULL = """\
# The full kit: notebooks, llama.cpp and, on Linux, SGLang with its CUDA 13 build of torch (many GB).
# Without an NVIDIA GPU take `make run` or binder/environment.yml instead: they are small.
"""
BINDER = """\
# Small and for CPUs: what Binder builds. The package itself and the stand-in model come in postBuild.
"""
POST_BUILD = """\
#!/bin/bash
# Written by tools/pins.py. Runs once, when the image is built.
set -euo pipefail
python -m pip install --no-deps --editable .
seatrial fetch smollm2
"""


@dataclass(frozen=True)
class Pins:
    """pyproject.toml and requirements.lock, read together."""

    project: dict[str, Any]
    lock: dict[str, list[Requirement]]

    @classmethod
    def read(cls, root: Path) -> Pins:
        """The pins of the repository in ``root``."""
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        lock: dict[str, list[Requirement]] = {}
        for line in (root / "requirements.lock").read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                requirement = Requirement(line)
                lock.setdefault(canonicalize_name(requirement.name), []).append(requirement)
        return cls(project, lock)

    @property
    def environments(self) -> dict[str, Any]:
        """The table that says what the conda environments hold."""
        table: dict[str, Any] = self.project["tool"]["seatrial"]["environments"]
        return table

    def direct(self, extras: list[str]) -> list[str]:
        """Names the package and these extras ask for, sorted."""
        found = {canonicalize_name(r.name) for r in self.asked(extras)}
        return sorted(found)

    def asked(self, extras: list[str]) -> Iterator[Requirement]:
        """Requirements of the package and of these extras, those of extras within extras too."""
        optional = self.project["project"]["optional-dependencies"]
        for text in self.project["project"]["dependencies"]:
            yield Requirement(text)
        waiting = list(extras)
        while waiting:
            for requirement in map(Requirement, optional[waiting.pop()]):
                if requirement.name == self.project["project"]["name"]:
                    waiting += requirement.extras
                else:
                    yield requirement

    def version(self, name: str, python: str) -> str:
        """The locked version of ``name`` under Python ``python`` on Linux."""
        environment: dict[str, str | AbstractSet[str]] = {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{python}.99",
            "python_version": python,
            "sys_platform": "linux",
        }
        for requirement in self.lock.get(canonicalize_name(name), []):
            if requirement.marker is None or requirement.marker.evaluate(environment):
                return next(iter(requirement.specifier)).version
        raise SystemExit(f"requirements.lock has no {name} for Python {python}: run python tools/pins.py --lock")


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 where files disagree")
    parser.add_argument("--lock", action="store_true", help="resolve requirements.lock anew first")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this one)")
    arguments = parser.parse_args()
    if arguments.lock:
        resolve(arguments.root)
    pins = Pins.read(arguments.root)
    problems = lock_problems(pins)
    for name, text in generated(pins).items():
        path = arguments.root / name
        if not arguments.check:
            write(path, text)
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            problems.append(f"{name} is not what pyproject.toml and requirements.lock say")
        elif text.startswith("#!") and not os.access(path, os.X_OK):
            problems.append(f"{name} is not executable")
    for problem in problems:
        print(f"{problem}: run python tools/pins.py", file=sys.stderr)
    return 1 if problems else 0


def generated(pins: Pins) -> dict[str, str]:
    """Every file this tool writes, by its path in the repository."""
    return {
        "environment.yml": full_environment(pins),
        "binder/environment.yml": binder_environment(pins),
        "binder/postBuild": POST_BUILD,
    }


def full_environment(pins: Pins) -> str:
    """environment.yml: conda's packages at the lock's major.minor, pip's at its exact versions."""
    table = pins.environments
    conda = [f"{name}={_minor(pins.version(name, table['python']))}" for name in table["full-conda"]]
    names = {*pins.direct(table["full"]), *table["full-also"]} - set(table["full-conda"])
    pip = [f"{name}=={pins.version(name, table['python'])}" for name in sorted(names)]
    return _environment(
        GENERATED + FULL,
        "seatrial",
        [f"python={table['python']}", "pip", *conda, *table["full-conda-only"]],
        [*pip, *table["full-pip-only"], "--editable ."],
    )


def binder_environment(pins: Pins) -> str:
    """binder/environment.yml: Python from conda, the rest exact from pip."""
    table = pins.environments
    pip = [f"{name}=={pins.version(name, table['python'])}" for name in pins.direct(table["binder"])]
    return _environment(GENERATED + BINDER, "seatrial-binder", [f"python={table['python']}", "pip"], pip)


def lock_problems(pins: Pins) -> list[str]:
    """What pyproject.toml asks for and requirements.lock does not give."""
    problems = []
    for requirement in pins.asked(list(pins.project["project"]["optional-dependencies"])):
        locked = pins.lock.get(canonicalize_name(requirement.name), [])
        if not locked:
            problems.append(f"requirements.lock lacks {requirement.name}")
        for pin in locked:
            version = next(iter(pin.specifier)).version
            if not requirement.specifier.contains(version, prereleases=True):
                problems.append(f"requirements.lock has {pin.name} {version}, pyproject.toml asks for {requirement}")
    return problems


def resolve(root: Path) -> None:
    """Resolve requirements.lock for every supported Python on Linux and macOS, build packages included."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise SystemExit("uv resolves the lock and is missing: python -m pip install uv")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder) / "build.in"
        # hatchling asks for editables when it builds an editable install.
        build.write_text("\n".join([*project["build-system"]["requires"], "editables"]), encoding="utf-8")
        options = ["--universal", f"--python-version={OLDEST_PYTHON}", "--all-extras", "--no-annotate", "--no-header"]
        command = [uv, "pip", "compile", "--quiet", *options, "--output-file=requirements.lock", "pyproject.toml"]
        subprocess.run([*command, str(build)], cwd=root, check=True, stdout=subprocess.DEVNULL)


def write(path: Path, text: str) -> None:
    """Write a generated file; scripts become executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if text.startswith("#!"):
        path.chmod(0o755)


def _environment(head: str, name: str, conda: list[str], pip: list[str]) -> str:
    lines = [f"name: {name}", "channels:", "  - conda-forge", "  - nodefaults", "dependencies:"]
    lines += [f"  - {entry}" for entry in conda]
    lines += ["  - pip:", *(f"      - {entry}" for entry in pip)]
    return head + "\n".join(lines) + "\n"


def _minor(version: str) -> str:
    """``4.6`` of ``4.6.6``: conda-forge may be a patch release behind."""
    return ".".join(version.split(".")[:2])


if __name__ == "__main__":
    sys.exit(main())
