"""Installs an engine into an environment of its own: checked first, complete or not at all, then found by itself."""

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
from seatrial.install.steps import InstallEvent, OnEvent, Steps, Tool, choose_tool, find_uv
from seatrial.programs.own import NOTE, Installation, folder_of, installations, read_installation
from seatrial.records import to_dict, write_json
from seatrial.server.folder import folder_of as server_folder
from seatrial.server.registry import list_servers
from seatrial.writing import open_own, write_text

_PROOF_S = 600.0  # a first import compiles everything, from a slow disk
_PROOF = (
    "import importlib, importlib.metadata, sys\n"
    "for name in sys.argv[2:]: importlib.import_module(name)\n"
    "print('version', importlib.metadata.version(sys.argv[1]))\n"
    "print('packages', len(list(importlib.metadata.distributions())))"
)


@dataclass(frozen=True, slots=True)
class InstallResult:
    """An installation, and how it came about."""

    installation: Installation
    already: bool  # it was there before, so that nothing was done
    notes: tuple[str, ...] = ()  # what is not quite right on this machine


def _installable() -> dict[str, tuple[str, Install]]:
    """Return engine id and installation facts of everything that can be installed, by name."""
    rows = ((engine, engine_facts(engine).install) for engine in engine_ids())
    return {row.name: (engine, row) for engine, row in rows if row is not None}


def find_installable(name: str) -> tuple[str, Install]:
    """Return engine id and installation facts, by the name or the engine's id.

    Raises:
        UnknownNameError: If the kit installs nothing of that name.

    """
    rows = _installable()
    for engine, row in rows.values():
        if name in {row.name, engine}:
            return engine, row
    raise UnknownNameError("engine to install", name, rows)


def install_engine(
    name: str,
    *,
    reinstall: bool = False,
    anyway: bool = False,
    tool: Tool | None = None,
    on_event: OnEvent | None = None,
) -> InstallResult:
    """Install an engine into an environment of its own, if it is not there yet.

    Everything is checked before anything is downloaded. An installation that fails or is interrupted leaves nothing
    that would be used, and leaves an earlier installation as it was.

    Args:
        name: ``sglang``, ``vllm``, ``llama-cpp-python``, ``mlx``, or an engine id.
        reinstall: Make it anew.
        anyway: Note problems instead of refusing them.
        tool: ``uv`` or ``pip``; None chooses.
        on_event: Called at every step, in this thread.

    Raises:
        UnknownNameError: If there is no such engine to install.
        RefusedError: If this machine cannot run or build it.
        DoesNotFitError: If the disk is too small.
        UsageError: If another installation of it is under way, or a server runs from it.
        EngineError: If it could not be installed; ``cause`` says why.

    """
    engine, row = find_installable(name)
    report = on_event or (lambda _: None)
    folder = folder_of(row.name, row.version)
    with _locked(row.name) as lock:
        _tidy(folder)
        found = read_installation(folder)
        if found and not reinstall:
            return InstallResult(found, already=True)
        if found:
            _check_unused(found)
        python = find_python(row)
        notes = check_machine(engine, row, python, anyway=anyway)
        report(InstallEvent("check", f"{row.name} {row.version} takes {sizes(row)}. {row.note}", 0, row.download_bytes))
        with _replacing(folder):
            installation = _install(_Job(engine, row, folder, python, tool or choose_tool(), lock, report))
        _remove_older(installation)
    report(
        InstallEvent("done", f"{row.name} {installation.version} is installed", row.download_bytes, row.download_bytes)
    )
    return InstallResult(installation, already=False, notes=tuple(notes))


def remove_engine(name: str) -> list[Installation]:
    """Remove every installation of an engine, interrupted ones too.

    Returns:
        The complete installations that were removed.

    Raises:
        UnknownNameError: If there is no such engine.
        UsageError: If an installation is under way, or a server runs from it.

    """
    _, row = find_installable(name)
    if not paths.engines_dir().is_dir():
        return []
    with _locked(row.name):
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
    report: OnEvent


def _install(job: _Job) -> Installation:
    row, folder, report = job.row, job.folder, job.report
    begun = time.monotonic()
    log = paths.engines_dir() / f"{row.name}.log"
    write_text(log, "", mode=0o600)
    temporary = folder / ".unpacked"
    temporary.mkdir(parents=True)
    report(InstallEvent("environment", f"an environment in {folder}, with {job.tool}", 0, row.download_bytes))
    own = str(folder / "bin/python")
    steps = Steps(row.name, log, temporary, job.lock, report, row.download_bytes)
    if job.tool == "uv":
        uv = find_uv()
        steps.run([uv, "venv", "--allow-existing", "--no-project", "--python", job.python, str(folder)])
        steps.run([uv, "pip", "install", "--python", own, *row.requirements])
    else:
        steps.run([job.python, "-m", "venv", str(folder)])
        steps.run([own, "-m", "pip", "install", *row.requirements])
    report(InstallEvent("prove", f"{row.name} is asked for its version", row.download_bytes, row.download_bytes))
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
    """Import an engine in its environment; return its version and the number of packages."""
    argv = (python, "-I", "-c", _PROOF, row.package, *row.proof)
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_PROOF_S,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"{row.name} was installed, and its import did not end within {error.timeout:g} s.",
            remedy=f"It was removed again. Run it yourself to see where it hangs: {python} -c 'import {row.package}'",
            cause="does not import",
        ) from error
    with open_own(log, append=True) as stream:
        stream.write(f"$ {python} -c 'import {', '.join(row.proof)}'\n{done.stdout}{done.stderr}".encode())
    answer = dict(line.split(None, 1) for line in done.stdout.splitlines()[-2:] if " " in line)
    if done.returncode or answer.keys() != {"version", "packages"}:
        lines = tuple((done.stderr or done.stdout).strip().splitlines()[-4:])
        raise EngineError(
            "\n".join([f"{row.name} was installed and cannot be imported.", *(f"  | {line[:300]}" for line in lines)]),
            remedy=f"It was removed again. The whole log: {log}",
            cause="does not import",
            evidence=lines,
        )
    return answer["version"], int(answer["packages"])


def _size(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


@contextlib.contextmanager
def _locked(name: str) -> Iterator[int]:
    """Hold the lock of an engine, which whatever pip started holds too, should this process be killed.

    Raises:
        UsageError: If another process holds it.

    """
    folder = paths.engines_dir()
    with paths.locked(folder, name) as lock:
        if lock is None:
            raise UsageError(
                f"Another installation of {name} is under way in {folder}.", remedy="Wait for it, or end it."
            )
        yield lock


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[None]:
    """Move an environment aside while its successor is installed; bring it back if that fails."""
    if folder.exists():
        folder.rename(_aside(folder))
    try:
        yield
    finally:
        _tidy(folder)


def _tidy(folder: Path) -> None:
    """Leave one complete environment or none: remove an incomplete one and bring back the one it was to replace."""
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
    """Remove other releases of the same engine, except those a server runs from."""
    for older in installations():
        if older.name == installation.name and older.path != installation.path and not _users(older):
            shutil.rmtree(older.path, ignore_errors=True)


def _folders_of(row: Install) -> list[Path]:
    found = paths.content_of(paths.engines_dir())
    return [path for path in found if path.is_dir() and path.name.lstrip(".").startswith(f"{row.name}-")]


def _check_unused(found: Installation) -> None:
    names = _users(found)
    if names:
        raise UsageError(
            f"{found.name} {found.version} is in use: {', '.join(names)} runs from {found.path}.",
            remedy=f"Stop it first: seatrial stop {names[0]}",
        )


def _users(found: Installation) -> list[str]:
    """Return the names of the servers that run from an environment."""
    names = []
    for server in list_servers():
        record = server_folder(server.name).record()
        if record is not None and server.running and record.argv[0].startswith(f"{found.path}/"):
            names.append(server.name)
    return names
