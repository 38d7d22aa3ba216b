"""Runs notebooks headlessly; each run has a folder with the executed notebooks and one record."""

from seatrial.batch.folders import read_run
from seatrial.batch.grid import expand_grid
from seatrial.batch.parameters import parse_assignments
from seatrial.batch.runs import run_notebooks
from seatrial.batch.types import NotebookResult, Run, RunProgress

__all__ = ["NotebookResult", "Run", "RunProgress", "expand_grid", "parse_assignments", "read_run", "run_notebooks"]
