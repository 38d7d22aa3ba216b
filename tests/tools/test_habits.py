"""The habits: one list of checks for hooks, make lint and CI; a changelog that knows the version."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from tests.conftest import PARTS

import seatrial

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def hooks():
    """Every pre-commit hook, by id."""
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {"local"} == {repository["repo"] for repository in repositories}
    return {hook["id"]: hook for repository in repositories for hook in repository["hooks"]}


def test_hooks_need_no_network(hooks):
    """Each runs a program of .venv."""
    assert {"system"} == {hook["language"] for hook in hooks.values()}
    assert {".venv/bin"} == {str(Path(hook["entry"].split()[0]).parent) for hook in hooks.values()}


def test_make_lint_runs_what_the_hooks_run(hooks):
    """Nothing is checked at a commit that CI does not check, and the other way round."""
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
    linted = {line.strip().removeprefix("@$(BIN)/").removesuffix(" lib tests tools") for line in recipe.splitlines()}
    assert {hook["entry"].removeprefix(".venv/bin/") for hook in hooks.values()} == linted


def test_ci_does_the_whole_way():
    """Executable, stops at the first failure, and runs lint, tests and one run."""
    script = ROOT / ".ci" / "run"
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert 0 == subprocess.run(["bash", "-n", script], check=False).returncode
    assert "set -euo pipefail" in text
    assert ["lint", "test", "test-engines", "run"] == re.findall(r"^make ([\w-]+)$", text, re.MULTILINE)


def test_ci_lets_no_missing_part_pass():
    """Parts that tests may skip for are required there or by its targets, but for those nobody can simply install."""
    text = (ROOT / ".ci" / "run").read_text() + (ROOT / "Makefile").read_text()
    required = {part for names in re.findall(r'SEATRIAL_REQUIRE="(.+?)"', text) for part in names.split(",")}
    assert {"llama-server", "llama_cpp.server", "memory cgroup", "mount", "disk", "sglang server"} == set(
        PARTS
    ) - required
    assert required <= set(PARTS)


def test_docstrings_are_instructions_everywhere():
    """D401 is on, which the google convention would switch off, and no path is excepted from it."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    ignored = [*lint["ignore"], *(rule for rules in lint["per-file-ignores"].values() for rule in rules)]
    assert "D401" in lint["extend-select"]
    assert [] == [rule for rule in ignored if "D401".startswith(rule)]


GROUP = """
import os
from pathlib import Path
import pytest

@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(8))
def test_member(number):
    Path(f"{number}.worker").write_text(os.environ["PYTEST_XDIST_WORKER"])
"""


def test_tests_of_a_group_share_a_worker(tmp_path):
    """As make test runs them, with the locked pytest and pytest-xdist: what a group starts is there once."""
    (tmp_path / "test_group.py").write_text(GROUP)
    options = re.search(r"-m pytest (-n .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    command = [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout
    workers = [path.read_text() for path in tmp_path.glob("*.worker")]
    assert (8, 1) == (len(workers), len(set(workers)))


def test_the_changelog_knows_the_version():
    """The version of the package has an entry."""
    assert f"## [{seatrial.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
