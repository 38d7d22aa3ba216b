"""Runs one job of several ranks on a cluster: submits it, watches it, and says which rank died."""

from seatrial.scale.slurm import Job, JobError, Submitted, submit

__all__ = ["Job", "JobError", "Submitted", "submit"]
