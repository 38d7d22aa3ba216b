"""Install engines for the tests, in .engines, with the pins of tests/engines; list the flags an engine's own parser takes.

python tools/engines.py install          everything below, unless it is installed with today's pins
python tools/engines.py install mlx      as seatrial engines install does; also llama-cpp-python
python tools/engines.py install sglang   SGLang without a GPU: its parser, and its server on the processor
python tools/engines.py flags sglang     ask that parser and write lib/seatrial/engines/flags/sglang.json anew; also mlx

SGLang needs PyTorch's CPU wheels within pip's reach (PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS); nothing with CUDA is
installed.
"""

import argparse
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from seatrial.errors import SeatrialError
from seatrial.install.engine import install_engine
from seatrial.install.steps import InstallEvent
from seatrial.programs.own import Installation, installations
from seatrial.writing import write_text

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ROOT / ".engines"
OWN = {"mlx": "mlx", "llama-cpp-python": "llama_cpp"}  # engines that the kit installs, and the folder with their pins
FLAGS = ROOT / "lib/seatrial/engines/flags"
CITED = {
    "sglang": "sglang {version} wheel (PyPI): its own argument parser, dumped",
    "mlx": "mlx-vlm {version} wheel (PyPI): the argument parser of mlx_vlm/server/cli.py, dumped",
}
"""Engines whose parser can be asked, and how its answer is cited."""
NEEDED_BYTES = 2_500_000_000  # the installation takes 1.6 GB, and pip unpacks beside it


def pins_of(engine: str) -> Path:
    """Return the file with the pins of ``engine``."""
    return ROOT / "tests/engines" / OWN.get(engine, engine) / "requirements.txt"


def folder_of(engine: str) -> Path:
    """Return the folder of the environment of ``engine``."""
    return ENGINES / engine


def python_of(engine: str) -> Path | None:
    """Return the Python of a complete environment with today's pins, None if there is none."""
    if engine in OWN:
        found = own(engine)
        return Path(found.python) if found else None
    installed = folder_of(engine) / "requirements.txt"
    if not installed.exists() or installed.read_bytes() != pins_of(engine).read_bytes():
        return None
    return folder_of(engine) / "bin/python"


def make(engine: str) -> None:
    """Install the environment of a parser anew; its pins are noted last, so that a partial one is never used.

    Raises:
        SystemExit: If the disk has too little space, or pip found no fitting package.

    """
    folder, pins = folder_of(engine), pins_of(engine)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        sys.exit(f"{folder} needs {NEEDED_BYTES / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free: free some space.")
    print(
        f"Installing {engine} for its parser and its server (CPU only, about 1.6 GB, once) into {folder} ...",
        flush=True,
    )
    began = time.monotonic()
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--no-deps", "--requirement", str(pins)], check=True)
    except subprocess.CalledProcessError as error:
        shutil.rmtree(folder)
        sys.exit(
            f"{engine} could not be installed ({error}). It needs a package index and PyTorch's CPU wheels "
            "(version 2.13.0+cpu): name their address in PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS."
        )
    shutil.copy(pins, folder / "requirements.txt")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"Installed {size / 1e9:.1f} GB in {time.monotonic() - began:.0f} s.")


def own(engine: str) -> Installation | None:
    """Return the engine that the kit installed with today's pins, None if it has not."""
    row = next((row for row in installations(ENGINES) if row.name == engine), None)
    noted = Path(row.path) / "requirements.txt" if row else None
    return row if noted and noted.exists() and noted.read_bytes() == pins_of(engine).read_bytes() else None


def make_own(engine: str) -> None:
    """Have the kit install an engine, with the pins as constraints.

    Raises:
        SystemExit: The engine could not be installed.

    """
    os.environ |= {"SEATRIAL_ENGINES": str(ENGINES), "PIP_CONSTRAINT": str(pins_of(engine))}
    try:
        made = install_engine(engine, reinstall=True, tool="pip", on_event=print_step).installation
    except SeatrialError as error:
        sys.exit(str(error))
    shutil.copy(pins_of(engine), Path(made.path) / "requirements.txt")
    print(f"Installed {made.size_bytes / 1e9:.1f} GB in {made.took_s:.0f} s.")


def print_step(event: InstallEvent) -> None:
    """Print a line for the steps that take long."""
    if event.stage in {"check", "build"}:
        print(f"{event.text} ...", flush=True)


def ask(engine: str) -> dict[str, Any]:
    """Return version, source, flags, switches and choices of the engine's own parser.

    Raises:
        SystemExit: The environment of the engine is not installed.

    """
    python = python_of(engine)
    if python is None:
        sys.exit(f"{engine}'s parser is not installed. Run: make test-engines")
    program = ROOT / "tests/engines" / engine / "parse.py"
    output = subprocess.run([python, program, "--flags"], capture_output=True, text=True, check=True).stdout
    answer = json.loads(output)
    rows = answer["flags"]
    return {
        "version": answer["version"],
        "source": CITED[engine].format(version=answer["version"]),
        "switches": sorted(name for name, row in rows.items() if row["switch"]),
        "choices": {name: row["choices"] for name, row in sorted(rows.items()) if row["choices"]},
        "accepted": sorted(rows),
    }


def read(engine: str) -> dict[str, Any]:
    """Load the kit's own file of flags."""
    document: dict[str, Any] = json.loads((FLAGS / f"{engine}.json").read_text(encoding="utf-8"))
    return document


def text_of(document: dict[str, Any]) -> str:
    """Return the document as JSON for people: names wrapped, the choices of a flag on one line."""
    rows = []
    for name, value in document.items():
        if isinstance(value, dict):
            inner = ",\n    ".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in value.items())
            rows.append(f"{json.dumps(name)}: {{\n    {inner}\n  }}")
        elif isinstance(value, list):
            inner = textwrap.indent(textwrap.fill(json.dumps(value)[1:-1], 116, break_on_hyphens=False), "    ")
            rows.append(f"{json.dumps(name)}: [\n{inner}\n  ]")
        else:
            rows.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n  " + ",\n  ".join(rows) + "\n}\n"


def write_flags(engine: str) -> None:
    """Write the kit's own file anew, with today's date."""
    document = read(engine) | ask(engine) | {"checked": dt.datetime.now(dt.UTC).date().isoformat()}
    write_text(FLAGS / f"{engine}.json", text_of(document))


def main() -> None:
    """Install engines, or write flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("install", "flags"))
    parser.add_argument("engine", choices=sorted({*CITED, *OWN}), nargs="?")
    given = parser.parse_args()
    if given.what == "flags":
        write_flags(given.engine or "sglang")
        return
    for engine in (given.engine,) if given.engine else dict.fromkeys((*OWN, *CITED)):
        if python_of(engine) is None:
            (make_own if engine in OWN else make)(engine)


if __name__ == "__main__":
    main()
