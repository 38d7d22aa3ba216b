"""Builds llama-server for NVIDIA GPUs, or for the processor, from a small archive of llama.cpp's source.

The source is the one inside xllamacpp's source package, at the release that the kit pins. Of 38 MB the archive keeps the 4 MB
that a server for processors and NVIDIA GPUs is made of. Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

INSIDE = "thirdparty/llama.cpp/"
"""Folder of llama.cpp in xllamacpp's source package."""

SOURCE = "llama.cpp.tar.xz"
_KEPT = (
    *("CMakeLists.txt", "LICENSE", "cmake/", "common/", "include/", "src/", "tools/", "vendor/", "ggml/CMakeLists.txt"),
    *("ggml/cmake/", "ggml/include/", "ggml/src/ggml-cpu/", "ggml/src/ggml-cuda/", "scripts/ui-assets.cmake"),
)
_LEFT_OUT = ("tools/ui/src/", "tools/ui/static/", "tools/ui/tests/")
_NOT_SOURCE = {".png", ".jpg", ".jpeg", ".mp3", ".wav", ".json"}
_OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_CCACHE": "OFF",
    "GGML_NATIVE": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",  # it would download the pages
    "LLAMA_OPENSSL": "OFF",
}
_CUDA_OPTIONS = {
    "GGML_CUDA": "ON",
    "GGML_CUDA_FA_ALL_QUANTS": "OFF",
    "GGML_CUDA_NCCL": "OFF",  # for several GPUs; the package may be missing
    "GGML_CUDA_NO_VMM": "ON",  # else it links libcuda, which a machine without the driver lacks
}


class BuildError(Exception):
    """What is missing for a build, or how it failed."""


def pack_source(package: Path, target: Path) -> int:
    """Copy what the server needs from xllamacpp's source package into a small archive; return the number of files.

    Raises:
        BuildError: If the package holds no llama.cpp.

    """
    count = 0
    with tarfile.open(package) as source, tarfile.open(target, "w:xz", preset=6) as small:
        for member in source:
            name = member.name.partition("/")[2]
            if member.isfile() and name.startswith(INSIDE) and _kept(name.removeprefix(INSIDE)):
                entry = tarfile.TarInfo(
                    name.removeprefix(INSIDE)
                )  # a long name also stands in the old one's pax headers
                entry.size, entry.mode, entry.mtime = member.size, member.mode, int(member.mtime)
                small.addfile(entry, source.extractfile(member))
                count += 1
    if not count:
        target.unlink()
        raise BuildError(f"{package.name} holds no {INSIDE}: its layout has changed.")
    return count


def _kept(name: str) -> bool:
    path = PurePosixPath(name)
    if path.suffix in _NOT_SOURCE or name.startswith(_LEFT_OUT):
        return False
    return name.startswith(_KEPT) or str(path.parent) == "ggml/src"


def build(source: Path, folder: Path, number: str, *, architecture: str | None, limit_s: float) -> Path:
    """Build ``llama-server`` and return its path.

    Args:
        source: Archive that ``pack_source`` wrote.
        folder: Where to unpack and build.
        number: Build number of llama.cpp, for ``--version``.
        architecture: Compute capability without its dot ("90"), ``native`` for the GPU of this machine; None builds
            for the processor.
        limit_s: Seconds it may take.

    Raises:
        BuildError: If a program or library is missing, the build fails, or it takes longer.

    """
    deadline = time.monotonic() + limit_s
    cmake = shutil.which("cmake")
    if cmake is None:
        raise BuildError("There is no cmake on PATH.")
    tree, made = folder / "llama.cpp", folder / "build"
    with tarfile.open(source) as archive:
        archive.extractall(tree, filter="data")
    options = {**_OPTIONS, "LLAMA_BUILD_NUMBER": number}
    if architecture is not None:
        options |= {**_CUDA_OPTIONS, **_toolkit(), "CMAKE_CUDA_ARCHITECTURES": architecture}
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    log = folder / "build.log"
    _run(
        [
            cmake,
            "-S",
            str(tree),
            "-B",
            str(made),
            *generator,
            *(f"-D{name}={value}" for name, value in options.items()),
        ],
        log,
        limit_s,
    )
    jobs = str(len(os.sched_getaffinity(0)))
    _run([cmake, "--build", str(made), "--target", "llama-server", "-j", jobs], log, deadline - time.monotonic())
    return made / "bin" / "llama-server"


def find_nvcc() -> str | None:
    """Return the path of nvcc, None if there is none."""
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    return shutil.which("nvcc") or shutil.which("nvcc", path=f"{home}/bin")


def library_folders() -> list[str]:
    """Return the folders with CUDA's libraries: the toolkit's, and those of NVIDIA's Python packages."""
    nvcc = find_nvcc()
    roots = [Path(nvcc).resolve().parents[1]] if nvcc else []
    folders = [root / name for root in roots for name in ("lib64", "lib", "targets/x86_64-linux/lib")]
    for packages in {*site.getsitepackages(), *sys.path, sysconfig.get_path("purelib")}:
        folders += sorted(Path(packages).glob("nvidia/*/lib"))
    return [str(folder) for folder in dict.fromkeys(folders) if any(folder.glob("libcu*.so*"))]


def _toolkit() -> dict[str, str]:
    """Return CMake's options for nvcc and cuBLAS, which a Python package may hold instead of the toolkit."""
    nvcc = find_nvcc()
    if nvcc is None:
        raise BuildError("There is no nvcc on PATH or in /usr/local/cuda: carry a build (pack --build).")
    options = {"CMAKE_CUDA_COMPILER": nvcc}
    for name in ("cublas", "cublasLt"):
        found = next((path for folder in library_folders() for path in _shared(Path(folder), name)), None)
        if found is None:
            raise BuildError(f"lib{name}.so is neither in CUDA's toolkit nor in a package (nvidia-cublas).")
        options[f"CUDA_{name}_LIBRARY"] = str(found)
    headers = Path(options["CUDA_cublas_LIBRARY"]).parents[1] / "include"
    if (headers / "cublas_v2.h").exists():
        options["CMAKE_CUDA_FLAGS"] = f"-I{headers}"
    return options


def _shared(folder: Path, name: str) -> Iterator[Path]:
    """Yield the library in a folder: lib<name>.so or lib<name>.so.13, which Python packages have only."""
    pattern = re.compile(rf"lib{name}\.so(\.\d+)?")
    yield from sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))


def _run(command: list[str], log: Path, limit_s: float) -> None:
    with log.open("ab") as stream:
        try:
            ended = subprocess.run(command, stdout=stream, stderr=stream, timeout=limit_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise BuildError(
                f"{Path(command[0]).name} took longer than {limit_s:.0f} s; {log} has its output."
            ) from error
    if ended.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        wrong = [line for line in lines if "error" in line.casefold()] or lines
        raise BuildError(f"{' '.join(command[:2])} failed: {' / '.join(wrong[:3])[:600]}")
