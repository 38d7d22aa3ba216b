"""A program that prints texts of a JSON file in every way there is, through the command line's streams."""

import argparse
import json
import logging
import sys
import threading
import traceback
import warnings
from pathlib import Path

from rich.console import Group
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from seatrial.cli.answer import stderr, stdout
from seatrial.cli.main import Parser
from seatrial.cli.streams import escaped_streams, prepare_streams
from seatrial.errors import SeatrialError
from seatrial.view.tables.table import Table


def fail(text):
    """Raise an error with this text."""
    raise ValueError(text)


def by_thread(text):
    """Fail in a thread, whose traceback Python prints."""
    thread = threading.Thread(target=fail, args=(text,))
    thread.start()
    thread.join()


def by_traceback(text):
    """Print a traceback."""
    try:
        fail(text)
    except ValueError:
        traceback.print_exc()


def by_parser(text):
    """Let argparse complain, and then print its help."""
    parser = Parser(prog="seatrial", description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    try:
        parser.parse_args([text])
    except SeatrialError as error:
        print(error, file=sys.stderr)  # noqa: T201
    parser.print_help()


def by_progress(text):
    """Show a live line in a terminal, and let others print meanwhile."""
    column = TextColumn("{task.description}", markup=False)
    with Progress(column, BarColumn(), console=stderr(), transient=True) as bars:
        bars.add_task(text, total=1)
        bars.refresh()
        print(text)  # noqa: T201
        print(text, file=sys.stderr)  # noqa: T201
        logging.getLogger("seatrial").warning("%s", text)
        bars.console.print(text, soft_wrap=True)


WAYS = (
    print,
    lambda text: print(text, file=sys.stderr),  # noqa: T201
    lambda text: sys.stdout.writelines([text, "\n"]),
    lambda text: logging.getLogger("seatrial").warning("%s", text),
    lambda text: warnings.warn(text, stacklevel=1),
    by_traceback,
    by_thread,
    by_parser,
    by_progress,
    lambda text: stdout().print(text, soft_wrap=True),
    lambda text: stderr().print(text, style="bold"),
    lambda text: stdout().print(Text(text)),
    lambda text: stdout().print(Group(Text(text), Panel(text, title=text))),
    lambda text: stdout().print(Table(text, (text, "b>"), ((text, text),), text).to_rich()),
    lambda text: stdout().rule(text),
)


if __name__ == "__main__":
    prepare_streams()
    with escaped_streams():
        for said in json.loads(Path(sys.argv[1]).read_text()):
            for way in WAYS:
                way(said)
