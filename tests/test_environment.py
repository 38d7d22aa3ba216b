"""Environment variables as people have them: blank ones, odd ones, and no place that reads them otherwise."""

import ast
import os
from pathlib import Path

import pytest

import seatrial
from seatrial.environment import drop_odd_sizes, inherited, is_text, variable
from seatrial.errors import UsageError

PACKAGE = Path(seatrial.__file__).parent

OWN_READERS = {
    "environment.py": "the one reader",
    "server/supervisor.py": "imports the standard library only; reads what the launch itself set",
}
"""Files that may read single variables themselves, with the reason."""


@pytest.mark.parametrize("value", ["", " ", "\t", "\r\n"])
def test_a_blank_variable_counts_as_unset(value):
    """``docker -e NAME=`` and empty lines of an env file set a variable without a value."""
    assert variable("NAME", {"NAME": value}) is None


@pytest.mark.parametrize("value", ["/data", " /data", "/data ", "/data\r"])
def test_blanks_around_a_value_do_not_count(value):
    """Env files written on Windows end each value with a carriage return."""
    assert "/data" == variable("NAME", {"NAME": value})


def test_a_variable_that_is_no_text_is_named_and_not_repeated():
    """It may hold a token."""
    with pytest.raises(UsageError) as caught:
        variable("HF_TOKEN", {"HF_TOKEN": "hf_secret\udcff"})
    assert "HF_TOKEN is not UTF-8 text." == caught.value.what


def test_bytes_that_are_no_text_are_seen():
    """Python stands in lone surrogates for them."""
    assert [True, True, False] == [is_text(word) for word in ("", "größe", "b\udcff")]


@pytest.mark.parametrize("value", ["", "0", "-5", "1", "²", "٣٠", "wide", "80.5", "9" * 400, "1001"])
@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
def test_a_size_that_no_terminal_has_is_dropped(name, value):
    """Rich and argparse take it at its word."""
    variables = {name: value, "TERM": "dumb"}
    drop_odd_sizes(variables)
    assert {"TERM": "dumb"} == variables


def test_a_usual_size_stays():
    """A person's own width counts."""
    variables = {"COLUMNS": "100", "LINES": "24"}
    drop_odd_sizes(variables)
    assert {"COLUMNS": "100", "LINES": "24"} == variables


def reads_around(tree):
    """Yield the line of each expression that reads one variable, or a home folder, without the kit's own reader."""
    for node in ast.walk(tree):
        whole = "os.environ"
        text = ast.unparse(node) if isinstance(node, ast.Call | ast.Subscript | ast.Compare) else ""
        reads = isinstance(node, ast.Call) and text.startswith((f"{whole}.get(", "os.getenv(", "Path.home("))
        reads = reads or (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("expanduser"))
        reads = reads or (isinstance(node, ast.Subscript) and text.startswith(f"{whole}["))
        if reads or (isinstance(node, ast.Compare) and text.endswith(f"in {whole}")):
            yield node.lineno


@pytest.mark.parametrize(
    "line",
    [
        "os.environ.get('A')",
        "os.environ['A']",
        "os.getenv('A', '')",
        "'A' in os.environ",
        "Path.home()",
        "Path(text).expanduser()",
        "os.path.expanduser(text)",
    ],
)
def test_a_new_place_that_reads_a_variable_itself_is_found(line):
    """What the next test looks for."""
    assert [1] == list(reads_around(ast.parse(line)))


def test_every_variable_is_read_by_the_one_reader():
    """Blank counts as unset everywhere, and ``~`` means the same everywhere."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if str(path.relative_to(PACKAGE)) not in OWN_READERS
        for line in reads_around(ast.parse(path.read_text()))
    ]
    assert [] == found


def test_what_is_started_gets_the_variables_as_they_were(monkeypatch):
    """A size that only this process drops may mean something else to an engine's own script."""
    monkeypatch.setenv("LINES", "all")
    drop_odd_sizes()
    assert (None, "all") == (os.environ.get("LINES"), inherited()["LINES"])
    monkeypatch.setenv("LINES", "24")
    assert "24" == inherited()["LINES"]
