"""Runs a job of several ranks on a cluster: submits it, watches it, and names the rank that died."""

from seatrial.scale.slurm import JobError, SlurmJob, Submitted, submit

__all__ = ["JobError", "SlurmJob", "Submitted", "submit"]
