"""Prove the kit on a machine with an NVIDIA GPU and no network: pack what it needs here, run it there, keep the page.

python tools/gpu_proof.py pack DIR                        on a machine with network: fill DIR, to be carried
python tools/gpu_proof.py run DIR --output OUT            on the machine with a GPU: every step, at most 540 seconds
python tools/gpu_proof.py run DIR --output OUT --rehearse without a GPU: a stand-in for NVML plays one; proves nothing
python tools/gpu_proof.py run DIR --output OUT --only kill   one step, and those it needs
python tools/gpu_proof.py page OUT/gpu_proof.json         write docs/gpu-proof.md; without a record: that it was not run

docs/gpu-proof.md says what each step proves. The exit code is 0 if every step passed, 1 if not, 2 for bad input.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from gpu.pack import MIB, PackError, pack, read_manifest, size_of
from gpu.report import PLAYED, RECORD, Proof, page_not_run, page_of, write_proof, write_whole
from gpu.run import ROOT, STEPS, Run, do_step, with_needs
from gpu.site import Site

PAGE = ROOT / "docs" / "gpu-proof.md"


def run(folder: Path, out: Path, *, budget_s: float, rehearsal: bool, only: frozenset[str]) -> bool:
    """Do the steps with a pack, write record and page into ``out``, and return True if every step passed.

    Raises:
        PackError: If the folder is no pack, ``out`` cannot be written, or a rehearsal lacks its stand-in.

    """
    manifest = read_manifest(folder)
    with _scratch() as work:
        if rehearsal:
            os.environ.update(_stand_in_environment(work))
        site = Site(folder.absolute(), manifest, work, rehearsal)
        this = Run(site, out, budget_s, datetime.now(UTC).isoformat(timespec="seconds"), only=only)
        try:
            out.mkdir(parents=True, exist_ok=True)
            write_proof(out, this.proof())
        except OSError as error:
            raise PackError(f"{out} cannot be written: {error.strerror}. Name another --output.") from error
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, this.interrupt)
        proof = this.go()
        write_proof(out, proof)
    return proof.passed


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a scratch folder; it has gigabytes in it, so it is removed however the run ends."""
    work = Path(tempfile.mkdtemp(prefix="gpu-proof-"))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _stand_in_environment(work: Path) -> dict[str, str]:
    """Build the stand-in for NVML, and return the environment in which it plays one H200."""
    sys.path.insert(0, str(ROOT))
    standin = import_module("tests.standin_nvml")
    if not (shutil.which("cc") or shutil.which("gcc")):
        raise PackError("A rehearsal compiles a stand-in for NVML, and there is no cc. Install a C compiler.")
    made: dict[str, str] = standin.standin_environment(standin.build_standin(work), "1xH200", state=work / PLAYED)
    return made


def write_page(record: Path | None, output: Path) -> None:
    """Write the page of docs from a record, or the one that says that no GPU has been had.

    Raises:
        PackError: If the record is damaged, or is a rehearsal's and would go into the docs.

    """
    if record is None:
        steps = [(step.name, step.proves) for group in STEPS for step in group]
        text = page_not_run(datetime.now(UTC).date().isoformat(), steps)
    else:
        from seatrial.errors import UsageError
        from seatrial.records import from_dict, read_json

        try:
            proof = from_dict(Proof, read_json(record))
            text = page_of(proof)
        except (UsageError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise PackError(f"{record} is no record of a GPU proof: {error}") from error
        if proof.rehearsal and output.resolve() == PAGE:
            raise PackError(f"{record} is a rehearsal's: it is no proof. Give --output to write its page elsewhere.")
    try:
        write_whole(output, text)
    except OSError as error:
        raise PackError(f"{output} cannot be written: {error.strerror}.") from error


def main(words: list[str] | None = None) -> int:
    """Pack, run, do one step, or write the page."""
    given = _parser().parse_args(words)
    try:
        match given.command:
            case "pack":
                architecture = given.architecture if given.build else None
                limit = int(given.max_mib * MIB)
                manifest = pack(given.folder, python=given.python, max_bytes=limit, architecture=architecture)
                print(f"{given.folder}: {size_of(given.folder) / MIB:.1f} MiB, {len(manifest.wheels)} wheels")
                print("".join(f"left out: {row}\n" for row in manifest.left_out), end="")
            case "run":
                choice = {"budget_s": given.budget_s, "rehearsal": given.rehearse, "only": given.only}
                passed = run(given.folder, given.output, **choice)
                print(f"Written: {given.output / RECORD}, {given.output / PAGE.name}")
                return 0 if passed else 1
            case "step":
                do_step(given.name, Site(given.folder, read_manifest(given.folder), given.work, given.rehearse))
            case _:
                write_page(given.record, given.output)
    except PackError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("folder", type=Path)
    packing.add_argument("--python", default="3.12", type=_release, help="the other machine's Python (default: 3.12)")
    packing.add_argument("--max-mib", type=_positive, default=48, help="most MiB of the folder (default: 48)")
    packing.add_argument("--build", action="store_true", help="build llama-server here; nvcc is needed")
    packing.add_argument(
        "--architecture", default="90", type=_capability, help="compute capability, no dot (default: 90)"
    )
    running = commands.add_parser("run")
    running.add_argument("folder", type=Path)
    running.add_argument("--output", type=Path, required=True)
    running.add_argument("--budget-s", type=_positive, default=540, help="most seconds of all steps (default: 540)")
    running.add_argument("--rehearse", action="store_true", help="without a GPU; the record says so")
    running.add_argument(
        "--only", type=_steps, default=frozenset(), metavar="NAME,...", help="these steps, and what they need"
    )
    step = commands.add_parser("step")
    step.add_argument("name", choices=[step.name for group in STEPS for step in group])
    step.add_argument("folder", type=Path)
    step.add_argument("work", type=Path)
    step.add_argument("--rehearse", action="store_true")
    page = commands.add_parser("page")
    page.add_argument("record", type=Path, nargs="?")
    page.add_argument("--output", type=Path, default=PAGE)
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError
    return number


def _steps(text: str) -> frozenset[str]:
    try:
        return with_needs(text.split(","))
    except KeyError as error:
        known = ", ".join(step.name for group in STEPS for step in group)
        raise argparse.ArgumentTypeError(f"there is no step {error.args[0]!r}; known: {known}") from error


def _release(text: str) -> str:
    if not re.fullmatch(r"3\.\d{1,2}", text):
        raise ValueError
    return text


def _capability(text: str) -> str:
    if not re.fullmatch(r"\d{2,3}[af]?", text):
        raise ValueError
    return text


if __name__ == "__main__":
    sys.exit(main())
