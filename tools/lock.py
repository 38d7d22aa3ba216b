"""Resolve requirements.lock, the one list of exact versions, or check it against pyproject.toml.

python tools/lock.py           resolve the lock anew (needs uv; pins that still fit stay)
python tools/lock.py --check   exit 1 and name what pyproject.toml asks for and the lock does not give
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
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = "3.11"


def main() -> int:
    """Resolve or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the lock and pyproject.toml differ"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this one)")
    arguments = parser.parse_args()
    if not arguments.check:
        resolve(arguments.root)
    problems = list(lock_problems(arguments.root))
    for problem in problems:
        print(f"{problem}: run python tools/lock.py", file=sys.stderr)
    return 1 if problems else 0


def lock_problems(root: Path) -> Iterator[str]:
    """Yield a sentence for each requirement of pyproject.toml that the lock misses or contradicts."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock: dict[str, list[Requirement]] = {}
    for line in (root / "requirements.lock").read_text(encoding="utf-8").splitlines():
        pin = Requirement(line)
        lock.setdefault(canonicalize_name(pin.name), []).append(pin)
    for text in chain(project["dependencies"], *project["optional-dependencies"].values()):
        requirement = Requirement(text)
        if requirement.name == project["name"]:  # one extra that includes another
            continue
        pins = lock.get(canonicalize_name(requirement.name), [])
        if not pins:
            yield f"requirements.lock lacks {requirement.name}"
        for pin in pins:
            version = next(iter(pin.specifier)).version
            if not requirement.specifier.contains(version, prereleases=True):
                yield f"requirements.lock has {pin.name} {version}, pyproject.toml asks for {requirement}"


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


if __name__ == "__main__":
    sys.exit(main())
