"""``seatrial engines``: path, version and known vulnerabilities of every program; a broken one delays no other."""

import json
import sys
import time
from pathlib import Path

import pytest

from seatrial.catalog.engine_facts import engine_facts, engine_ids
from seatrial.cli.main import main
from seatrial.programs.find import known_programs
from seatrial.programs.inventory import PROBE_S, environment_of, list_engines


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    """No setting of the person who runs the tests, and no program of theirs on PATH."""
    for row in known_programs().values():
        if row.setting:
            monkeypatch.delenv(row.setting, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def listed(capsys):
    """Return the rows of ``seatrial engines --json``, by the way each program starts."""
    assert 0 == main(["engines", "--json"])
    return {row["starts"]: row for row in json.loads(capsys.readouterr().out)}


def test_every_program_of_every_engine_is_listed(capsys):
    """One row each, with the oldest version taken and how to get it."""
    rows = listed(capsys)
    wanted = {row.starts for name in engine_ids() for row in engine_facts(name).programs}
    assert wanted == set(rows)
    assert [] == [row["program"] for row in rows.values() if row["state"] != "ready" and not row["remedy"]]
    assert "0.5.23" == rows["sglang.launch_server"]["minimum"]
    assert "0.5.12" == rows["sglang.launch_server"]["minimum_v4"]
    assert "0.7.10" == rows["mlx_vlm.server"]["minimum_v4"]


def test_what_is_here_says_where_and_which_version(capsys, require):
    """The embedded llama.cpp of this environment."""
    require("xllamacpp")
    row = listed(capsys)["seatrial.xllamacpp_server"]
    assert ("ready", sys.executable, True) == (row["state"], row["path"], row["runs_v4"])
    assert row["version"]


def test_an_old_engine_names_its_holes(capsys, monkeypatch, program):
    """The CVE ids of the version that is installed, and that it is too old for V4."""
    monkeypatch.setenv("SEATRIAL_SGLANG_PYTHON", program("python", "printf '\\n0.5.9\\n'"))
    row = listed(capsys)["sglang.launch_server"]
    assert ("too old", "0.5.9", False) == (row["state"], row["version"], row["runs_v4"])
    assert {"CVE-2026-3059", "CVE-2026-3060", "CVE-2026-3989", "CVE-2026-7304"} == {
        name for hole in row["holes"] for name in hole["ids"]
    }


def test_a_newer_engine_keeps_the_holes_nobody_closed(capsys, monkeypatch, program):
    """A vulnerability of every version is listed for every version."""
    monkeypatch.setenv("SEATRIAL_SGLANG_PYTHON", program("python", "printf '\\n0.5.30\\n'"))
    row = listed(capsys)["sglang.launch_server"]
    assert ("ready", ["CVE-2026-7304"]) == (row["state"], row["holes"][0]["ids"])


def test_a_build_without_a_number_is_taken_and_said_to_be_unknown(capsys, monkeypatch, program):
    """llama.cpp built from a folder prints version 0 or 1."""
    monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", program("llama-server", "echo 'version: 1 (abc)'"))
    row = listed(capsys)["llama-server"]
    assert ("ready", "1", None, []) == (row["state"], row["version"], row["runs_v4"], row["holes"])


@pytest.mark.parametrize(
    ("setting", "starts"), [("SEATRIAL_VLLM", "vllm"), ("SEATRIAL_SGLANG_PYTHON", "sglang.launch_server")]
)
def test_a_wrong_setting_is_told_not_fatal(capsys, monkeypatch, setting, starts):
    """The row is broken and names the setting; all others are there."""
    monkeypatch.setenv(setting, "/nowhere/engine")
    rows = listed(capsys)
    assert "broken" == rows[starts]["state"]
    assert setting in rows[starts]["why"]
    assert len(known_programs()) == len(rows)


def test_one_that_hangs_is_given_up_and_leaves_nothing(monkeypatch, program, tmp_path):
    """Its children are ended with it."""
    monkeypatch.setattr("seatrial.programs.inventory.PROBE_S", 0.5)
    mark = tmp_path / "pid"
    monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", program("llama-server", f"sleep 600 & echo $! > {mark}; wait"))
    rows = {row.starts: row for row in list_engines()}
    assert "broken" == rows["llama-server"].state
    assert "said nothing within 0.5 s" in rows["llama-server"].why
    child = Path("/proc") / mark.read_text().strip() / "stat"
    deadline = time.monotonic() + PROBE_S
    while child.exists() and ") Z" not in child.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not child.exists() or ") Z" in child.read_text()


def test_a_script_of_pip_is_not_run_to_learn_its_version(capsys, monkeypatch, program, tmp_path):
    """Importing vLLM takes seconds: its python knows the version without."""
    python = program("python", "printf '\\n0.33.0\\n'")
    script = tmp_path / "vllm"
    script.write_text(f"#!{python}\nraise SystemExit('imported')\n")
    script.chmod(0o755)
    monkeypatch.setenv("SEATRIAL_VLLM", str(script))
    row = listed(capsys)["vllm"]
    assert ("ready", str(script), "0.33.0") == (row["state"], row["path"], row["version"])


def test_an_environment_is_named():
    """The virtual environment of this Python is used, if there is one."""
    prefix = Path(sys.executable).parent.parent
    assert (str(prefix) if (prefix / "pyvenv.cfg").exists() or (prefix / "conda-meta").exists() else None) == (
        environment_of(sys.executable)
    )


def test_people_read_a_table(capsys):
    """How many are ready is the title."""
    assert 0 == main(["engines"])
    printed = capsys.readouterr().out
    assert "ready on this machine, of" in printed
    assert "llama-cpp-python" in printed
