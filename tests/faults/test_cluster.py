"""Fault 35: a job of several ranks on a real Slurm of two nodes loses one of them, or was never possible."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from tests.server.conftest import until

from seatrial.errors import RefusedError
from seatrial.scale import JobError, SlurmJob, submit

pytestmark = [pytest.mark.usefixtures("slurm"), pytest.mark.xdist_group("slurm"), pytest.mark.fault(35)]

RANK = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, getattr(signal, sys.argv[2]))
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(1000)
"""


@pytest.fixture
def ranks(tmp_path, request):
    """Submit a job of two ranks that ignore TERM (by default); return the job and the pid of each rank.

    It ends with its test, whatever becomes of that: the next job could not start while this one has the nodes.
    """
    files = [tmp_path / f"pid-{rank}" for rank in range(2)]
    on_term = getattr(request, "param", "SIG_IGN")
    argvs = tuple((sys.executable, "-c", RANK, str(file), on_term) for file in files)
    submitted = submit(SlurmJob("ranks", argvs), tmp_path / "job")
    try:
        until(lambda: all(file.exists() and file.read_text() for file in files), "both ranks")
        yield submitted, [int(file.read_text()) for file in files]
    finally:
        submitted.cancel()


def given_up(submitted):
    """Wait for a job that fails, and return the error, which comes when the job has ended."""
    with pytest.raises(JobError) as caught:
        submitted.wait()
    return caught.value


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_dies(ranks, rank, seen):
    """Killed: no rank is left when the error arrives, and the error names rank and node."""
    submitted, pids = ranks
    begun = time.monotonic()
    os.kill(pids[rank], signal.SIGKILL)
    error = given_up(submitted)
    seen.took("job", time.monotonic() - begun)
    assert (rank, f"n{rank}", "rank died") == (error.rank, error.node, seen.cause(error))
    assert "Killed" in error.what
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_rank_exits(tmp_path, seen):
    """With code 3, while the other would go on for ever."""
    job = SlurmJob("exits", (("sleep", "1000"), ("sh", "-c", "echo no such model >&2; exit 3")))
    error = given_up(submit(job, tmp_path))
    assert (1, "n1", "rank died") == (error.rank, error.node, seen.cause(error))
    assert "exit code 3" in error.what
    assert "no such model" in (tmp_path / "rank-1.log").read_text()


def test_impossible_nodes(tmp_path, seen):
    """Four nodes of two: refused by Slurm before anything is queued."""
    with pytest.raises(RefusedError, match="node configuration is not available") as caught:
        submit(SlurmJob("large", (("true",),) * 4), tmp_path)
    seen.cause(caught.value)


@pytest.mark.parametrize("ranks", ["SIG_DFL"], indirect=True)
def test_a_job_is_cancelled(ranks, seen):
    """By somebody else, while it runs."""
    submitted, pids = ranks
    begun = time.monotonic()
    subprocess.run(["scancel", str(submitted.number)], check=True)
    error = given_up(submitted)
    seen.took("job", time.monotonic() - begun)
    assert "cancelled" == seen.cause(error)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_job_is_cancelled_from_here(ranks, seen):
    """Ranks that ignore TERM are gone just as soon."""
    submitted, pids = ranks
    begun = time.monotonic()
    submitted.cancel()
    seen.took("job", time.monotonic() - begun)
    assert not any(psutil.pid_exists(pid) for pid in pids)
