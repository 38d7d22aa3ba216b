"""The reference pages agree with the code."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_written_pages_are_up_to_date():
    """docs/cli.md, docs/api.md and docs/notebooks.md are what tools/docs.py would write."""
    command = [sys.executable, "tools/docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
