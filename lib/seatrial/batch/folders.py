"""Where a run is written, and what is already there.

A run has a folder of its own: the executed notebooks and ``record.json``. Nothing is ever
written outside it, over a file that no run made, or through a link.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seatrial.batch.types import Run
from seatrial.errors import UsageError, cannot_write
from seatrial.records import RECORD, RECORD_MIME, from_dict, read_json

_RUNS = Path("runs")


def choose_folder(output: Path | str | None) -> Path:
    """The folder of a run, checked but not created; a new one in ``runs/`` where none is given.

    Raises:
        UsageError: The path climbs with ``..``, holds braces or control characters, is a
            link or a file.

    """
    if output is None:
        return _new_folder()
    text = os.fspath(output)
    if not text.strip() or not text.isprintable() or any(mark in text for mark in "{}"):
        raise UsageError(
            f"{text[:80]!r} is not a folder to write to: braces, control characters and empty names are refused.",
            remedy="Name a plain folder, such as runs/first.",
        )
    path = Path(text).expanduser()
    if ".." in path.parts:
        raise UsageError(f"The output path {text!r} climbs with '..'.", remedy="Name the folder itself.")
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        kind = "a link" if path.is_symlink() else "a file"
        raise UsageError(f"The output path {text!r} is {kind}, not a folder.", remedy="Name a folder, or a new one.")
    return path


def check_targets(folder: Path, names: Sequence[str]) -> Run | None:
    """The run already in ``folder``, if there is one; refuse to write over anything else.

    Raises:
        UsageError: A file to be written is a link, or no run made it.

    """
    earlier = read_run(folder)
    made_here = {one.notebook for one in earlier.notebooks} if earlier else set()
    for name in (RECORD, *names):
        target = folder / name
        if target.is_symlink():
            raise UsageError(f"{target} is a link; it would be written through.", remedy="Name another folder.")
        if target.exists() and name != RECORD and name not in made_here:
            raise UsageError(
                f"{target} is there already, and no run made it.", remedy="Name another folder with --output."
            )
    return earlier


def read_run(folder: Path) -> Run | None:
    """The run recorded in ``folder``; None where there is none.

    Raises:
        UsageError: ``record.json`` is there but cannot be read as a run.

    """
    path = folder / RECORD
    return from_dict(Run, read_json(path)) if path.exists() else None


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Create ``folder`` and hold it, so that two runs never write into the same one; one left empty goes again.

    Raises:
        UsageError: It cannot be created or written, or another run holds it.
        DoesNotFitError: The disk is full.

    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise cannot_write(folder, error, "Choose another with --output.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise UsageError(
            f"Another run is writing into {folder}.", remedy="Wait for it, or choose another folder with --output."
        ) from error
    try:
        yield
    finally:
        os.close(handle)
        for path in made:
            with contextlib.suppress(OSError):  # something lies in it
                path.rmdir()


def read_results(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """What the executed notebooks in ``folder`` recorded, by name; a later one replaces an earlier one's."""
    results: dict[str, Any] = {}
    for name in names:
        path = folder / name
        if not path.exists():
            continue
        for cell in read_json(path)["cells"]:
            for output in cell.get("outputs", ()):
                bundle = output.get("data", {}).get(RECORD_MIME)
                if bundle:
                    results[bundle["name"]] = bundle["value"]
    return results


def _new_folder() -> Path:
    """A name no other run has: not even one that starts in the same second, before either has made its folder."""
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    folder, count = _RUNS / stamp, 1
    while folder.exists():
        count += 1
        folder = _RUNS / f"{stamp}-{count}"
    return folder
