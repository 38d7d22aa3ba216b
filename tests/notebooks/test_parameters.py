"""Whatever papermill's own ``-p`` makes of a value, a notebook runs or names the parameter and what it takes."""

import ast
import math
import subprocess
import sys

import nbformat
import pytest
from tests.conftest import ROOT

from seatrial import Workload, open_server, plan_for, plan_here, predict_levels, read_concurrency
from seatrial.batch.parameters import read_parameters
from seatrial.errors import SeatrialError
from seatrial.hardware import detect_hardware
from seatrial.measure.ask import ask
from seatrial.server.running import NotLaunched
from seatrial.view import fit_chart, plan_explorer, table_fits

SERVER = NotLaunched("a case", "")
NAMED = plan_for("h200x4", engine="sglang")
"""A plan that is never launched here."""


@pytest.fixture(scope="module")
def plan():
    """Return a plan that needs no engine."""
    return plan_for("cpu", "flash", engine="simulated")


TAKES = {
    ("plan_for", 0, "hardware"): plan_for,
    ("plan_for", 0, "example_hardware"): plan_for,
    ("plan_for", 1, "model"): lambda value: plan_for("h200x4", value),
    ("plan_for", "context_tokens", "context_tokens"): lambda value: plan_for("h200x4", context_tokens=value),
    ("plan_here", 0, "model"): plan_here,
    ("plan_here", "engine", "engine"): lambda value: plan_here("smollm2", engine=value),
    ("plan_here", "context_tokens", "context_tokens"): lambda value: plan_here("smollm2", context_tokens=value),
    ("detect_hardware", 0, "hardware"): detect_hardware,
    ("detect_hardware", 0, "example_hardware"): detect_hardware,
    ("table_fits", 0, "hardware"): table_fits,
    ("table_fits", 0, "example_hardware"): table_fits,
    ("table_fits", "context_tokens", "context_tokens"): lambda value: table_fits("h200x4", context_tokens=value),
    ("fit_chart", 0, "hardware"): fit_chart,
    ("fit_chart", 0, "example_hardware"): fit_chart,
    ("plan_explorer", 0, "example_hardware"): plan_explorer,
    ("plan_explorer", "context_tokens", "context_tokens"): lambda value: plan_explorer("h200x4", context_tokens=value),
    ("plan_for", "concurrency", "concurrency_max"): lambda value: plan_for("h200x4", concurrency=value),
    ("plan_here", "concurrency", "concurrency_max"): lambda value: plan_here("smollm2", concurrency=value),
    ("open_server", 0, "server"): lambda value: open_server(value, NAMED),
    ("open_server", "keep", "keep"): lambda value: open_server("auto", NAMED, keep=value),
    ("open_server", "api_key_env", "api_key_env"): lambda value: open_server("auto", NAMED, api_key_env=value),
    ("ask", 1, "question"): lambda value: ask(SERVER, value),
    ("ask", "answer_tokens", "answer_tokens"): lambda value: ask(SERVER, "q", answer_tokens=value),
    ("ask", "temperature", "temperature"): lambda value: ask(SERVER, "q", temperature=value),
    ("read_concurrency", 0, "concurrency"): read_concurrency,
    ("Workload", "requests", "requests"): lambda value: Workload(requests=value),
    ("sizes", "prompt_tokens", "prompt_tokens"): lambda value: Workload(prompt_tokens=value),
    ("sizes", "answer_tokens", "answer_tokens"): lambda value: Workload(answer_tokens=value),
}
"""Each place of a notebook that takes a parameter: what takes it, at which place, and the same call with one value."""

VALUES = [
    123, 0, -1, 1.5, 2.0, True, False, None, "x", "", "8", "8k", [1, 2], {}, math.nan, math.inf, 10**30, 10**5000,
]  # fmt: skip


def passed(node):
    """Yield what takes a value, at which place, and the value, for a call or for a dict with a name."""
    if isinstance(node, ast.Call):
        yield from ((node.func.id, place, given) for place, given in enumerate(node.args))
        yield from ((node.func.id, given.arg, given.value) for given in node.keywords)
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
        pairs = zip(node.value.keys, node.value.values, strict=True)
        yield from ((node.targets[0].id, key.value, value) for key, value in pairs)


def code_of(notebook):
    """Return every node of the code of a notebook, the parameters cell left out."""
    cells = [cell for cell in notebook.cells if "parameters" not in cell.metadata.get("tags", ())]
    return [node for cell in cells if cell.cell_type == "code" for node in ast.walk(ast.parse(cell.source))]


def uses(notebook):
    """Return where the code of a notebook passes its parameters on."""
    names = set(read_parameters(notebook))
    found = [use for node in code_of(notebook) for use in passed(node)]
    return [
        (what, place, given.id) for what, place, given in found if isinstance(given, ast.Name) and given.id in names
    ]


def mentions(notebook):
    """Count how often the code of a notebook names each of its parameters."""
    names = [node.id for node in code_of(notebook) if isinstance(node, ast.Name)]
    return sum(name in read_parameters(notebook) for name in names)


def test_every_use_of_a_parameter_is_tried():
    """A new notebook, parameter or use needs a line in the table; nothing else touches a parameter."""
    found = set()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        here = uses(notebook)
        assert mentions(notebook) == len(here), path.name
        found.update(here)
    assert set(TAKES) == found


@pytest.mark.parametrize("use", TAKES, ids=lambda use: f"{use[0]}-{use[2]}")
def test_a_value_runs_or_ends_with_an_error_that_names_the_parameter(monkeypatch, use):
    """Numbers for text, text for numbers, True, None, lists: never an AttributeError or a TypeError."""
    monkeypatch.setenv("SEATRIAL_HEADLESS", "1")
    named = {use[2].removeprefix("example_"), use[2].partition("_")[0]}
    for value in VALUES:
        error = error_of(TAKES[use], value)
        if error is not None:
            words = str(error).casefold()
            assert (2, True) == (error.exit_code, bool(error.remedy)), value
            assert any(name in words for name in named), words


def error_of(call, value):
    """Return the kit's own error, None if the call succeeds; every other error is raised."""
    try:
        call(value)
    except SeatrialError as error:
        return error
    return None


def test_digits_for_text_are_the_text(plan):
    """One level, a question of digits; lists of levels as YAML gives them."""
    assert ((2,), (1, 2, 4)) == (read_concurrency(2), read_concurrency([1, 2, 4]))
    assert SERVER == ask(SERVER, 123)
    assert (8, 16) == (Workload(requests=8.0).requests, Workload(prompt_tokens="16").prompt_tokens)
    assert [2] == list(predict_levels(plan, read_concurrency(2), prompt_tokens="64", answer_tokens=8.0))


@pytest.mark.notebook
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("-p", "engine", "simulated", "-p", "concurrency", "2", "-p", "requests", "2", "-p", "answer_tokens", "8"), 0, ""),
        (("-p", "engine", "simulated", "-p", "requests", "many"), 1, "The parameter requests takes a whole number, not 'many'"),
    ],
)  # fmt: skip
def test_the_same_with_papermill_itself(tmp_path, words, code, said):
    """A whole notebook, with a simulated server; a wrong value ends before a server is launched."""
    command = [sys.executable, "-m", "papermill", ROOT / "notebooks" / "05_live_throughput.ipynb", "out.ipynb", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert code == done.returncode, done.stderr[-2000:]
    assert said in done.stderr
    assert "AttributeError" not in done.stderr
