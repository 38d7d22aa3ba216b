"""The record of a GPU proof, and the page of docs that is made of it."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from gpu.report import WARNING, Proof, StepResult, page_not_run, page_of, write_proof
from gpu.run import STEPS

ROOT = Path(__file__).resolve().parents[2]

SERVED = StepResult(
    "serve-tiny",
    "it is served",
    "passed",
    12.5,
    figures={
        "model": "tiny-v4",
        "planned_bytes": 2 << 30,
        "held_bytes": 3 << 30,
        "telemetry": {"readings": 70, "most_utilization": 0.93, "most_power_w": 612.4},
        "points": [
            {
                "concurrency": 8,
                "predicted": {"tpot_s": 0.002},
                "measured": {"tpot_s": 0.003},
                "ratio": {"tpot_s": 1.5},
            }
        ],
    },
)


def proof(*steps, **fields):
    """Return a record."""
    made = {"at": "2026-11-30T10:00:00+00:00", "device": "NVIDIA H200", "driver": "580.1", "cuda": "13.0"}
    made |= {"host": "a processor", "seatrial": "0.1.0", "budget_s": 540.0, "seconds": 300.0, "rehearsal": False}
    return Proof(**(made | {"steps": list(steps)} | fields))


def page(*words):
    """Have the script write a page."""
    command = [sys.executable, ROOT / "tools" / "gpu_proof.py", "page", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_page_has_date_device_and_every_figure():
    """Prediction beside measurement with the ratio, and what NVML saw."""
    text = page_of(proof(SERVED))
    assert "Run on 2026-11-30T10:00:00+00:00 by seatrial 0.1.0 on NVIDIA H200; driver 580.1, CUDA 13.0" in text
    assert "| tiny-v4 | 8 | tpot\\_s | 0.002 | 0.003 | 1.50 |" in text
    assert "| tiny-v4 | 2.00 | 3.00 | 93% | 612 | 70 |" in text
    assert "| serve-tiny | passed | 12.5 | it is served |  |" in text
    assert "ehearsal of" not in text


def test_a_rehearsal_says_so_everywhere():
    """In the title, on top, at the device, in each row; a ratio to a processor's figures is not shown."""
    text = page_of(proof(SERVED, rehearsal=True))
    assert text.startswith(f"# Rehearsal of the proof on a GPU\n\n{WARNING}\n")
    assert "on NVIDIA H200 (played by a stand-in);" in text
    assert "| passed (rehearsal) |" in text
    assert "| Measured (rehearsal) |" in text
    assert "1.50" not in text


def test_text_from_outside_stays_text():
    """Log lines, names and errors cannot break the table or become markup."""
    step = StepResult("kill", "p", "failed", reason="a|b\n<img src=x> `c` **d** [e](f)")
    assert r"a\|b \<img src=x\> \`c\` \*\*d\*\* \[e\](f) |" in page_of(proof(step, device="G|PU\n# no"))
    assert "\n# no" not in page_of(proof(step, device="G|PU\n# no"))


def test_nothing_seen_is_shown_as_that():
    """No step, no device, no figure."""
    text = page_of(proof(device=None, driver=None, cuda=None, host=None))
    assert "on no GPU was found; driver unknown" in text
    assert "## Prediction" not in text
    assert proof().passed is False


def test_only_a_whole_proof_passed():
    """A skipped step is no pass."""
    assert proof(SERVED).passed
    assert not proof(SERVED, StepResult("kill", "p", "skipped")).passed


def test_a_record_becomes_the_page(tmp_path):
    """As `run` wrote it; the page beside it is the same."""
    write_proof(tmp_path, proof(SERVED))
    done = page(tmp_path / "gpu_proof.json", "--output", tmp_path / "new.md")
    assert (0, "") == (done.returncode, done.stderr)
    assert (tmp_path / "gpu-proof.md").read_text() == (tmp_path / "new.md").read_text()


def test_a_rehearsal_does_not_go_into_the_docs(tmp_path):
    """It would be taken for a proof."""
    before = (ROOT / "docs" / "gpu-proof.md").read_bytes()
    write_proof(tmp_path, proof(SERVED, rehearsal=True))
    done = page(tmp_path / "gpu_proof.json")
    assert 2 == done.returncode
    assert "is a rehearsal's: it is no proof" in done.stderr
    assert before == (ROOT / "docs" / "gpu-proof.md").read_bytes()
    assert 0 == page(tmp_path / "gpu_proof.json", "--output", tmp_path / "new.md").returncode


def damaged():
    """Yield records that make no sense."""
    whole = asdict(proof(SERVED))
    yield from ("", "{", "[]", "null", "\x00\xff", json.dumps({"at": "now"}), json.dumps(whole)[:-40])
    for name, value in (("steps", 3), ("rehearsal", "no"), ("seconds", "x"), ("seconds", None), ("device", [])):
        yield json.dumps(whole | {name: value})
    for figures in ({"points": 3}, {"points": [{}]}, {"held_bytes": "x"}, {"model": 1, "points": [{"ratio": 5}]}):
        yield json.dumps(whole | {"steps": [whole["steps"][0] | {"figures": figures}]})
    yield json.dumps(whole | {"steps": [whole["steps"][0] | {"status": "great"}]})


@pytest.mark.parametrize("text", list(damaged()))
def test_a_damaged_record_is_refused(tmp_path, text):
    """One message, exit code 2, and no page."""
    (tmp_path / "record.json").write_text(text)
    done = page(tmp_path / "record.json", "--output", tmp_path / "page.md")
    assert (2, "") == (done.returncode, done.stdout)
    assert "is no record of a GPU proof" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "page.md").exists()


def test_a_page_that_cannot_be_written_is_refused(tmp_path):
    """A folder that is not there, or a missing record."""
    assert "cannot be written" in page("--output", tmp_path / "no" / "page.md").stderr
    assert "is no record" in page(tmp_path / "missing.json", "--output", tmp_path / "page.md").stderr


def test_the_docs_page_is_what_the_script_writes():
    """Until it was run the page says that it was not, with the date; afterwards it is the page of a record."""
    text = (ROOT / "docs" / "gpu-proof.md").read_text()
    dated = re.search(r"\*\*Not yet run on a GPU\*\* \(as of (\d{4}-\d\d-\d\d)\)", text)
    if dated:
        assert page_not_run(dated[1], [(step.name, step.proves) for group in STEPS for step in group]) == text
    assert WARNING not in text
