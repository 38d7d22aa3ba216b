"""Fixtures of every test: isolated folders, and parts that a machine may lack."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from hypothesis import settings
from tools.engines import own, python_of

from seatrial.cli.answer import stderr, stdout

pytest_plugins = ["tests.scale.fixtures"]

ROOT = Path(__file__).resolve().parents[1]

ANSWERS = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "pip"]
"""Command that succeeds if a package index answers, which some tests need."""

CGROUPS = Path("/sys/fs/cgroup")


def memory_cgroup():
    """Return the folder for control groups that limit memory (version 1 or 2), None if there is none."""
    if (CGROUPS / "memory/memory.limit_in_bytes").exists():
        folder = CGROUPS / "memory"
    elif (CGROUPS / "cgroup.subtree_control").exists():
        enabled = (CGROUPS / "cgroup.subtree_control").read_text().split()
        folder = CGROUPS if "memory" in enabled else None
    else:
        folder = None
    return folder if folder and os.access(folder / "cgroup.procs", os.W_OK) else None


def disk_reads_are_counted():
    """Return True if the kernel counts the bytes that a process reads from the repository's disk (not on tmpfs)."""
    try:
        with tempfile.NamedTemporaryFile(dir=ROOT, prefix=".disk-") as file:
            file.write(b"x" * (1 << 20))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            before = psutil.Process().io_counters().read_bytes
            os.pread(file.fileno(), 1 << 20, 0)
            return psutil.Process().io_counters().read_bytes > before
    except (OSError, AttributeError, psutil.Error):
        return False


def small_disks_can_be_mounted():
    """Return True if this user may mount a file system in memory."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
        return mounted.returncode == 0 and subprocess.run(["umount", folder], check=False).returncode == 0


def slurm():
    """Return True if Slurm's own daemons can be started, for which they need root."""
    programs = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "runuser")
    return os.getuid() == 0 and all(shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in programs)


def _stand_in():
    from seatrial.catalog import find_checkpoint
    from seatrial.errors import SeatrialError
    from seatrial.fetch.checkpoint import fetch_checkpoint

    try:
        return fetch_checkpoint(find_checkpoint("smollm2"))
    except SeatrialError:
        return None


PARTS = {
    "compiler": lambda: shutil.which("cc") or shutil.which("gcc"),
    "chromium": lambda: shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"),
    "xllamacpp": lambda: find_spec("xllamacpp"),
    "stand-in model": _stand_in,
    "llama-server": lambda: os.environ.get("SEATRIAL_LLAMA_SERVER") or shutil.which("llama-server"),
    "llama_cpp.server": lambda: os.environ.get("SEATRIAL_LLAMACPP_PYTHON") or find_spec("llama_cpp"),
    "memory cgroup": memory_cgroup,
    "disk": disk_reads_are_counted,
    "mount": lambda: shutil.which("mount") and small_disks_can_be_mounted(),
    "slurm": slurm,
    "uv": lambda: find_spec("uv"),
    "setpriv": lambda: os.getuid() or shutil.which("setpriv"),
    "openssl": lambda: shutil.which("openssl"),
    "ps": lambda: shutil.which("ps"),
    "repo2docker": lambda: find_spec("repo2docker"),
    "git": lambda: shutil.which("git") and (ROOT / ".git").exists(),
    "sglang parser": lambda: python_of("sglang"),
    "sglang server": lambda: os.environ.get("SGLANG_SERVER") and python_of("sglang"),
    "mlx": lambda: own("mlx"),
    "llama-cpp-python": lambda: own("llama-cpp-python"),
    "index": lambda: subprocess.run(ANSWERS, capture_output=True, check=False).returncode == 0,
}
"""Parts that some tests need, each with a check that is true if it is installed."""

REMEDIES = {
    "sglang parser": "make test-engines installs it and runs these tests",
    "sglang server": "make test-engines SGLANG_SERVER=1 installs it and runs these tests",
    "mlx": "make test-engines installs it and runs these tests",
    "llama-cpp-python": "make test-engines installs it and runs these tests",
    "slurm": "on Debian and Ubuntu, as root: apt install slurm-wlm munge",
}
"""Command that installs a part, if one command does."""


# The same examples every time, so that a red test is red for everybody; SEATRIAL_EXPLORE=1 looks for new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("explore" if os.environ.get("SEATRIAL_EXPLORE") else "steady")


@pytest.fixture
def require():
    """Skip with the reason if a part is missing; fail if SEATRIAL_REQUIRE names it."""

    def check(part):
        if PARTS[part]():
            return
        remedy = f" ({REMEDIES[part]})" if part in REMEDIES else ""
        message = f"{part} is not installed, so this was not tested{remedy}"
        if part in os.environ.get("SEATRIAL_REQUIRE", "").split(","):
            pytest.fail(message)
        pytest.skip(message)

    return check


@pytest.fixture(autouse=True)
def isolated_state(monkeypatch, tmp_path_factory):
    """Keep server records and engines of a test apart from those of the person who runs it."""
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("SEATRIAL_ENGINES", str(tmp_path_factory.mktemp("engines")))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))


@pytest.fixture(autouse=True)
def ctrl_c():
    """Let child processes receive Ctrl-C, even if the tests run in the background and ignore it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch):
    """Make output independent of the terminal that runs the tests, and of the test before.

    A process caches its consoles with the width they were made for: every test makes its own.
    """
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    for console in (stdout, stderr):
        console.cache_clear()
