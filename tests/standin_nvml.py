"""A stand-in NVML library under the real binding: build it, then describe the machine it plays."""

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "hardware" / "standin_nvml.c"
LIBRARY = "libnvidia-ml.so.1"


def build_standin(folder: Path, source: Path = SOURCE, name: str = LIBRARY) -> Path:
    """Compile a stand-in library into ``folder`` and return the folder; a second call does nothing."""
    library = folder / name
    if not library.exists():
        compiler = shutil.which("cc") or "gcc"
        command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-Wl,-soname,{name}"]
        subprocess.run([*command, "-o", str(library), str(source)], check=True)
    return folder


def standin_environment(folder: Path, machine: str, errors: str = "", state: Path | None = None) -> dict[str, str]:
    """Environment of a process that meets the stand-in instead of a driver.

    ``machine`` is "8xH100", "4xA100,1xL40S", "1xH100:mig=7" or "" for none; ``errors`` is
    "function=code" or "function@gpu=code", joined by commas; ``state`` is a file with lines
    "<gpu> <used MiB> <utilization %> <watts> [<degrees> <MHz> <clock event bits> <pid>,<pid>]". STANDIN_NVML_DRIVER and STANDIN_NVML_CUDA (12020 is
    12.2), if a test sets them, are the versions that the driver reports.
    """
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    environment |= {"LD_LIBRARY_PATH": str(folder), "STANDIN_NVML": machine, "STANDIN_NVML_ERRORS": errors}
    return environment | ({"STANDIN_NVML_STATE": str(state)} if state else {})
