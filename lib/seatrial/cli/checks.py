"""Checks this machine for ``seatrial doctor``: each gives its finding and, if needed, one remedy."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from seatrial import paths
from seatrial.cli.engine_checks import check_engines, check_flags, check_wsl
from seatrial.engines.requirements import Check
from seatrial.errors import SeatrialError
from seatrial.hardware import Hardware, detect_hardware
from seatrial.units import GIB, format_bytes, format_gib

_CONTRIBUTOR_EXTRAS = {"test", "dev"}
_MIN_OPEN_FILES = 4096  # the load generator opens up to two sockets for each concurrent request
_MIN_SHARED_MEMORY = GIB  # NCCL passes data between GPUs through it; Docker's default of 64 MiB is too small


def run_checks(*, ask_engines: bool = False) -> list[Check]:
    """Run all checks; one that fails itself becomes a problem."""
    hardware = detect_hardware()
    checks: tuple[Callable[[], Iterable[Check]], ...] = (
        _check_python,
        check_packages,
        lambda: check_engines(hardware),
        lambda: _check_accelerators(hardware),
        lambda: check_wsl(hardware),
        lambda: _check_memory(hardware),
        _check_stand_in,
        lambda: check_disk(hardware.host.disk_free_bytes),
        check_folders,
        lambda: check_shared_memory(len(hardware.gpus)),
        check_open_files,
        _check_servers,
        *((check_flags,) if ask_engines else ()),
    )
    return [found for check in checks for found in _guarded(check)]


def _check_python() -> Iterator[Check]:
    """Check that Python is as new as the package asks for."""
    required = metadata.metadata("seatrial")["Requires-Python"]
    version = platform.python_version()
    if SpecifierSet(required).contains(version, prereleases=True):
        yield Check("Python", "ok", f"{version} at {sys.executable}")
    else:
        yield Check(
            "Python", "problem", f"{version}, but {required} is needed", "Install a newer Python and run make run."
        )


def check_packages() -> Iterator[Check]:
    """Check the packages that the library needs, and those of each extra."""
    requirements = [Requirement(text) for text in metadata.requires("seatrial") or []]
    base = [requirement for requirement in requirements if _applies(requirement, "")]
    yield _check_group("", base)
    for extra in metadata.metadata("seatrial").get_all("Provides-Extra") or []:
        added = [requirement for requirement in requirements if _applies(requirement, extra)]
        yield _check_group(extra, [requirement for requirement in added if requirement not in base])


def _applies(requirement: Requirement, extra: str) -> bool:
    """Return True if a requirement belongs to ``extra`` on this system; "" is the library itself."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _check_group(extra: str, requirements: list[Requirement]) -> Check:
    wrong = [text for requirement in requirements if (text := _wrong_with(requirement))]
    name = f"Packages of seatrial[{extra}]" if extra else "Packages of seatrial"
    if not wrong:
        return Check(name, "ok", f"all {len(requirements)} installed")
    if extra in _CONTRIBUTOR_EXTRAS:
        found = f"{len(wrong)} of {len(requirements)} not installed; needed only to work on seatrial itself"
        return Check(name, "ok", found)
    package = f"seatrial[{extra}]" if extra else "seatrial"
    return Check(name, "warning" if extra else "problem", "; ".join(wrong), f"Run: pip install '{package}'.")


def _wrong_with(requirement: Requirement) -> str:
    """Return a phrase on a package that is missing or of a wrong version, else ""."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{requirement.name} {version} is installed, {requirement.specifier} is needed"


def _check_accelerators(hardware: Hardware) -> Iterator[Check]:
    """Report the accelerators, and each reading that failed."""
    names = sorted({gpu.name for gpu in hardware.gpus})
    found = f"{hardware.name}: {', '.join(names)}" if names else "none: models run on the CPU"
    yield Check("Accelerators", "ok", found)
    for problem in hardware.problems:
        yield Check("Accelerators", "warning", problem.what, problem.remedy)


def _check_memory(hardware: Hardware) -> Iterator[Check]:
    """Check the memory that a model may use, within the limit of a container."""
    host = hardware.host
    limit = (
        "" if host.memory_limit_bytes is None else f", limited to {format_gib(host.memory_limit_bytes)} by the cgroup"
    )
    found = f"{format_gib(host.memory_available_bytes)} of {format_gib(host.memory_bytes)} available{limit}"
    short = host.memory_available_bytes is not None and host.memory_available_bytes < GIB
    remedy = "End other programs, or raise the memory limit of the container." if short else ""
    yield Check("Memory", "problem" if short else "ok", found, remedy)


def _check_stand_in() -> Iterator[Check]:
    """Check that the small real model is fetched, which stands in for DeepSeek V4."""
    from seatrial.catalog import find_checkpoint
    from seatrial.fetch.checkpoint import local_path

    checkpoint = find_checkpoint("smollm2")
    path = local_path(checkpoint)
    if path is not None:
        yield Check("Stand-in model", "ok", f"{checkpoint.id} at {path}")
    else:
        size = format_bytes(checkpoint.weights_bytes)
        yield Check(
            "Stand-in model", "warning", f"{checkpoint.id} ({size}) not fetched", "Run: seatrial fetch smollm2."
        )


def check_disk(free: int | None) -> Iterator[Check]:
    """Compare the free disk with the smallest and the official model."""
    from seatrial.catalog import find_checkpoint

    small, official = (find_checkpoint(name).weights_bytes for name in ("smollm2", "flash"))
    folder = paths.models_dir()
    if free is None:
        yield Check("Disk for models", "warning", f"free space of {folder} could not be read", "Check the folder.")
        return
    found = f"{format_gib(free)} free for {folder} (DeepSeek-V4-Flash needs {format_gib(official)})"
    if small is not None and free < small:
        yield Check("Disk for models", "problem", found, "Free some space, or set SEATRIAL_CACHE to another disk.")
    else:
        yield Check("Disk for models", "ok", found)


def check_folders() -> Iterator[Check]:
    """Check that models and server records can be written, with a file that leaves no trace."""
    for name, folder, variable in (
        ("Model folder", paths.models_dir(), "SEATRIAL_CACHE"),
        ("State folder", paths.state_dir(), "SEATRIAL_STATE"),
    ):
        existing = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
        try:
            with tempfile.TemporaryFile(dir=existing):  # permissions do not show a read-only disk
                yield Check(name, "ok", f"{folder} can be written")
        except OSError as error:
            found = f"{folder} cannot be written: {existing}: {error.strerror}"
            yield Check(name, "problem", found, f"Set {variable} to a folder you can write.")


def check_shared_memory(gpu_count: int, folder: Path = Path("/dev/shm")) -> Iterator[Check]:  # noqa: S108 -- only its size is read
    """Check the shared memory through which several GPUs pass data."""
    if not folder.is_dir():
        return
    size = shutil.disk_usage(folder).total
    if gpu_count > 1 and size < _MIN_SHARED_MEMORY:
        found = (
            f"{format_bytes(size)} in {folder} for {gpu_count} GPUs; {format_bytes(_MIN_SHARED_MEMORY)} is the least"
        )
        yield Check("Shared memory", "warning", found, "Start the container with --ipc=host or --shm-size=32g.")
    else:
        yield Check("Shared memory", "ok", f"{format_bytes(size)} in {folder}")


def check_open_files() -> Iterator[Check]:
    """Check how many files and sockets one process may have open."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _MIN_OPEN_FILES:
        found = f"{soft} at once; high concurrency needs {_MIN_OPEN_FILES}"
        remedy = f"Run 'ulimit -n {_MIN_OPEN_FILES}' in the shell before seatrial."
        if hard != resource.RLIM_INFINITY and hard < _MIN_OPEN_FILES:
            remedy = (
                "Raise the hard limit: nofile in /etc/security/limits.conf, or --ulimit nofile=65535 of docker run."
            )
        yield Check("Open files", "warning", found, remedy)
    else:
        yield Check("Open files", "ok", "no limit" if soft == resource.RLIM_INFINITY else f"{soft} at once")


def _check_servers() -> Iterator[Check]:
    """List the servers that run."""
    from seatrial.server import list_servers

    names = [server.name for server in list_servers()]
    if names:
        yield Check("Servers", "ok", f"running: {', '.join(names)}", "Stop them with: seatrial stop --all.")
    else:
        yield Check("Servers", "ok", "none runs")


def _guarded(check: Callable[[], Iterable[Check]]) -> list[Check]:
    """Return what one check found; its own failure becomes a problem."""
    found: list[Check] = []
    try:
        found += check()
    except SeatrialError as error:
        found.append(_stopped(error.what, error.remedy))
    except Exception as error:  # noqa: BLE001 -- the other checks must go on
        found.append(_stopped(f"{type(error).__name__}: {error}", ""))
    return found


def _stopped(what: str, remedy: str) -> Check:
    return Check("A check stopped", "problem", what, remedy or "Repair that, then run seatrial doctor again.")
