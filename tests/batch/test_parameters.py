"""Parameters of a notebook, and those refused before anything runs."""

import nbformat
import pytest

from seatrial.batch.parameters import Parameter, choose_parameters, parse_assignments, read_parameters
from seatrial.errors import UnknownNameError, UsageError

KNOWN = {
    "one.ipynb": {
        "hardware": Parameter("hardware", "str", "auto", "which machine"),
        "context_tokens": Parameter("context_tokens", "int", 8192, "tokens"),
    },
    "two.ipynb": {
        "hardware": Parameter("hardware", "str", "auto", "which machine"),
        "rate": Parameter("rate", "float", 1.5, "per second"),
        "fast": Parameter("fast", "bool", False, ""),
    },
}


def test_reads_name_type_default_and_help(echo):
    """The parameters cell says everything a person needs to set a parameter."""
    found = read_parameters(nbformat.read(echo, as_version=4))
    assert found["hardware"] == Parameter("hardware", "str", "auto", "which machine")
    assert [("hardware", "str"), ("context_tokens", "int"), ("fast", "bool"), ("rate", "float")] == [
        (name, parameter.kind) for name, parameter in found.items()
    ]


def test_lines_that_are_no_plain_value_cannot_be_set(write_notebook):
    """A list or an expression in the parameters cell is no parameter; an untyped literal has its own type."""
    path = write_notebook("odd", parameters="sizes = [1, 2]\nlimit = 2 + 2\nname = 'x'\ncount: str = 3")
    assert {"name": Parameter("name", "str", "x", "")} == read_parameters(nbformat.read(path, as_version=4))


def test_each_notebook_receives_its_own_parameters():
    """A value goes to every notebook that has the parameter, in that parameter's type."""
    chosen = choose_parameters(KNOWN, {"hardware": "h100x8", "context_tokens": "4_096", "rate": "2", "fast": "yes"})
    assert chosen == {
        "one.ipynb": {"hardware": "h100x8", "context_tokens": 4096},
        "two.ipynb": {"hardware": "h100x8", "rate": 2.0, "fast": True},
    }


def test_unknown_names_are_an_error_that_names_the_nearest():
    """A typo never runs with the default instead."""
    with pytest.raises(UnknownNameError, match="Nearest: hardware"):
        choose_parameters(KNOWN, {"hardwear": "h100x8"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("context_tokens", "many"),
        ("context_tokens", "1.5"),
        ("context_tokens", True),
        ("context_tokens", "9" * 400),
        ("context_tokens", "1e3"),
        ("rate", "nan"),
        ("rate", float("inf")),
        ("rate", "fast"),
        ("fast", "maybe"),
        ("hardware", 8),
        ("hardware", ["h100x8"]),
        ("hardware", None),
        ("hardware", "h100x8\nimport os"),
        ("hardware", "h100\x00"),
        ("hardware", "x" * 5000),
    ],
)
def test_wrong_types_and_unprintable_text_are_refused(name, value):
    """An error for a value of the wrong type names the right one."""
    with pytest.raises(UsageError, match=name):
        choose_parameters(KNOWN, {name: value})


@pytest.mark.parametrize(
    "name",
    ["", "a b", "x=1", "x;import os", "__import__('os')", "class", "x\ny", "1st", "_hidden", "naïve", "x" * 300 + "-"],
)
def test_names_that_could_be_code_are_refused(name):
    """Papermill writes a parameter's name into the notebook as code."""
    with pytest.raises(UsageError, match="not a parameter name"):
        choose_parameters(KNOWN, {name: "1"})


@pytest.mark.parametrize(
    "secret",
    [
        "hf_abcdefghijklmnop",
        "sk-proj-abcdefgh1234",
        "ghp_" + "a" * 36,
        "AKIAABCDEFGHIJKLMNOP",
        "nvapi-abcdefghijkl",
        "Bearer abcdefghijk",
        "https://me:passw0rd@host/x",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.x",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "prefix hf_abcdefghijklmnop suffix",
    ],
)
def test_secret_looking_values_are_refused_and_not_repeated(secret):
    """Parameters are stored in the executed notebook, so nothing secret may get there."""
    with pytest.raises(UsageError, match="looks like a secret") as caught:
        choose_parameters(KNOWN, {"hardware": secret})
    assert secret not in str(caught.value)


def test_ordinary_names_are_no_secrets():
    """Names of checkpoints and machines pass."""
    for value in ("unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL", "rtx4060ti-16gbx1", "http://127.0.0.1:8000", "sk-1"):
        assert value == choose_parameters(KNOWN, {"hardware": value})["one.ipynb"]["hardware"]


def test_a_parameter_given_twice_is_an_error():
    """Which of the two was meant cannot be known."""
    assert {"a": "1", "b": "2"} == parse_assignments([("a", "1"), ("b", "2")])
    with pytest.raises(UsageError, match="twice"):
        parse_assignments([("a", "1"), ("a", "2")])
