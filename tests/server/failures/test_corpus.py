"""The corpus of failures: each names its cause, phase and lines; what is healthy or unknown names none."""

import re
import tomllib
from pathlib import Path

import pytest

from seatrial.catalog.engine_facts import engine_ids
from seatrial.server.failures.diagnosis import diagnose
from seatrial.server.failures.reading import READ, LogEnd
from seatrial.server.failures.table import known_failures
from seatrial.server.state import Exit

FAILURES = Path(__file__).with_name("cases")
HEALTHY = Path(__file__).with_name("healthy")


def cases(name="*", folder=FAILURES, *, but=""):
    """Every case of a file, by default of all that hold failures; those of one file left out."""
    files = sorted(file for file in folder.glob(f"{name}.toml") if file.stem != but)
    rows = [row for file in files for row in tomllib.loads(file.read_text(encoding="utf-8"))["cases"]]
    return [pytest.param(row, id=row["name"]) for row in rows]


def diagnosis(case):
    """Diagnose a case."""
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


@pytest.mark.parametrize("case", cases("scary", folder=HEALTHY))
@pytest.mark.parametrize(("number", "cause"), [(None, "unknown"), (15, "terminated")])
def test_words_of_a_failure_are_none(case, number, cause):
    """A healthy log names no cause, however the engine ends then."""
    found = diagnosis({**case, "signal": number})
    assert cause == found.cause, found


SHUT_DOWN = """
[rank0]:[W1010 02:14:19.260121 ProcessGroupNCCL.cpp:1496] Warning: WARNING: destroy_process_group() was not called
/usr/lib/python3.12/multiprocessing/resource_tracker.py:279: UserWarning: resource_tracker: There appear to be 1 leaked
Traceback (most recent call last):
  File "/usr/lib/python3.12/multiprocessing/resource_tracker.py", line 239, in main
KeyError: '/psm_a1b2'
FileNotFoundError: [Errno 2] No such file or directory: '/psm_a1b2'
EOFError
BrokenPipeError: [Errno 32] Broken pipe"""


@pytest.mark.parametrize("case", cases(but="ends"))
def test_neither_what_came_before_nor_the_end_of_its_helpers_hides_the_cause(case):
    """Each healthy log of the engine before it, and the noise of processes that end after it."""
    healthy = [param.values[0] for param in cases("scary", folder=HEALTHY)]
    logs = [
        f"{other['log']}{case['log'].lstrip()}{SHUT_DOWN}" for other in healthy if other["engine"] == case["engine"]
    ]
    assert {case["cause"]} == {diagnosis({**case, "log": log}).cause for log in logs}


@pytest.mark.parametrize("case", cases("unknown", folder=HEALTHY))
def test_an_unknown_failure_says_so_and_shows_its_lines(case):
    """The last line of the first traceback, not the noise of the end."""
    found = diagnosis(case)
    assert "unknown" == found.cause, found
    assert [] == [text for text in case["evidence"] if not any(text in line for line in found.evidence)]


def test_every_row_has_a_case():
    """No pattern that no line of the corpus was decided by."""
    tried = {
        row.pattern
        for case in (param.values[0] for param in cases())
        for log in [LogEnd(case["log"].split("\n"), case["engine"])]
        for line in log.lines
        for row in known_failures(case["engine"])
        if row.pattern and re.search(row.pattern, line.message)
    }
    rows = {row.pattern for engine in engine_ids() for row in known_failures(engine) if row.pattern}
    assert set() == rows - tried


FLOODS = {
    "one line": ["CUDA error " * 50_000],
    "prefixes": ["INFO " * 400] * 4000,
    "colours": ["\x1b[1m" * 500] * 4000,
    "words of failures": [f"{at} fp4 AssertionError: 1 is not supported " * 40 for at in range(4000)],
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_hides_neither_its_front_nor_its_end(flood):
    """What is said first and last is read, and of each line the beginning."""
    told = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    ended = Exit("exited", 1, None, error="", oom_kills={}, at="")
    for lines in ([told, *flood[1:]], [*flood[1:], told + " x" * 10_000]):
        assert "gpu out of memory" == diagnose(ended, lines, "vllm").cause


def test_what_is_read_of_a_flood_is_bounded():
    """Different messages are compared with the patterns up to a number of characters; said again they cost nothing."""
    log = LogEnd([f"error number {at} " + "not found " * 50 for at in range(4000)], "sglang")
    assert READ >= sum(len(log.lines[at].message) for at in log.candidates) > READ // 2
    assert 4000 == len(LogEnd(["error: unknown thing"] * 4000, "sglang").candidates)
