"""A stand-in CUDA driver library: build it beside the stand-in NVML, then describe the bandwidth it plays."""

from pathlib import Path

from tests.standin_nvml import build_standin

SOURCE = Path(__file__).parent / "hardware" / "standin_cuda.c"


def build_cuda(folder):
    """Compile the stand-in into ``folder`` and return the folder; a second call does nothing."""
    return build_standin(folder, SOURCE, "libcuda.so.1")


def cuda_environment(rates, errors="", free_bytes=None):
    """Variables of a process that meets the stand-in; ``rates`` is "copy/fill" in GB/s of each GPU, joined by commas."""
    variables = {"STANDIN_CUDA": rates, "STANDIN_CUDA_ERRORS": errors}
    return variables | ({} if free_bytes is None else {"STANDIN_CUDA_FREE": str(free_bytes)})
