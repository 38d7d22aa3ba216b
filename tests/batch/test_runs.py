"""Whole runs: real kernels, real notebooks, one record."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from tests.server.conftest import until

from seatrial.batch import read_run, run_notebooks
from seatrial.errors import EngineMissingError, UnknownNameError, UsageError

pytestmark = pytest.mark.notebook


def kernels():
    """Return the notebook kernels of this test, whatever their parent: their environment has its state folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "environ"])
        if any("seatrial-" in word and word.endswith("kernel.json") for word in process.info["cmdline"] or ())
        and (process.info["environ"] or {}).get("SEATRIAL_STATE") == os.environ["SEATRIAL_STATE"]
    ]


def test_records_parameters_and_results(echo, tmp_path):
    """What a notebook records is read back from the run's record, with the parameters it was given."""
    run = run_notebooks([echo], parameters={"hardware": "h100x8", "rate": "2"}, output=tmp_path / "run")
    assert run.results == {"echo": {"hardware": "h100x8", "context_tokens": 8192, "fast": False, "rate": 2.0}}
    assert ("completed", {"hardware": "h100x8", "rate": 2.0}) == (run.notebooks[0].status, run.notebooks[0].parameters)
    assert run == read_run(tmp_path / "run")
    assert "papermill" in run.versions["packages"]
    assert ["echo.ipynb", "record.json"] == sorted(path.name for path in (tmp_path / "run").iterdir())


def test_text_parameters_arrive_unchanged(echo, tmp_path):
    """Quotes, backslashes and braces in a value are text, not code."""
    value = """a"b'c\\d{e}"+str(1)+" é 漢"""
    run = run_notebooks([echo], parameters={"hardware": value}, output=tmp_path / "run")
    assert value == run.results["echo"]["hardware"]


def test_nothing_runs_when_a_parameter_is_wrong(echo, tmp_path):
    """Names and types are checked before the folder is made."""
    for wrong in ({"hardwear": "x"}, {"context_tokens": "x"}, {"hardware": "hf_abcdefghijkl"}):
        with pytest.raises(UsageError):
            run_notebooks([echo], parameters=wrong, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_completed_notebook_is_kept(echo, tmp_path):
    """The same folder, cells and parameters: not run again. Other parameters: run again."""
    folder = tmp_path / "run"
    first = run_notebooks([echo], output=folder)
    before = (folder / "echo.ipynb").read_bytes()
    second = run_notebooks([echo], output=folder)
    assert second.notebooks[0].kept
    assert (first.results, before) == (second.results, (folder / "echo.ipynb").read_bytes())
    third = run_notebooks([echo], parameters={"fast": "true"}, output=folder)
    assert not third.notebooks[0].kept
    assert third.results["echo"]["fast"]


def test_a_failure_keeps_what_was_done(echo, write_notebook, tmp_path):
    """The record has the error's name, message, cell and exit code; other notebooks still run."""
    failing = write_notebook(
        "failing",
        "from seatrial.records import record\nrecord('before', 1)",
        "from seatrial.errors import DoesNotFitError\nraise DoesNotFitError('149 GiB in 24 GiB', remedy='Buy more.')",
        "record('after', 1)",
    )
    run = run_notebooks([failing, echo], output=tmp_path / "run", jobs=2)
    error = run.notebooks[0].error
    assert ("DoesNotFitError", "149 GiB in 24 GiB\nBuy more.", "cell-1", 3) == (
        error.kind,
        error.message,
        error.cell,
        error.exit_code,
    )
    assert ["failed", "completed"] == [one.status for one in run.notebooks]
    assert {"before", "echo"} == set(run.results)
    assert 3 == run.exit_code == read_run(tmp_path / "run").exit_code


ERRORS = [
    ("raise ValueError('E' * 5_000_000)", "ValueError", "EEE"),
    ("raise ValueError('\\n'.join('E' * 70 for _ in range(50_000)))", "ValueError", "EEE"),
    ("raise type('E' * 5_000_000, (Exception,), {})('why')", "E", "why"),
    ("raise ValueError('\\ud800')", "", ""),
    ("raise ValueError", "ValueError", "ValueError, without a text that can be shown"),
    ("class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError('no text')\n\nraise Odd", "", ""),
]


@pytest.mark.parametrize(("source", "kind", "begins"), ERRORS)
def test_an_error_s_text_is_short_and_there(write_notebook, tmp_path, source, kind, begins):
    """An error of millions of letters does not fill the terminal, and one whose text cannot be formed has its kind."""
    run = run_notebooks([write_notebook("odd", source)], output=tmp_path / "run")
    error = run.notebooks[0].error
    assert error.kind.startswith(kind)
    assert error.message.startswith(begins)
    assert 0 < len(error.message) <= 2000
    assert len(error.kind) <= 80


def test_an_error_of_the_kit_is_shown_without_a_traceback(write_notebook, tmp_path):
    """The notebook shows the message with its remedy, and nothing of our own stack."""
    path = write_notebook("typo", "from seatrial import detect_hardware", "detect_hardware('h200y4')")
    run_notebooks([path], output=tmp_path / "run")
    cells = json.loads((tmp_path / "run" / "typo.ipynb").read_text())["cells"]
    (shown,) = [output for cell in cells for output in cell.get("outputs", ()) if output["output_type"] == "error"]
    assert ["UnknownNameError: Unknown hardware 'h200y4'.\nNearest: h200, h100, b200."] == shown["traceback"]


def test_a_dead_kernel_is_a_failure(write_notebook, tmp_path):
    """A kernel that is killed in a cell fails there, and its later cells are not called completed."""
    path = write_notebook("dying", "import os\nos.kill(os.getpid(), 9)", "1")
    run = run_notebooks([path], output=tmp_path / "run")
    assert ("failed", "KernelDied", "cell-0") == (
        run.notebooks[0].status,
        run.notebooks[0].error.kind,
        run.notebooks[0].error.cell,
    )
    cells = json.loads((tmp_path / "run" / "dying.ipynb").read_text())["cells"]
    state = {cell["id"]: cell["metadata"].get("papermill", {}).get("status") for cell in cells}
    assert ("failed", "pending") == (state["cell-0"], state["cell-1"])


def test_the_kernel_is_this_python_and_knows_it_is_headless(write_notebook, tmp_path):
    """No other kernel that is registered as python3 is used, and no user's IPython profile."""
    path = write_notebook(
        "where",
        "import os, sys\nfrom seatrial.records import record",
        "record('where', [sys.executable, os.environ['SEATRIAL_HEADLESS'], get_ipython().ipython_dir])",
    )
    executable, headless, profile = run_notebooks([path], output=tmp_path / "run").results["where"]
    assert (sys.executable, "1") == (executable, headless)
    assert not Path(profile).exists()


def test_progress_tells_which_cell_runs(echo, tmp_path):
    """Started, each cell with its place, finished."""
    steps = []
    run_notebooks([echo], output=tmp_path / "run", on_progress=steps.append)
    assert [
        ("started", None, 0),
        ("cell", "parameters", 1),
        ("cell", "cell-0", 2),
        ("finished", None, 0),
    ] == [(step.event, step.cell, step.cell_index) for step in steps]
    assert ("Echo", 1, 1, 2) == (steps[0].title, steps[0].index, steps[0].total, steps[0].cells)


def test_a_notebook_that_wants_to_be_alone_is(write_notebook, tmp_path):
    """Nothing else runs while a measurement does."""
    stamp = "import time\nfrom seatrial.records import record\nbegin = time.time(); time.sleep(0.3)\n"
    paths = [
        write_notebook(name, f"{stamp}record({name!r}, [begin, time.time()])", alone=name == "c") for name in "abc"
    ]
    results = run_notebooks(paths, output=tmp_path / "run", jobs=2).results
    assert results["c"][0] >= max(results["a"][1], results["b"][1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_runs_leave_no_kernel(write_notebook, tmp_path, number):
    """Ctrl-C, TERM and KILL: the kernel is gone, and what the first two left says so."""
    path = write_notebook(
        "slow", "from seatrial.records import record\nrecord('early', 1)", "import time\ntime.sleep(120)"
    )
    script = (
        "import sys; from seatrial.batch import run_notebooks\n"
        "run_notebooks([sys.argv[1]], output=sys.argv[2], on_progress=lambda step: print(step.cell, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, path, tmp_path / "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for line in process.stdout:
        if line.strip() == "cell-1":
            break
    assert 1 == len(kernels())
    process.send_signal(number)
    process.wait(120)
    process.stdout.close()
    until(lambda: not kernels(), "the end of the kernel")
    run = read_run(tmp_path / "run")
    if number == signal.SIGKILL:
        assert (None, "not_run") == (run.finished_at, run.notebooks[0].status)
    else:
        assert ("interrupted", "cell-1", {"early": 1}) == (
            run.notebooks[0].status,
            run.notebooks[0].error.cell,
            run.results,
        )


def run_interrupted(script, *words):
    """Run lines of Python that are interrupted, as they say at their end, in a process of their own."""
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *words],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert "KeyboardInterrupt" in process.stderr


def test_ctrl_c_while_notebooks_are_being_started_stops_them(write_notebook, tmp_path):
    """The signal comes after the first one was handed over: the run ends at once instead of waiting for them."""
    paths = [write_notebook(name, "import time\ntime.sleep(120)") for name in "ab"]
    script = """
        import os, signal, sys
        from concurrent.futures import ThreadPoolExecutor
        from seatrial.batch import run_notebooks
        submit = ThreadPoolExecutor.submit
        def submit_under_a_signal(*args):
            future = submit(*args)
            os.kill(os.getpid(), signal.SIGINT)
            return future
        ThreadPoolExecutor.submit = submit_under_a_signal
        run_notebooks(sys.argv[2:], output=sys.argv[1])
    """
    run_interrupted(script, tmp_path / "run", *paths)
    assert "completed" not in {one.status for one in read_run(tmp_path / "run").notebooks}


def test_ctrl_c_is_heard_whichever_thread_the_system_hands_it_to(write_notebook, tmp_path):
    """A signal that another thread takes wakes no wait of the main one; the notebook is stopped all the same."""
    path = write_notebook("slow", "import time\ntime.sleep(20)")
    script = """
        import signal, sys, threading
        from seatrial.batch import run_notebooks
        def strike(step):
            if step.cell == "cell-0":
                signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        run_notebooks(sys.argv[2:], output=sys.argv[1], on_progress=strike)
    """
    run_interrupted(script, tmp_path / "run", path)
    assert ["interrupted"] == [one.status for one in read_run(tmp_path / "run").notebooks]


def test_ctrl_c_that_a_library_swallows_stops_the_run(write_notebook, tmp_path):
    """An ``except:`` somewhere in what is imported or called takes the exception: the run is stopped all the same."""
    path = write_notebook("slow", "import time\ntime.sleep(120)")
    script = """
        import os, signal, sys
        from seatrial.batch import run_notebooks, runs
        versions = runs.versions
        def swallowing():
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                runs.versions = versions
            return versions()
        runs.versions = swallowing
        run_notebooks(sys.argv[2:], output=sys.argv[1])
    """
    run_interrupted(script, tmp_path / "run", path)
    assert "completed" not in {one.status for one in read_run(tmp_path / "run").notebooks}


DEAF = """
import signal, time
from pathlib import Path
here = Path({here!r})
heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
(here / "deaf").touch()
while not (here / "asked").exists():
    time.sleep(0.02)
signal.signal(signal.SIGINT, heard)
time.sleep(120)
"""
"""Ignores Ctrl-C as a kernel does that is just taking up its cell, until the run says that it is stopping."""

SWALLOWS = """
import time
from pathlib import Path
Path({here!r}, "deaf").touch()
while True:
    try:
        time.sleep(120)
    except KeyboardInterrupt:
        pass
"""

DROPS = """
import signal, time
from pathlib import Path
Path({here!r}, "deaf").touch()
try:
    time.sleep(120)
except KeyboardInterrupt:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(120)
"""
"""Looks from outside like a kernel that has dropped its request: idle, deaf, and without an answer."""

STRIKE = """
import os, signal, sys, threading, time
from pathlib import Path
from seatrial.batch import run_notebooks, runs
runs._GRACE_S = 600.0
here, twice = Path(sys.argv[1]), sys.argv[3] == "twice"
def strike():
    while not (here / "deaf").exists():
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)
def tell(step):
    if step.event == "stopping":
        print("stopping", step.notebook, flush=True)
        (here / "asked").touch()
        if twice:
            os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=strike, daemon=True).start()
run_notebooks([sys.argv[2]], output=here / "run", on_progress=tell)
"""


@pytest.mark.parametrize(
    ("cell", "presses", "ended_by"),
    [(DEAF, "once", ["KeyboardInterrupt"]), (SWALLOWS, "twice", []), (DROPS, "once", [])],
    ids=["deaf at first", "second Ctrl-C", "request dropped"],
)
def test_ctrl_c_is_said_and_gets_through(write_notebook, tmp_path, cell, presses, ended_by):
    """Progress shows it at once, a kernel that ignored it gets it again, and one that drops it is killed."""
    path = write_notebook("deaf", cell.format(here=str(tmp_path)))
    process = subprocess.run(
        [sys.executable, "-c", STRIKE, tmp_path, path, presses], capture_output=True, text=True, check=False, timeout=60
    )
    assert "stopping deaf.ipynb\n" == process.stdout
    assert "KeyboardInterrupt" in process.stderr
    run = read_run(tmp_path / "run")
    assert ["interrupted"] == [one.status for one in run.notebooks]
    executed = json.loads((tmp_path / "run" / "deaf.ipynb").read_text(encoding="utf-8"))
    outputs = executed["cells"][-1]["outputs"]
    assert ended_by == [output["ename"] for output in outputs if output["output_type"] == "error"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.ipynb", None, "has no notebooks"),
        ("text.txt", "x", "not a notebook"),
        ("broken.ipynb", "{", "cannot be read as a notebook"),
        ("empty.ipynb", "", "cannot be read as a notebook"),
        ("deep.ipynb", '{"cells": ' + "[" * 100_000, "cannot be read as a notebook: it is nested too deeply"),
        ("half.ipynb", '{"cells": ["\\ud800"]}', "cannot be read as a notebook: it holds half a character"),
        ("list.ipynb", "[]", "cannot be read as a notebook"),
    ],
)
def test_what_is_no_notebook_is_refused(tmp_path, name, content, message):
    """A missing, broken or foreign file is named, and nothing runs."""
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        run_notebooks([tmp_path / name], output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_notebook_for_another_language_is_refused(write_notebook, tmp_path):
    """Only Python kernels are started."""
    path = write_notebook("julia")
    path.write_text(path.read_text().replace('"language": "python"', '"language": "julia"'))
    with pytest.raises(UsageError, match="for julia"):
        run_notebooks([path], output=tmp_path / "run")


def test_near_names_are_suggested(echo, tmp_path):
    """A typo in a notebook's name lists the notebooks beside it."""
    with pytest.raises(UnknownNameError, match=r"echo\.ipynb"):
        run_notebooks([echo.with_name("ecko.ipynb")], output=tmp_path / "run")


def test_a_folder_that_is_not_there_is_named_and_what_there_is(write_notebook, tmp_path, monkeypatch):
    """If the folder has no notebooks, the error offers the series; without a series, its usual place."""
    nowhere = tmp_path / "nowhere" / "x.ipynb"
    monkeypatch.chdir(tmp_path)
    for remedy in ("such as notebooks/*.ipynb", "There are notebooks/00_first.ipynb."):
        with pytest.raises(UsageError) as caught:
            run_notebooks([nowhere], output=tmp_path / "run")
        assert f"There is no notebook {nowhere}: {nowhere.parent} is no folder." == caught.value.what
        assert remedy in caught.value.remedy
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        write_notebook("00_first").replace(tmp_path / "notebooks" / "00_first.ipynb")


def test_the_same_notebook_twice_is_refused(echo, tmp_path):
    """Both would be saved under one name."""
    with pytest.raises(UsageError, match="twice"):
        run_notebooks([echo, echo], output=tmp_path / "run")


def test_a_missing_kernel_is_said(echo, tmp_path, monkeypatch):
    """Without ipykernel nothing starts, and the message names the extra to install."""
    monkeypatch.setattr("seatrial.batch.runs.find_spec", lambda name: None if name == "ipykernel" else name)
    with pytest.raises(EngineMissingError, match=r"seatrial\[notebooks\]"):
        run_notebooks([echo], output=tmp_path / "run")
