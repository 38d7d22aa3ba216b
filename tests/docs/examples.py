"""Runs the examples of a Markdown page in order and compares what they print with what the page shows."""

import contextlib
import doctest
import io
import re
import subprocess

import pytest

BLOCK = re.compile(r"^```(python|text|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_examples(page):
    """Run each ``python`` and ``console`` block of a page, all Python in one namespace.

    The output of Python is in the ``text`` block that follows; that of a command follows its ``$`` line. ``...``
    stands for whatever differs from machine to machine.
    """
    blocks = [(kind, text, page.read_text()[:at].count("\n") + 2) for kind, text, at in _blocks(page)]
    names = {}
    for number, (kind, text, line) in enumerate(blocks):
        if kind == "python":
            following = blocks[number + 1][:2] if number + 1 < len(blocks) else ("", "")
            expected = following[1] if following[0] == "text" else ""
            _compare(page, line, expected, _printed(compile("\n" * (line - 1) + text, page, "exec"), names))
        elif kind == "console":
            for command, expected in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 -- a page is ours
                # Done, does not fit, or measured on a machine too busy for valid figures: each is an answer.
                assert done.returncode in {0, 3, 5}, f"{page.name}, line {line}: {command}: {done.stderr}"
                _compare(page, line, expected, done.stdout)
    return names


def _blocks(page):
    return [(found[1], found[2], found.start()) for found in BLOCK.finditer(page.read_text())]


def _printed(code, names):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, names)  # noqa: S102 -- running the page is the test
    return out.getvalue()


def _compare(page, line, expected, printed):
    if not doctest.OutputChecker().check_output(expected, printed, OPTIONS):
        pytest.fail(f"{page.name}, line {line}: the page shows\n{expected}\nand this was printed\n{printed}")
