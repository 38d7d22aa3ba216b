"""Play machines that a file describes to detection and planning, and print one JSON line each.

python tools/cases.py MACHINES.json [MORE.json ...]      every machine in the files
python tools/cases.py MACHINES.json --only NAME          those whose name holds NAME

A line has ``name``, ``hardware`` (as ``seatrial detect --json``) and ``plans``: by engine, V4 Flash as ``seatrial plan
--json``. A machine has a ``name``, and of these what it consists of: ``files`` (content by path below /), ``nvidia`` (name,
memory_mib, compute_capability, also uuid and mig; in NVML's order), ``nvidia_count``, ``init`` and ``handle`` (codes that
NVML returns), ``container``, ``host`` (memory_gib, available_gib; 64 GiB by default), ``environment``, and of a Mac
``hw_memsize``, ``wired_limit_mb`` and ``chip``. Other keys are ignored.

The kernel's files lie below a temporary folder, and a stand-in library, compiled here, answers for NVML. A machine with an
NVIDIA driver of its own plays only machines that have NVIDIA GPUs. Exit code 1: a machine could not be played; 2: bad input.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.standin_nvml import build_standin  # noqa: E402

from described.layout import lay_out  # noqa: E402
from described.machine import DescribedMachine, read_machines  # noqa: E402
from seatrial.errors import SeatrialError, UsageError  # noqa: E402
from seatrial.printable import printable  # noqa: E402

PLAYER = ROOT / "tools" / "described" / "play.py"
DEADLINE_S = 300.0


def play(machine: DescribedMachine, stand_in: Path) -> dict[str, Any]:
    """Return the line of a machine; it has an ``error`` if detection itself failed.

    Args:
        machine: What to play.
        stand_in: Folder of the stand-in library of NVML.

    Raises:
        UsageError: If the machine cannot be laid out.

    """
    system = "linux" if machine.hw_memsize is None else "darwin"
    with tempfile.TemporaryDirectory(prefix="machine-") as name:
        folder = Path(name)
        environment = lay_out(machine, folder, stand_in)
        command = [sys.executable, str(PLAYER), str(folder / "root"), system]
        try:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=DEADLINE_S,
                check=False,
            )
            return {"name": machine.name, **json.loads(done.stdout)}
        except subprocess.TimeoutExpired:
            return {"name": machine.name, "error": f"It was not detected and planned within {DEADLINE_S:g} s."}
        except ValueError:
            why = done.stderr.strip().rpartition("\n")[2]
            return {"name": machine.name, "error": f"It ended with code {done.returncode}: {why}"}


def main() -> int:
    """Play every machine of the files named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="MACHINES.json")
    parser.add_argument("--only", default="", metavar="NAME", help="play machines whose name holds this")
    arguments = parser.parse_args()
    failed = False
    try:
        machines = [
            machine for path in arguments.files for machine in _machines(path) if arguments.only in machine.name
        ]
        with tempfile.TemporaryDirectory(prefix="standin-nvml-") as folder:
            stand_in = build_standin(Path(folder)) if any(machine.has_nvml for machine in machines) else Path(folder)
            for machine in machines:
                line = play(machine, stand_in)
                failed |= "error" in line
                print(json.dumps(line), flush=True)
    except (SeatrialError, FileNotFoundError) as error:  # no C compiler
        print(f"cases.py: {error}", file=sys.stderr)
        return UsageError.exit_code
    return int(failed)


def _machines(path: Path) -> list[DescribedMachine]:
    """Return the machines of a file, and say which entries are none."""
    machines, left_out = read_machines(path)
    for name in left_out:
        print(f"cases.py: left out, {printable(name)}: it describes no machine.", file=sys.stderr)
    return machines


if __name__ == "__main__":
    sys.exit(main())
