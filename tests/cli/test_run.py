"""``seatrial run`` as a person types it: real notebooks, one folder, one record, one report."""

import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from tests.conftest import ROOT
from tests.simulator import running_simulator

from seatrial.server import list_servers

NOTEBOOKS = ROOT / "notebooks"
START = NOTEBOOKS / "00_start_here.ipynb"
HARDWARE = NOTEBOOKS / "01_detect_hardware.ipynb"

pytestmark = pytest.mark.notebook


@pytest.fixture
def seatrial(tmp_path):
    """Return a function that runs ``seatrial run ...`` in an empty folder."""

    def run(*words):
        command = [sys.executable, "-m", "seatrial", "run", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)

    return run


def test_leaves_notebooks_a_record_and_a_report(seatrial, tmp_path):
    """The terminal ends with a table and the report's path; progress goes to standard error."""
    done = seatrial(START, HARDWARE, "-p", "hardware", "h200x4", "--output", "out")
    assert 0 == done.returncode, done.stderr
    assert "2 of 2 notebooks completed, in out" in done.stdout
    assert "Report: out/report.html" in done.stdout
    assert "2/2  01 · Detect hardware: completed" in done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    beside = ["report-levels.csv", "report-levels.json", "report.html"]  # nothing was measured, so there is no card
    assert ["00_start_here.ipynb", "01_detect_hardware.ipynb", "record.json", *beside] == names
    record = json.loads((tmp_path / "out" / "record.json").read_text(encoding="utf-8"))
    times = {"started_at", "finished_at"}
    assert {"format", "format_version", "id", *times, "seatrial_version", "versions", "notebooks", "results"} == set(
        record
    )
    assert {"notebook", "status", "duration_s", "parameters", "error"} <= set(record["notebooks"][0])
    assert "h200x4" == record["results"]["hardware"]["name"]


def test_a_report_that_no_run_made_is_kept(seatrial, tmp_path):
    """Somebody's own report.html is refused before anything runs."""
    (tmp_path / "report.html").write_text("mine")
    done = seatrial(HARDWARE, "--output", ".")
    assert (2, "mine") == (done.returncode, (tmp_path / "report.html").read_text())
    assert "it is not a report of seatrial" in done.stderr


def test_json_is_one_document_on_stdout(seatrial):
    """--json prints the record with its folder and the report's path, and nothing else."""
    done = seatrial(HARDWARE, "--output", "out", "--json")
    document = json.loads(done.stdout)
    assert "out/report.html" == document["report"]
    assert ("out", ["completed"]) == (
        document["runs"][0]["folder"],
        [one["status"] for one in document["runs"][0]["notebooks"]],
    )


def test_a_second_run_keeps_what_is_done(seatrial):
    """The same folder again: nothing runs twice, and the output shows that."""
    seatrial(HARDWARE, "--output", "out")
    again = seatrial(HARDWARE, "--output", "out")
    assert 0 == again.returncode
    assert "kept from an earlier run" in again.stderr
    assert "kept" in again.stdout


def test_a_grid_is_several_runs_with_one_report(seatrial, tmp_path):
    """Each value has a folder of its own, and one report compares them."""
    done = seatrial(HARDWARE, "--grid", "hardware=h200x4,rtx4090x2", "--output", "out")
    assert 0 == done.returncode, done.stderr
    assert [
        "hardware-h200x4",
        "hardware-rtx4090x2",
        "report-levels.csv",
        "report-levels.json",
        "report.html",
    ] == sorted(path.name for path in (tmp_path / "out").iterdir())
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "h200x4" in text
    assert "rtx4090x2" in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((START, "-p", "hardwear", "x"), 2, "Nearest: hardware"),
        ((START, "-p", "context_tokens", "many"), 2, "takes a whole number"),
        ((START, "-p", "x;import os", "1"), 2, "not a parameter name"),
        ((START, "-p", "hardware", "hf_abcdefghijklmnop"), 2, "looks like a secret"),
        ((START, "-p", "hardware", "a", "-p", "hardware", "b"), 2, "given twice"),
        ((START, "--output", "../out"), 2, "climbs"),
        ((START, "--output", "{hardware}"), 2, "braces"),
        ((START, "--jobs", "0"), 2, "whole number from 1"),
        ((START, "--grid", "hardware"), 2, "no distinct values"),
        (("missing.ipynb",), 2, "There is no notebook missing.ipynb"),
        ((ROOT / "README.md",), 2, "not a notebook"),
        ((), 2, "NOTEBOOK"),
    ],
)
def test_bad_usage_is_one_clear_message(seatrial, tmp_path, words, code, message):
    """The exit code of the contract, what to do next, no traceback, nothing written."""
    done = seatrial(*words)
    assert code == done.returncode
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == list(tmp_path.iterdir())


def test_a_failing_notebook_gives_its_exit_code(seatrial, tmp_path):
    """An unknown machine is found by the library inside the notebook: exit code 2, message on stderr, record written."""
    done = seatrial(HARDWARE, "-p", "hardware", "h200y4", "--output", "out")
    assert 2 == done.returncode
    assert "cell detect: Unknown hardware 'h200y4'" in done.stderr
    assert (tmp_path / "out" / "record.json").exists()
    assert (tmp_path / "out" / "report.html").exists()


def test_a_measurement_without_one_answer_is_no_success(seatrial, tmp_path):
    """Every request failed: the page is written, the exit code is 5, the reason is printed."""
    cell = (
        "from seatrial.measure import Workload, measure_server\n"
        "from seatrial.records import record\n"
        'record("measurement", measure_server(url, Workload(concurrency=(1,), requests=2, warmup_requests=0)))'
    )
    parameters = new_code_cell('url: str = ""  # server', metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=[parameters, new_code_cell(cell)], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "failing.ipynb")
    with running_simulator("--fault=http_500") as server:
        done = seatrial("failing.ipynb", "-p", "url", server.url, "--output", "out")
    assert 5 == done.returncode, done.stderr
    assert "seatrial: 1 stream: none of 2 requests succeeded (http_500 x2: HTTP 500: " in done.stderr
    assert "Report: out/report.html" in done.stdout


@pytest.mark.engine
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_in_the_middle_of_a_measurement_leaves_nothing(tmp_path, require, number):
    """Ctrl-C, TERM and KILL while the real engine is under load: no kernel, engine, client or supervisor is left."""
    require("xllamacpp")
    require("stand-in model")
    command = [sys.executable, "-m", "seatrial", "run", NOTEBOOKS / "05_live_throughput.ipynb", "--output", "out",
               "-p", "model", "smollm2", "-p", "requests", "1000"]  # fmt: skip
    environment = os.environ | {"SEATRIAL_MARK": str(tmp_path)}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        until(lambda: any("seatrial.measure" in " ".join(one.cmdline()) for one in marked(tmp_path)), 60)
        process.send_signal(number)
        process.wait(30)
    until(lambda: not marked(tmp_path), 20)
    assert [] == list_servers()
    record = json.loads((tmp_path / "out" / "record.json").read_text(encoding="utf-8"))
    expected = "not_run" if number == signal.SIGKILL else "interrupted"
    assert expected == record["notebooks"][0]["status"]


def marked(folder):
    """Return the processes that were started with this test's mark, whoever their parent is by now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SEATRIAL_MARK") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                process.cmdline()
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(condition, seconds):
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the deadline passed"
        time.sleep(0.1)
