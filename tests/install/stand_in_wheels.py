"""Packages that stand in for engines: a few hundred bytes each, installed by the real pip or uv from a folder."""

import zipfile

from seatrial.catalog.engine_facts import engine_facts, engine_ids

MODULES = {
    "sglang": {"sglang": ["sglang/__init__.py"]},
    "vllm": {"vllm": ["vllm/__init__.py"]},
    "llama-cpp-python": {
        "llama-cpp-python": ["llama_cpp/__init__.py", "llama_cpp/server/__init__.py", "llama_cpp/server/app.py",
                             "fastapi.py", "uvicorn.py", "sse_starlette.py", "starlette_context.py",
                             "pydantic_settings.py"],
    },
    "mlx": {"mlx-vlm": ["mlx_vlm/__init__.py", "mlx_vlm/server.py"], "mlx": ["mlx/core.py"]},
}  # fmt: skip
"""Packages that each installable engine asks for, with their files."""
VERSIONS = {"mlx": "0.32.4"}
"""Versions of packages that are not the engine's own."""
SCRIPTS = {"vllm": "vllm", "mlx-vlm": "mlx_vlm.server"}
BACKEND = """
import os, pathlib
def build_wheel(folder, config_settings=None, metadata_directory=None):
    {build}
def get_requires_for_build_wheel(config_settings=None):
    return []
"""


def installs():
    """Return the installation facts of every engine that the kit installs, by name."""
    rows = (engine_facts(engine).install for engine in engine_ids())
    return {row.name: row for row in rows if row is not None}


def write_wheel(folder, package, version, files, script=None):
    """Write a wheel with empty modules; ``script`` is a program that prints the version."""
    name = package.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    extras = "Provides-Extra: server\nProvides-Extra: cpu\n"
    texts = dict.fromkeys(files, "") | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n{extras}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if script:
        main = f"{name}/{script}_main.py".replace(".", "_").replace("_py", ".py")
        texts[main] = f"def main():\n    print({version!r})\n"
        texts[f"{info}/entry_points.txt"] = f"[console_scripts]\n{script} = {main[:-3].replace('/', '.')}:main\n"
    record = "".join(f"{path},,\n" for path in [*texts, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in (texts | {f"{info}/RECORD": record}).items():
            wheel.writestr(path, text)


def write_stand_ins(folder, name, *, left_out=()):
    """Write every wheel an engine asks for, without the modules in ``left_out``."""
    row = installs()[name]
    for package, files in MODULES[name].items():
        version = VERSIONS.get(package, row.version)
        kept = [path for path in files if path not in left_out]
        write_wheel(folder, package, version, kept, SCRIPTS.get(package))
    return row


def write_source(folder, name, build):
    """Write a source package in place of the engine's own wheel; its build runs the line ``build``."""
    import tarfile
    from io import BytesIO

    row = installs()[name]
    base = f"{row.package.replace('-', '_')}-{row.version}"
    texts = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND.format(build=build),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {row.package}\nVersion: {row.version}\nProvides-Extra: server\n",
    }
    with tarfile.open(folder / f"{base}.tar.gz", "w:gz") as archive:
        for path, text in texts.items():
            entry = tarfile.TarInfo(f"{base}/{path}")
            entry.size = len(text)
            archive.addfile(entry, BytesIO(text.encode()))
    return row
