"""A stand-in CUDA driver library: build it beside the stand-in NVML, then describe the bandwidth it plays."""

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent / "hardware" / "standin_cuda.c"
LIBRARY = "libcuda.so.1"


def build_cuda(folder):
    """Compile the stand-in into ``folder`` and return the folder; a second call does nothing."""
    library = folder / LIBRARY
    if not library.exists():
        compiler = shutil.which("cc") or shutil.which("gcc")
        command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-Wl,-soname,{LIBRARY}"]
        subprocess.run([*command, "-o", str(library), str(SOURCE)], check=True)
    return folder


def cuda_environment(rates, errors="", free_bytes=None):
    """Variables of a process that meets the stand-in; ``rates`` is "copy/fill" in GB/s of each GPU, joined by commas."""
    variables = {"STANDIN_CUDA": rates, "STANDIN_CUDA_ERRORS": errors}
    return variables | ({} if free_bytes is None else {"STANDIN_CUDA_FREE": str(free_bytes)})
