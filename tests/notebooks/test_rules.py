"""The rules each notebook keeps: what a reader, papermill and nbval rely on."""

import ast
import re
import subprocess
import sys

from tests.conftest import ROOT

from seatrial.batch.parameters import TYPES, read_parameters

LONGEST_CELL = 12
WIDEST_LINE = 100
FORBIDDEN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.Try, ast.With)
CELL_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def code_cells(notebook):
    """Code cells with their source."""
    return [(cell, "".join(cell["source"])) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def prose(notebook):
    """Return the text of all Markdown cells."""
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]


def parameter_lines(notebook):
    """Return the lines of the parameters cell, by name."""
    ((_, source),) = [pair for pair in code_cells(notebook) if "parameters" in pair[0]["metadata"].get("tags", ())]
    return {line.partition(":")[0]: line for line in source.splitlines()}


def test_is_in_committed_form():
    """The form tool would change nothing: no stray outputs, counts or metadata."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "notebooks.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_opens_with_number_promise_and_needs(notebook):
    """One H1 with the number, what you will have at the end, and what it takes and needs."""
    first = prose(notebook)[0]
    assert re.match(r"# (\d\d|NN) · \S", first)
    assert "**What you will have at the end:**" in first
    assert "| takes | needs |" in first
    assert 1 == sum(text.count("\n# ") + text.startswith("# ") for text in prose(notebook))


def test_ends_with_what_you_have_and_where_to_go(notebook):
    """The last cell sums up and links to a notebook that exists."""
    last = prose(notebook)[-1]
    assert "## What you have now" in last
    (link,) = re.findall(r"\*\*Next:\*\*.*?\((\w+\.ipynb)\)", last, re.DOTALL) or re.findall(
        r"\((00\w+\.ipynb)\)", last
    )
    assert (ROOT / "notebooks" / link).exists()


def test_links_between_notebooks_lead_somewhere(notebook):
    """No link to a notebook that is not there."""
    for link in re.findall(r"\]\(([^)#:]+\.ipynb)\)", "\n".join(prose(notebook))):
        assert (ROOT / "notebooks" / link).exists(), link


def test_has_one_imports_and_one_parameters_cell(notebook):
    """Imports stand in the first code cell and nowhere else; exactly one cell is tagged parameters."""
    cells = code_cells(notebook)
    importing = [cell["id"] for cell, source in cells if re.search(r"^(import|from) ", source, re.MULTILINE)]
    tagged = [cell["id"] for cell, _ in cells if "parameters" in cell["metadata"].get("tags", ())]
    assert (["imports"], ["parameters"], "imports") == (importing, tagged, cells[0][0]["id"])


def test_parameters_are_read_by_papermill(notebook):
    """Each line is name: type = literal  # help, and papermill's inspector sees them all."""
    lines = parameter_lines(notebook)
    found = read_parameters(notebook)
    assert list(lines) == list(found)
    for name, parameter in found.items():
        assert parameter.kind in TYPES
        assert parameter.help, name
        assert 1 == lines[name].count("="), name
        assert 1 == lines[name].count("#"), name


def test_the_same_parameter_is_the_same_everywhere(series):
    """Same name, same default, same help in every notebook."""
    seen = {}
    for name, notebook in series.items():
        for parameter, line in parameter_lines(notebook).items():
            assert seen.setdefault(parameter, line) == line, f"{parameter} in {name}"


def test_code_is_short_and_plain(notebook):
    """No functions, classes, loops, try, lambda, magics, shell escapes or prints; few lines a cell."""
    for cell, source in code_cells(notebook):
        tree = ast.parse(source)
        nodes = list(ast.walk(tree))
        assert not [node for node in nodes if isinstance(node, FORBIDDEN)], cell["id"]
        calls = [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        assert not {"print", "display", "exec", "eval", "open"} & set(calls), cell["id"]
        assert len(source.splitlines()) <= LONGEST_CELL, cell["id"]
        assert max(map(len, source.splitlines())) <= WIDEST_LINE, cell["id"]


def test_most_cells_are_a_few_lines(series):
    """Median at most four lines, over the whole series."""
    sizes = sorted(len(source.splitlines()) for notebook in series.values() for _, source in code_cells(notebook))
    assert sizes[len(sizes) // 2] <= 4
    assert sizes[len(sizes) * 9 // 10] <= 8


def test_cell_ids_are_readable_and_unique(notebook):
    """Ids are words, so that errors, progress and diffs name the cell."""
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    assert not [name for name in ids if not CELL_ID.fullmatch(name)]


def test_code_stands_between_prose(notebook):
    """Never more than three code cells without a word between them."""
    kinds = "".join("c" if cell["cell_type"] == "code" else "m" for cell in notebook["cells"])
    assert "cccc" not in kinds
    assert kinds.startswith("m")
    assert kinds.endswith("m")


def test_only_kept_cells_have_outputs(notebook):
    """Kept outputs are text, HTML or Markdown, and have a count, or nbval would not compare them."""
    for cell, _ in code_cells(notebook):
        kept = "keep_output" in cell["metadata"].get("tags", ())
        assert (bool(cell["outputs"]), cell["execution_count"]) == (kept, 1 if kept else None), cell["id"]
        kinds = {kind for output in cell["outputs"] for kind in output.get("data", {"stream": 0})}
        assert kinds <= {"text/plain", "text/html", "text/markdown"}, cell["id"]


def test_records_what_others_read(series):
    """The report and the tests read these names from record.json."""
    sources = "\n".join(source for notebook in series.values() for _, source in code_cells(notebook))
    recorded = set(re.findall(r'record\("(\w+)"', sources))
    assert {"hardware", "plans", "plan", "command", "server", "prediction", "measurement"} <= recorded


def test_notebooks_that_load_the_machine_run_alone(series):
    """A notebook that launches an engine has that in its metadata."""
    for name, notebook in series.items():
        launches = any(re.search(r"\b(launch|open_server)\(", source) for _, source in code_cells(notebook))
        assert launches == notebook["metadata"].get("seatrial", {}).get("alone", False), name
