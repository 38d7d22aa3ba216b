"""Installs an engine into an environment of its own, or removes it: ``seatrial engines install`` and ``remove``."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from seatrial.cli.answer import CommandResult, stderr, stdout
from seatrial.records import to_dict
from seatrial.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from seatrial.install.engine import InstallResult
    from seatrial.install.steps import OnEvent

_INSTALL_HELP = """Puts an engine into an environment of its own, where seatrial serve finds it.

Platform, Python, drivers, compiler and disk are checked before anything is downloaded. Your settings
of pip or uv for indexes and wheels apply. An interrupted installation leaves nothing
that would be used; this Python's own packages are never touched."""


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Declare ``install`` and ``remove``."""
    commands = parser.add_subparsers(
        dest="action",
        metavar="install NAME | remove NAME",
        required=False,
        help="put an engine into an environment of its own, or remove it (default: list the engines)",
    )
    raw = argparse.RawDescriptionHelpFormatter
    install = commands.add_parser("install", description=_INSTALL_HELP, formatter_class=raw, allow_abbrev=False)
    install.add_argument("name", metavar="NAME", help="sglang, vllm, llama-cpp-python or mlx")
    install.add_argument("--reinstall", action="store_true", help="install again, even if it is installed")
    install.add_argument(
        "--anyway", action="store_true", help="install even if this machine lacks what the engine requires"
    )
    install.add_argument(
        "--tool",
        choices=("uv", "pip"),
        default=None,
        help="default: uv if it is installed and pip has no settings of its own",
    )
    remove = commands.add_parser("remove", description="Removes what install made.", allow_abbrev=False)
    remove.add_argument("name", metavar="NAME", help="sglang, vllm, llama-cpp-python or mlx")
    for command in (install, remove):
        command.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print one JSON document on stdout and nothing else",
        )


def install(arguments: argparse.Namespace) -> CommandResult:
    """Install one engine, with progress on stderr."""
    from seatrial.install.engine import install_engine

    with _ending_softly(), _progress() as tell:
        outcome = install_engine(
            arguments.name,
            reinstall=arguments.reinstall,
            anyway=arguments.anyway,
            tool=arguments.tool,
            on_event=tell,
        )
    for note in outcome.notes:
        stderr().print(note, soft_wrap=True)
    document = to_dict(outcome.installation) | {"already": outcome.already, "notes": list(outcome.notes)}
    return CommandResult(document, lambda: stdout().print(_sentence(outcome), soft_wrap=True))


def remove(arguments: argparse.Namespace) -> CommandResult:
    """Remove one engine."""
    from seatrial.install.engine import remove_engine

    gone = remove_engine(arguments.name)
    lines = [f"{row.name} {row.version} is removed: {format_bytes(row.size_bytes)} in {row.path}." for row in gone]
    nothing = f"{arguments.name} was not installed by seatrial."
    return CommandResult(to_dict(gone), lambda: stdout().print("\n".join(lines) or nothing, soft_wrap=True))


def _sentence(outcome: InstallResult) -> str:
    row = outcome.installation
    if outcome.already:
        return f"{row.package} {row.version} is installed already, in {row.path}."
    return (
        f"{row.package} {row.version} is installed in {row.path}: {row.packages} packages, "
        f"{format_bytes(row.size_bytes)}, in {format_seconds(row.took_s)}."
    )


@contextmanager
def _ending_softly() -> Iterator[None]:
    """Let TERM and a closed terminal end the installation as Ctrl-C does, with nothing left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress() -> Iterator[OnEvent]:
    """Yield a listener that draws one bar on stderr, or a line for each stage if stderr is no terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from seatrial.install.steps import InstallEvent

    console = stderr()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task, stages = bar.add_task("", total=None, visible=False), set[str]()

        def tell(event: InstallEvent) -> None:
            if event.stage == "check" or (not console.is_terminal and event.stage not in stages):
                console.print(event.text, soft_wrap=True)
            stages.add(event.stage)
            done = min(event.done_bytes, event.total_bytes)
            bar.update(task, description=event.text[:72], completed=done, total=event.total_bytes or None, visible=True)

        yield tell
