"""A job of ranks on a real Slurm: run as asked, refused, or given up."""

import json
import sys
from dataclasses import replace

import pytest

from seatrial.errors import EngineMissingError, RefusedError, UsageError
from seatrial.scale import JobError, SlurmJob, submit

pytestmark = [pytest.mark.usefixtures("slurm"), pytest.mark.xdist_group("slurm")]
ECHO = "import json, os, sys; print(json.dumps([os.environ['SLURM_NODEID'], *sys.argv[1:]]))"
ODD = ("two words", "$(touch hacked)", "`id`", "; exit 3", "'", '"', "\\", "*", "~", "line\nbreak", "", "-x", "é")


def test_every_rank_gets_its_own_arguments_unchanged(tmp_path):
    """Whatever a shell would read in them."""
    ranks = tuple((sys.executable, "-c", ECHO, *ODD, str(rank)) for rank in range(2))
    submit(SlurmJob("echo", ranks, gpus_per_rank=8), tmp_path / "job").wait()
    told = [json.loads((tmp_path / "job" / f"rank-{rank}.log").read_text()) for rank in range(2)]
    assert [[str(rank), *ODD, str(rank)] for rank in range(2)] == told
    assert not (tmp_path / "job" / "hacked").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a b"}, "cannot name a job"),
        ({"name": "x\n#SBATCH --uid=0"}, "cannot name a job"),
        ({"partition": "main --uid=0"}, "cannot name a partition"),
        ({"ranks": ()}, "program for every rank"),
        ({"ranks": (("",),)}, "program for every rank"),
        ({"ranks": (("a", "b\0c"),)}, "NUL"),
        ({"gpus_per_rank": -1}, "make no sense"),
        ({"time_limit_minutes": 0}, "make no sense"),
    ],
)
def test_what_makes_no_sense_is_not_submitted(tmp_path, changes, words):
    """Bad usage, and nothing was written."""
    with pytest.raises(UsageError, match=words):
        submit(SlurmJob(**{"name": "job", "ranks": (("true",),), **changes}), tmp_path / "job")
    assert not (tmp_path / "job").exists()


@pytest.mark.parametrize(
    "changes",
    [{"ranks": (("true",),) * 4}, {"gpus_per_rank": 9}, {"partition": "nosuch"}],
    ids=["nodes", "gpus", "partition"],
)
def test_what_the_cluster_does_not_have_is_refused(tmp_path, changes):
    """In Slurm's own words, at once."""
    with pytest.raises(RefusedError, match="Slurm refuses: ") as caught:
        submit(SlurmJob(**{"name": "job", "ranks": (("true",),), **changes}), tmp_path)
    assert "sinfo" in caught.value.remedy


def test_a_job_can_be_cancelled(tmp_path):
    """Cancelled from here: nothing of it is left, and waiting says so."""
    submitted = submit(SlurmJob("long", (("sleep", "1000"),)), tmp_path)
    submitted.cancel()
    assert submitted.state()[0] in {"CANCELLED", "FAILED"}
    with pytest.raises(JobError) as caught:
        submitted.wait()
    assert ("cancelled", None) == (caught.value.cause, caught.value.rank)


@pytest.mark.parametrize("completed", [True, False])
def test_a_job_that_slurm_has_forgotten_is_judged_by_its_folder(tmp_path, completed):
    """Slurm drops a job some minutes after its end; a process that slept until then still learns how it ended."""
    done = submit(SlurmJob("short", (("true",),)), tmp_path)
    done.wait()
    if not completed:
        (tmp_path / "completed").unlink()
    forgotten = replace(done, number=999_999)
    if completed:
        assert forgotten.wait() is None
    else:
        with pytest.raises(JobError, match="UNKNOWN"):
            forgotten.wait()


def test_without_slurm_that_is_said(monkeypatch, tmp_path):
    """No sbatch on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissingError, match="sbatch is not installed"):
        submit(SlurmJob("job", (("true",),)), tmp_path)
