"""The corpus of failures: each names its cause, phase and lines; what is healthy or unknown names none."""

import tomllib
from pathlib import Path

import pytest

from seatrial.server.diagnosis import diagnose
from seatrial.server.state import Exit

CORPUS = Path(__file__).with_name("failures")


def cases(*names):
    """Every case of some files, by default of all that hold failures."""
    files = [CORPUS / f"{name}.toml" for name in names] or sorted(CORPUS.glob("*.toml"))
    rows = [row for file in files for row in tomllib.loads(file.read_text(encoding="utf-8"))["cases"]]
    return [pytest.param(row, id=row["name"]) for row in rows]


def diagnosis(case):
    """What the kit says of a case."""
    number = case.get("signal")
    code = None if number else case.get("code", 1)
    ended = Exit("exited", code, number, error="", oom_kills=case.get("oom_kills", {}), at="")
    return diagnose(ended, case["log"].strip("\n").split("\n"), case["engine"])


@pytest.mark.parametrize("case", cases())
def test_a_case_is_read_as_a_person_would(case):
    """Cause, phase where the log tells it, and the lines that show it."""
    found = diagnosis(case)
    assert case["cause"] == found.cause, found
    assert case.get("phase", found.phase) == found.phase
    assert [] == [text for text in case.get("evidence", []) if not any(text in line for line in found.evidence)]
    assert found.remedy
