"""Runs ``seatrial COMMAND`` and turns errors into exit codes.

Only the module of the command that was typed is imported, so that ``seatrial plan`` starts
without the parts that ``seatrial measure`` needs.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import NoReturn

from seatrial import __version__
from seatrial.cli.answer import CommandResult
from seatrial.cli.streams import escaped_streams, prepare_streams
from seatrial.environment import drop_odd_sizes, is_text, variable
from seatrial.errors import INTERRUPTED, SeatrialError, UnknownNameError, UsageError
from seatrial.printable import shortened
from seatrial.secret_text import masked, secrets_of

COMMANDS = {
    "detect": "describe this machine, or one you name",
    "models": "list models and checkpoints, with sizes and origins",
    "footprint": "compute the bytes a checkpoint needs, by class and per GPU",
    "plan": "choose what runs on a machine, how, and why",
    "engines": "list engines, their versions and known vulnerabilities; install or remove one",
    "fetch": "download a checkpoint, checked against its size and sha256",
    "serve": "launch an engine, wait until it answers, print the URL",
    "ps": "list the servers that run",
    "logs": "show the log of a server",
    "stop": "stop a server and prove that it is gone",
    "explain": "explain any engine's log, also of another machine: what failed and what to do",
    "measure": "send load to a server and sum up the answers",
    "tune": "search the fastest settings of an engine on this machine, and save them",
    "run": "run notebooks headlessly, with one record for each run",
    "report": "write a self-contained page that compares runs",
    "doctor": "find what is missing or wrong on this machine, with one remedy each",
}


_NOT_USABLE = frozenset(
    {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EROFS}
)
"""Error numbers for a path that is a person's to correct, not a fault of the kit."""
_LONGEST = 1_000
"""Characters of a message about wrong usage, which repeats words of the command line."""
_LONGEST_NAME = 300


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors read like all others: what, and what to do next."""

    def error(self, message: str) -> NoReturn:
        """Raise the message instead of printing the whole usage."""
        message = shortened(f"{message[:1].upper()}{message[1:]}", _LONGEST)
        raise UsageError(f"{message}.", remedy=f"{self.prog} --help lists its options.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    prepare_streams()
    with escaped_streams():
        return _run(list(sys.argv[1:] if argv is None else argv))


def build_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of one command, with ``--json`` added.

    Raises:
        UnknownNameError: There is no such command.

    """
    if command not in COMMANDS:
        raise UnknownNameError("command", command, COMMANDS)
    module = import_module(f"seatrial.cli.{command}")
    parser = Parser(
        prog=f"seatrial {command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout and nothing else")
    module.configure(parser)
    return parser


@contextlib.contextmanager
def _input_named() -> Iterator[None]:
    """Raise a UsageError for a file that this user may not use, and for a word that is no text, wherever it was met."""
    try:
        yield
    except UnicodeEncodeError as error:
        if is_text(error.object):  # the encoding's fault
            raise
        raise UsageError(
            f"{shortened(ascii(error.object), _LONGEST_NAME)} is not UTF-8 text.",
            remedy="Type it again, or rename the file.",
        ) from error
    except OSError as error:
        if error.errno not in _NOT_USABLE or error.filename is None:
            raise
        name = shortened(os.fsdecode(error.filename), _LONGEST_NAME)
        raise UsageError(
            f"{name} cannot be used: {error.strerror}.", remedy="Check the path and who may read and write there."
        ) from error


def _run(words: list[str]) -> int:
    """Run one command line; every exception becomes a message and an exit code."""
    as_json = "--json" in words
    try:
        drop_odd_sizes()
        with _input_named():
            return _dispatch(words)
    except SeatrialError as error:
        print(masked(f"seatrial: {error}", secrets_of()), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("seatrial: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return 0
    except Exception as error:  # noqa: BLE001 -- a person reads one line, not a traceback
        if variable("SEATRIAL_TRACEBACK"):
            lines = [shortened(line, _LONGEST) for line in traceback.format_exc().splitlines()]
            print(masked("\n".join(lines), secrets_of()), file=sys.stderr)
            return SeatrialError.exit_code
        what = shortened(traceback.format_exception_only(error)[-1].strip(), _LONGEST)
        note = " (the JSON document was not written)" if as_json else ""
        text = f"seatrial: unexpected failure{note}: {what}\nSet SEATRIAL_TRACEBACK=1 to see where, and report it."
        print(masked(text, secrets_of()), file=sys.stderr)
        return SeatrialError.exit_code


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help"}:
        return _write(lambda: print(_overview()))
    if words[0] == "--version":
        return _write(lambda: print(f"seatrial {__version__}"))
    parser = build_parser(words[0])
    try:
        arguments = parser.parse_args(words[1:])
    except SystemExit as leaving:
        return int(leaving.code or 0)
    answer: CommandResult = import_module(f"seatrial.cli.{words[0]}").run(arguments)
    show = answer.show
    if arguments.json:
        from seatrial.records import finite

        text = json.dumps(finite(answer.document), indent=2)  # in ASCII: it passes through every encoding
        show = partial(print, text)
    try:
        _write(show)
    except BrokenPipeError:  # the reader (head, less) has seen enough: what was found stays
        _discard_output()
        return answer.exit_code
    return answer.exit_code if answer.then is None else answer.then()


def _write(show: Callable[[], None]) -> int:
    """Show a result; raise if standard output could not take all of it."""
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise SeatrialError(
            f"The result could not be written to standard output: {error.strerror}.",
            remedy="Free some space, or send the output elsewhere.",
        ) from error
    return 0


def _discard_output() -> None:
    """Discard the rest of standard output, so that the interpreter's own flush does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _overview() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "usage: seatrial COMMAND [OPTIONS]      (seatrial COMMAND --help has details)\n\n"
        "From a bare machine to a served and measured DeepSeek V4.\n\n"
        f"{rows}\n\n"
        "Exit codes: 0 done, 1 unexpected failure, 2 bad usage or input, 3 does not fit or refused,\n"
        "4 the engine failed, 5 the measurement is not valid."
    )
