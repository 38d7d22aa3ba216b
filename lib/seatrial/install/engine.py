"""Puts an engine into an environment of its own: checked first, whole or not at all, found by itself afterwards."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seatrial import paths
from seatrial.catalog.engine_facts import Install, engine_facts, engine_ids
from seatrial.errors import EngineError, UnknownNameError, UsageError
from seatrial.install.checks import check_machine, find_python, python_version, sizes
from seatrial.install.steps import InstallEvent, Steps, Tell, Tool, choose_tool, find_uv
from seatrial.programs.own import NOTE, Installation, folder_of, installations, read_installation
from seatrial.records import to_dict, write_json, write_text
from seatrial.server.folder import folder_of as server_folder
from seatrial.server.registry import list_servers

_PROOF = (
    "import importlib, importlib.metadata, sys\n"
    "for name in sys.argv[2:]: importlib.import_module(name)\n"
    "print('version', importlib.metadata.version(sys.argv[1]))\n"
    "print('packages', len(list(importlib.metadata.distributions())))"
)


@dataclass(frozen=True, slots=True)
class InstallResult:
    """What an installation came to.

    Attributes:
        installation: What is there now.
        already: Whether it was there before, so that nothing was done.
        notes: What is not quite right on this machine.

    """

    installation: Installation
    already: bool
    notes: tuple[str, ...] = ()


def _installable() -> dict[str, tuple[str, Install]]:
    """What can be installed, by name: engine id and how."""
    rows = ((engine, engine_facts(engine).install) for engine in engine_ids())
    return {row.name: (engine, row) for engine, row in rows if row is not None}


def find_installable(name: str) -> tuple[str, Install]:
    """Engine id and how it is installed, by the name or the engine's id.

    Raises:
        UnknownNameError: Nothing of that name is installed by the kit.

    """
    rows = _installable()
    for engine, row in rows.values():
        if name in {row.name, engine}:
            return engine, row
    raise UnknownNameError("engine to install", name, rows)


def install_engine(
    name: str, *, reinstall: bool = False, anyway: bool = False, tool: Tool | None = None, on_event: Tell | None = None
) -> InstallResult:
    """Install an engine into an environment of its own; one that is there already is left as it is.

    Everything is checked before anything is downloaded. An installation that fails or is interrupted leaves nothing
    that would be used, and the one before it where there was one.

    Args:
        name: ``sglang``, ``vllm``, ``llama-cpp-python``, ``mlx``, or an engine id.
        reinstall: Make it anew.
        anyway: Note what speaks against it instead of refusing it.
        tool: ``uv`` or ``pip``; None chooses.
        on_event: Called, in this thread, as it goes on.

    Raises:
        UnknownNameError: There is no such engine to install.
        RefusedError: This machine cannot run or build it.
        DoesNotFitError: The disk is too small.
        UsageError: Another installation of it is under way, or a server runs from it.
        EngineError: It could not be installed; ``cause`` says why.

    """
    engine, row = find_installable(name)
    tell = on_event or (lambda _: None)
    folder = folder_of(row.name, row.version)
    with _alone(row.name) as lock:
        _tidy(folder)
        found = read_installation(folder)
        if found and not reinstall:
            return InstallResult(found, already=True)
        if found:
            _check_unused(found)
        python = find_python(row)
        notes = check_machine(engine, row, python, anyway=anyway)
        tell(InstallEvent("check", f"{row.name} {row.version} takes {sizes(row)}. {row.note}", 0, row.download_bytes))
        with _replacing(folder):
            installation = _install(_Job(engine, row, folder, python, tool or choose_tool(), lock, tell))
        _remove_older(installation)
    tell(
        InstallEvent("done", f"{row.name} {installation.version} is installed", row.download_bytes, row.download_bytes)
    )
    return InstallResult(installation, already=False, notes=tuple(notes))


def remove_engine(name: str) -> list[Installation]:
    """Remove every installation of an engine, also what an interrupted one left.

    Returns:
        What was whole and is gone now.

    Raises:
        UnknownNameError: There is no such engine.
        UsageError: An installation is under way, or a server runs from it.

    """
    _, row = find_installable(name)
    if not paths.engines_dir().is_dir():
        return []
    with _alone(row.name):
        found = [each for each in installations() if each.name == row.name]
        for each in found:
            _check_unused(each)
        for folder in _folders_of(row):
            shutil.rmtree(folder)
    return found


@dataclass(frozen=True, slots=True)
class _Job:
    engine: str
    row: Install
    folder: Path
    python: str
    tool: Tool
    lock: int
    tell: Tell


def _install(job: _Job) -> Installation:
    row, folder, tell = job.row, job.folder, job.tell
    begun = time.monotonic()
    log = paths.engines_dir().absolute() / f"{row.name}.log"
    write_text(log, "", mode=0o600)
    temporary = folder / ".unpacked"
    temporary.mkdir(parents=True)
    tell(InstallEvent("environment", f"an environment in {folder}, with {job.tool}", 0, row.download_bytes))
    own = str(folder / "bin/python")
    steps = Steps(row.name, log, temporary, job.lock, tell, row.download_bytes)
    if job.tool == "uv":
        uv = find_uv()
        steps.run([uv, "venv", "--allow-existing", "--no-project", "--python", job.python, str(folder)])
        steps.run([uv, "pip", "install", "--python", own, *row.requirements])
    else:
        steps.run([job.python, "-m", "venv", str(folder)])
        steps.run([own, "-m", "pip", "install", *row.requirements])
    tell(InstallEvent("prove", f"{row.name} is asked for its version", row.download_bytes, row.download_bytes))
    version, packages = _prove(own, row, log)
    shutil.rmtree(temporary)
    installation = Installation(
        name=row.name,
        engine=job.engine,
        package=row.package,
        version=version,
        path=str(folder),
        python_version=python_version(own),
        tool=job.tool,
        packages=packages,
        size_bytes=_size(folder),
        took_s=round(time.monotonic() - begun, 1),
        installed_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    write_json(folder / NOTE, to_dict(installation))
    return installation


def _prove(python: str, row: Install, log: Path) -> tuple[str, int]:
    """Import it where it was installed; gives its version and the number of packages."""
    argv = (python, "-I", "-c", _PROOF, row.package, *row.proof)
    told = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {python} -c 'import {', '.join(row.proof)}'\n{told.stdout}{told.stderr}")
    said = dict(line.split(None, 1) for line in told.stdout.splitlines()[-2:] if " " in line)
    if told.returncode or said.keys() != {"version", "packages"}:
        lines = tuple((told.stderr or told.stdout).strip().splitlines()[-4:])
        raise EngineError(
            "\n".join([f"{row.name} was installed and cannot be imported.", *(f"  | {line[:300]}" for line in lines)]),
            remedy=f"It was removed again. The whole log: {log}",
            cause="does not import",
            evidence=lines,
        )
    return said["version"], int(said["packages"])


def _size(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


@contextlib.contextmanager
def _alone(name: str) -> Iterator[int]:
    """Hold the lock of an engine; whatever pip started holds it too, should this process be killed.

    Raises:
        UsageError: Somebody else holds it.

    """
    folder = paths.engines_dir().absolute()
    with paths.locked(folder, name) as lock:
        if lock is None:
            raise UsageError(
                f"Another installation of {name} is under way in {folder}.", remedy="Wait for it, or end it."
            )
        yield lock


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[None]:
    """Make room for an environment; what was whole there comes back where the new one fails."""
    if folder.exists():
        folder.rename(_aside(folder))
    try:
        yield
    finally:
        _tidy(folder)


def _tidy(folder: Path) -> None:
    """Leave one whole environment or none: half a one goes, and the one it was to replace comes back."""
    aside = _aside(folder)
    if read_installation(folder):
        shutil.rmtree(aside, ignore_errors=True)
        return
    shutil.rmtree(folder, ignore_errors=True)
    if aside.exists():
        aside.rename(folder)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.before")


def _remove_older(installation: Installation) -> None:
    """Other releases of the same engine are in nobody's way, unless a server runs from one."""
    for older in installations():
        if older.name == installation.name and older.path != installation.path and not _users(older):
            shutil.rmtree(older.path, ignore_errors=True)


def _folders_of(row: Install) -> list[Path]:
    parent = paths.engines_dir().absolute()
    return [path for path in parent.iterdir() if path.is_dir() and path.name.lstrip(".").startswith(f"{row.name}-")]


def _check_unused(found: Installation) -> None:
    names = _users(found)
    if names:
        raise UsageError(
            f"{found.name} {found.version} is in use: {', '.join(names)} runs from {found.path}.",
            remedy=f"Stop it first: seatrial stop {names[0]}",
        )


def _users(found: Installation) -> list[str]:
    """Servers that run from an environment."""
    names = []
    for server in list_servers():
        record = server_folder(server.name).record()
        if record is not None and server.running and record.argv[0].startswith(f"{found.path}/"):
            names.append(server.name)
    return names
