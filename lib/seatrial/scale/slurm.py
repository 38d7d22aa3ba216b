"""Submits a job of ranks to Slurm and watches it; all ranks end within seconds of the first that dies.

Slurm's own programs do the work: ``sbatch``, ``scontrol``, ``scancel``. A script starts each rank by its number. Every
word in the script is quoted, so that no shell interprets an argument.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import EngineError, EngineMissingError, RefusedError, UsageError
from seatrial.printable import printable
from seatrial.writing import write_text

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_POLL_S = 0.25
_GONE_S = 10.0
_KILL_S = 4.0
_ANSWER_S = 30.0
_EVIDENCE_LINES = 8
_ENDED = {
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "BOOT_FAIL",
    "DEADLINE",
    "UNKNOWN",
}
_NEVER_STARTS = {"PartitionNodeLimit", "PartitionTimeLimit", "BadConstraints", "AccountNotAllowed", "QOSNotAllowed"}
"""Reasons of Slurm for which a job would wait for ever."""

_WATCH = r"""step=$!
while kill -0 "$step" 2>/dev/null; do
    sleep 0.5
    if grep -q '^srun: error: .*: tasks\{0,1\} [0-9]' %(log)s; then scancel --signal=KILL "$SLURM_JOB_ID.0"; fi
done
wait "$step" || exit
touch %(completed)s
"""
"""The job itself ends its ranks when one dies. Slurm's own --kill-on-bad-exit sends TERM, and an engine that ignores
TERM keeps its GPUs for the cluster's KillWait, half a minute."""

# Ranks in lines after one of these were ended, and did not die by themselves.
_ENDED_BY_SLURM = re.compile(r"^srun: (Job step aborted|forcing job termination|got SIG)|CANCELLED AT ")
# srun: error: n1: task 1: Killed  --  srun: error: n0: tasks 0-1: Exited with exit code 3
_DIED = re.compile(r"srun: error: (?P<node>[\w.-]+): tasks? (?P<ranks>[\d,-]+): (?P<how>.+)")


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """Programs to run together, one rank a node."""

    name: str  # in Slurm's lists
    ranks: tuple[tuple[str, ...], ...]  # program and arguments of each
    gpus_per_rank: int = 0
    partition: str | None = None  # None for Slurm's default
    time_limit_minutes: int | None = None  # None for the partition's own


class JobError(EngineError):
    """A job that failed; nothing of it runs any more.

    ``cause`` is ``rank died``, ``cancelled``, ``time limit``, ``node failed``, ``never starts`` or ``unknown``.
    """

    rank: int | None = None  # that died first, None if none died
    node: str | None = None  # of that rank


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that Slurm has accepted."""

    job: SlurmJob
    number: int  # Slurm's
    log: Path  # job.log, Slurm's output; rank-N.log beside it has that of a rank

    def wait(self) -> None:
        """Return when every rank has ended well.

        Raises:
            JobError: If a rank died, or Slurm ended the job; then nothing of it is left.

        """
        while True:
            died = self._first_death()
            if died:
                self._end()
                raise self._rank_died(died)
            state, reason = self.state()
            if state == "PENDING" and reason in _NEVER_STARTS:
                self._end()
                raise self._failed(f"it would wait for ever ({reason})", "never starts", "Ask for less: sinfo -l.")
            if state in _ENDED:
                return self._ended(state)
            time.sleep(_POLL_S)

    def state(self) -> tuple[str, str]:
        """Return Slurm's state and reason, such as ``("PENDING", "Resources")``."""
        try:
            answer = _run("scontrol", "show", "job", str(self.number), "--oneliner")
        except RefusedError as error:
            if "Invalid job id" not in error.what:
                raise
            # Slurm forgets a job some minutes after its end (MinJobAge): whoever slept until then asks the folder.
            return ("COMPLETED" if self.log.with_name("completed").exists() else "UNKNOWN"), ""
        fields = dict(word.split("=", 1) for word in answer.split() if "=" in word)
        return fields.get("JobState", "UNKNOWN"), fields.get("Reason", "")

    def cancel(self) -> None:
        """End the job, and return when it has ended."""
        self._cancelled.touch()
        self._end()

    @property
    def _cancelled(self) -> Path:
        return self.log.with_name("cancelled")

    def _ended(self, state: str) -> None:
        died = self._first_death()  # written just before the end
        if died:
            raise self._rank_died(died)
        if state == "COMPLETED":
            return
        if state == "CANCELLED" or self._cancelled.exists():
            raise self._failed("it was cancelled", "cancelled", "Somebody ran scancel: submit it again.")
        if state == "TIMEOUT":
            raise self._failed("its time limit was over", "time limit", "Ask for more minutes.")
        if state in {"NODE_FAIL", "BOOT_FAIL"}:
            raise self._failed("a node failed", "node failed", "Leave the node out (sbatch --exclude), then try again.")
        raise self._failed(f"Slurm ended it ({state})", "unknown", f"Read {self.log}.")

    def _first_death(self) -> re.Match[str] | None:
        if self._cancelled.exists():
            return None  # its ranks were killed on purpose
        before = itertools.takewhile(lambda line: not _ENDED_BY_SLURM.search(line), self._lines())
        return next(filter(None, map(_DIED.search, before)), None)

    def _rank_died(self, died: re.Match[str]) -> JobError:
        rank = int(re.split(r"[,-]", died["ranks"])[0])
        how = printable(died["how"].strip())
        error = self._failed(
            f"rank {rank} on node {died['node']} died: {how}",
            "rank died",
            f"Read {self.log.with_name(f'rank-{rank}.log')}.",
        )
        error.rank, error.node = rank, died["node"]
        return error

    def _failed(self, what: str, cause: str, remedy: str) -> JobError:
        lines = tuple(printable(line)[:300] for line in self._lines() if line.strip())
        return JobError(
            f"Job {self.number} ({self.job.name}, {len(self.job.ranks)} ranks) has failed: {what}.",
            remedy=remedy,
            cause=cause,
            evidence=tuple(line for line in lines if _DIED.search(line))[:_EVIDENCE_LINES] or lines[-_EVIDENCE_LINES:],
        )

    def _lines(self) -> list[str]:
        try:
            return self.log.read_text(errors="replace").splitlines()
        except OSError:
            return []

    def _end(self) -> None:
        """Send KILL to its ranks until they are gone, which ends the job; then cancel what is left.

        In that order, because after Slurm has sent TERM it passes on no other signal for half a minute.
        """
        began = time.monotonic()
        while (state := self.state()[0]) not in _ENDED:
            spent = time.monotonic() - began
            if spent > _GONE_S:
                raise self._failed(
                    "it could not be ended", "cannot be stopped", f"Look: scontrol show job {self.number}."
                )
            if state == "RUNNING" and spent < _KILL_S:
                _run("scancel", "--signal=KILL", f"{self.number}.0", may_fail=True)
            elif state != "COMPLETING":
                _run("scancel", str(self.number), may_fail=True)
            time.sleep(_POLL_S)


def submit(job: SlurmJob, folder: Path) -> Submitted:
    """Submit a job to Slurm.

    Args:
        job: Programs to run.
        folder: Folder for its script and logs; every node must see it.

    Raises:
        UsageError: If a name or number makes no sense.
        RefusedError: If there are no such nodes, partition or GPUs, in Slurm's own words.
        EngineMissingError: If Slurm is not installed.

    """
    _check(job)
    folder = folder.absolute()
    log = folder / "job.log"
    if re.search(r"[%\\\n]", str(log)):  # Slurm would replace it
        raise UsageError(f"{folder} cannot hold a job: Slurm reads % and \\ in it.", remedy="Choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for old in (log, folder / "cancelled", folder / "completed"):
        old.unlink(missing_ok=True)
    write_text(folder / "ranks.sh", _ranks_script(job), mode=0o600)
    write_text(folder / "job.sh", _job_script(job, folder), mode=0o600)
    _run("sbatch", "--test-only", str(folder / "job.sh"))  # without it, sbatch may queue a job that can never run
    number = _run("sbatch", "--parsable", str(folder / "job.sh"))
    return Submitted(job, int(number.split(";")[0]), log)


def _job_script(job: SlurmJob, folder: Path) -> str:
    options = [
        f"--job-name={job.name}",
        f"--nodes={len(job.ranks)}",
        f"--ntasks={len(job.ranks)}",
        "--ntasks-per-node=1",
        "--no-requeue",
        f"--output={folder / 'job.log'}",
    ]
    options += [f"--gpus-per-node={job.gpus_per_rank}"] if job.gpus_per_rank else []
    options += [f"--partition={job.partition}"] if job.partition else []
    options += [f"--time={job.time_limit_minutes}"] if job.time_limit_minutes else []
    start = ["srun", "--kill-on-bad-exit=0", f"--output={folder / 'rank-%t.log'}", "sh", str(folder / "ranks.sh")]
    head = "\n".join(["#!/bin/sh", *(f"#SBATCH {shlex.quote(option)}" for option in options)])
    files = {"log": shlex.quote(str(folder / "job.log")), "completed": shlex.quote(str(folder / "completed"))}
    return f"{head}\n{shlex.join(start)} &\n{_WATCH % files}"


def _ranks_script(job: SlurmJob) -> str:
    cases = [f"{rank}) exec {shlex.join(argv)} ;;" for rank, argv in enumerate(job.ranks)]
    return "\n".join(['case "$SLURM_PROCID" in', *cases, "esac", "exit 64"]) + "\n"


def _check(job: SlurmJob) -> None:
    for what, name in (("job", job.name), ("partition", job.partition)):
        if name is not None and not NAME.fullmatch(name):
            raise UsageError(f"{name[:80]!r} cannot name a {what}.", remedy="Use letters, digits, '.', '_' and '-'.")
    if not job.ranks or not all(argv and argv[0] for argv in job.ranks):
        raise UsageError("A job needs a program for every rank.", remedy="Give each rank its program and arguments.")
    if any("\0" in word for argv in job.ranks for word in argv):
        raise UsageError("A NUL byte can be in no argument.", remedy="Leave it out.")
    if job.gpus_per_rank < 0 or (job.time_limit_minutes is not None and job.time_limit_minutes < 1):
        raise UsageError(
            f"{job.gpus_per_rank} GPUs for {job.time_limit_minutes} minutes make no sense.",
            remedy="Use numbers above 0.",
        )


def _run(*words: str, may_fail: bool = False) -> str:
    """Return the output of a program of Slurm; its error becomes a RefusedError, unless it ``may_fail``."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=_ANSWER_S, check=False)
    except FileNotFoundError as error:
        raise EngineMissingError(
            f"{words[0]} is not installed here.",
            remedy="Run this on a machine with Slurm's programs.",
            cause="engine missing",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise JobError(
            f"{words[0]} did not answer within {_ANSWER_S:g} s.", remedy="Ask whether slurmctld runs: scontrol ping."
        ) from error
    if done.returncode and not may_fail:
        reason = printable(" ".join(done.stderr.replace(f"{words[0]}: error:", "").split()))[:400]
        raise RefusedError(f"Slurm refuses: {reason}", remedy="See what there is: sinfo --Node --long.")
    return done.stdout
