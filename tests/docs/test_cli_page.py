"""docs/cli.md: every command and every option, written from the parsers themselves."""

import re
import subprocess
import sys
from argparse import PARSER
from pathlib import Path

import pytest

from seatrial.cli.main import COMMANDS, build_parser

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command):
    """No option without a help text, and each stands in the command's section of the page."""
    page = (ROOT / "docs" / "cli.md").read_text()
    section = page.split(f"## seatrial {command}\n", 1)[1].split("\n## ", 1)[0]
    parser = build_parser(command)
    below = [inner for action in parser._actions if action.nargs == PARSER for inner in action.choices.values()]
    actions = [action for one in (parser, *below) for action in one._actions if action.dest != "help"]
    assert [] == [action.dest for action in actions if not action.help]
    options = {option for action in actions for option in action.option_strings}
    assert options == set(
        re.findall(r"`(--?[a-z][a-z-]*)", "\n".join(re.findall(r"^\| (`-.*?) \|", section, re.MULTILINE)))
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_command(command):
    """``seatrial COMMAND --help`` starts with its usage and exits 0."""
    done = subprocess.run(
        [sys.executable, "-m", "seatrial", command, "--help"], capture_output=True, text=True, check=False
    )
    assert (0, f"usage: seatrial {command}") == (done.returncode, done.stdout[: len(f"usage: seatrial {command}")])


def test_the_overview_lists_every_command():
    """``seatrial`` without arguments lists every command."""
    done = subprocess.run([sys.executable, "-m", "seatrial"], capture_output=True, text=True, check=True)
    assert list(COMMANDS) == re.findall(r"^  (\w+) ", done.stdout, re.MULTILINE)
