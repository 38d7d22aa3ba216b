"""What is carried to a machine with a GPU: a small archive of llama.cpp's source, wheels, and what fits beside them."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from gpu import engine, pack
from gpu.engine import BuildError
from gpu.pack import MIB, Manifest, PackError

ROOT = Path(__file__).resolve().parents[2]


def package(path, *names):
    """Write a source package with these files."""
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(f"xllamacpp-1/{name}")
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    return path


def test_the_archive_keeps_what_a_server_is_made_of(tmp_path):
    """CUDA and CPU sources and the server stay; other backends, pages, pictures and vocabularies go."""
    kept = [
        "CMakeLists.txt",
        "ggml/src/ggml.c",
        "ggml/src/ggml-cuda/a.cu",
        "tools/server/server.cpp",
        "src/models/x.cpp",
    ]
    gone = ["ggml/src/ggml-vulkan/a.cpp", "tools/ui/src/a.ts", "tools/mtmd/a.png", "models/a.gguf", "docs/ops/a.csv"]
    made = package(tmp_path / "a.tar.gz", *(f"thirdparty/llama.cpp/{name}" for name in (*kept, *gone)), "src/own.pyx")
    assert len(kept) == engine.pack_source(made, tmp_path / "small.tar.xz")
    with tarfile.open(tmp_path / "small.tar.xz") as archive:
        assert sorted(kept) == sorted(archive.getnames())


def test_a_package_without_llama_cpp_is_refused(tmp_path):
    """Its layout may change with a release; nothing half-written is left."""
    with pytest.raises(BuildError, match="holds no thirdparty"):
        engine.pack_source(package(tmp_path / "a.tar.gz", "src/own.pyx"), tmp_path / "small.tar.xz")
    assert not (tmp_path / "small.tar.xz").exists()


@pytest.mark.parametrize(("architecture", "why"), [(None, "no cmake"), ("90", "no cmake")])
def test_a_build_names_the_missing_program(tmp_path, monkeypatch, architecture, why):
    """Before it unpacks anything."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=why):
        engine.build(tmp_path / "no.tar.xz", tmp_path, "1", architecture=architecture, limit_s=1)


@pytest.mark.parametrize(
    ("script", "why"), [("echo 'CMake Error: no compiler'; exit 1", "no compiler"), ("sleep 60", "longer")]
)
def test_a_failed_build_says_why(tmp_path, monkeypatch, script, why):
    """With the compiler's own words; one that takes too long is ended."""
    source = tmp_path / "source.tar.xz"
    engine.pack_source(package(tmp_path / "a.tar.gz", "thirdparty/llama.cpp/CMakeLists.txt"), source)
    (tmp_path / "cmake").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "cmake").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(BuildError, match=why):
        engine.build(source, tmp_path / "made", "1", architecture=None, limit_s=0.5)


def test_without_nvcc_the_message_says_what_to_carry(tmp_path, monkeypatch):
    """A build for a GPU needs nvcc; one made elsewhere does as well."""
    source = tmp_path / "source.tar.xz"
    engine.pack_source(package(tmp_path / "a.tar.gz", "thirdparty/llama.cpp/CMakeLists.txt"), source)
    (tmp_path / "cmake").write_text("#!/bin/sh\n")
    (tmp_path / "cmake").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    with pytest.raises(BuildError, match="pack --build"):
        engine.build(source, tmp_path / "made", "1", architecture="90", limit_s=5)


def test_the_model_is_left_out_first_then_the_program(tmp_path):
    """Each with its size and the limit; what must be carried is never left out."""
    for name, mib in (("model.gguf", 6), ("llama-server", 3), ("llama.cpp.tar.xz", 1)):
        (tmp_path / name).write_bytes(b"\0" * mib * MIB)
    manifest = Manifest("3.12", source="llama.cpp.tar.xz", program="llama-server", stand_in="model.gguf")
    pack._leave_out(tmp_path, manifest, 5 * MIB)
    assert ("llama-server", "") == (manifest.program, manifest.stand_in)
    assert ["model.gguf (6.0 MiB): with it the pack exceeds its 5 MiB (--max-mib)"] == manifest.left_out
    pack._leave_out(tmp_path, manifest, 2 * MIB)
    assert "" == manifest.program
    with pytest.raises(PackError, match="larger --max-mib"):
        pack._leave_out(tmp_path, manifest, MIB // 2)


def test_what_is_carried_follows_the_project():
    """The kit's own requirements without the engine that computes on the processor only; that one's release is pinned."""
    names = [row.partition(">")[0] for row in pack.requirements()]
    assert {"nvidia-ml-py", "httptools", "gguf", "psutil"} <= set(names)
    assert "xllamacpp" not in names
    assert pack.locked("xllamacpp").rpartition(".")[2].isdigit()
    with pytest.raises(PackError, match="no release of nothing"):
        pack.locked("nothing")


def run_pack(folder, *words, **environment):
    """Run the script's ``pack``."""
    command = [sys.executable, ROOT / "tools" / "gpu_proof.py", "pack", folder, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment or None)


def test_a_folder_in_use_is_left_alone(tmp_path):
    """Only an earlier pack is replaced."""
    (tmp_path / "thesis.txt").write_text("years of work")
    done = run_pack(tmp_path)
    assert (2, ["thesis.txt"]) == (done.returncode, [path.name for path in tmp_path.iterdir()])
    assert "is not empty and no pack" in done.stderr


def test_without_a_network_nothing_is_left(tmp_path):
    """Pip's own reason, and no half pack."""
    (tmp_path / "none").mkdir()
    done = run_pack(tmp_path / "pack", PATH="/usr/bin:/bin", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "none"))
    assert (2, False) == (done.returncode, (tmp_path / "pack").exists())
    assert "pip could not download" in done.stderr


@pytest.mark.parametrize(
    "words", [("--python", "2.7"), ("--python", "3.12; x"), ("--max-mib", "0"), ("--architecture", "x")]
)
def test_odd_choices_of_a_pack_are_refused(tmp_path, words):
    """A Python is 3.N, a limit a positive number, an architecture digits."""
    assert 2 == run_pack(tmp_path / "pack", *words).returncode
    assert not (tmp_path / "pack").exists()


def test_cublas_is_found_in_a_python_package(tmp_path, monkeypatch):
    """NVIDIA's package has no libcublas.so, only libcublas.so.13, and its headers beside it; without it the build is refused."""
    for name in ("bin/nvcc", "nvidia/cu13/include/cublas_v2.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("#!/bin/sh\n")
    (tmp_path / "bin/nvcc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr("site.getsitepackages", list)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    folder = tmp_path / "nvidia/cu13/lib"
    folder.mkdir()
    with pytest.raises(BuildError, match="libcublas"):
        engine._toolkit()
    for name in ("libcublas.so.13", "libcublasLt.so.13", "libcublas.so.13.1.0"):
        (folder / name).write_text("")
    options = engine._toolkit()
    assert str(tmp_path / "bin/nvcc") == options["CMAKE_CUDA_COMPILER"]
    assert str(folder / "libcublas.so.13") == options["CUDA_cublas_LIBRARY"]
    assert str(folder / "libcublasLt.so.13") == options["CUDA_cublasLt_LIBRARY"]
    assert f"-I{tmp_path}/nvidia/cu13/include" == options["CMAKE_CUDA_FLAGS"]
    assert [str(folder)] == engine.library_folders()
