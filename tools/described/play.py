"""Detects the machine below a folder and plans V4 Flash for it with each engine; prints one JSON document.

python tools/described/play.py ROOT SYSTEM      SYSTEM is ``linux`` or ``darwin``

``tools/cases.py`` starts it in the environment of that machine, because the loader reads LD_LIBRARY_PATH, in which the
stand-in of NVML is, only when a process starts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psutil

from seatrial.cli.plan import plan_document
from seatrial.engines import build_command
from seatrial.errors import SeatrialError
from seatrial.hardware import Hardware
from seatrial.hardware.detect import read_machine
from seatrial.plan import make_plan
from seatrial.records import to_dict

ENGINES = ("sglang", "vllm", "llamacpp", "mlx")
MODEL = "flash"


def main() -> None:
    """Print the machine and its plans."""
    root, system = Path(sys.argv[1]), sys.argv[2]
    psutil.PROCFS_PATH = str(root / "proc")  # where it reads the host's memory
    hardware = read_machine(root, system)
    plans = {engine: _plan(hardware, engine) for engine in ENGINES}
    print(json.dumps({"hardware": to_dict(hardware), "plans": plans}))


def _plan(hardware: Hardware, engine: str) -> dict[str, Any]:
    try:
        plan = make_plan(MODEL, hardware=hardware, engine=engine)
        return plan_document(plan, build_command(plan) if plan.runs else None)
    except SeatrialError as error:
        return {"error": error.what, "remedy": error.remedy}


if __name__ == "__main__":
    main()
