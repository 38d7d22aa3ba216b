"""Steps of a GPU proof before anything is served: packages, detection, the engine, the models, the bandwidth."""

from __future__ import annotations

import csv
import io
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from gpu.engine import BuildError, build, find_nvcc, library_folders
from gpu.site import LIMIT_S, Failed, Figures, Site, kit, output, tail

_BUILD_S = 330.0
_LAYERS, _EXPERTS = 8, 32
"""Of the large random model: V4 Flash's own layers, fewer of them, with an eighth of their experts (several GB)."""


def packages(site: Site) -> Figures:
    """Install the carried wheels into a folder of the run, and import the kit."""
    target = site.work / "site"
    if site.manifest.wheels:
        here = ".".join(platform.python_version_tuple()[:2])
        if here != site.manifest.python:
            raise Failed(f"The wheels are for Python {site.manifest.python}, this is {here}: pack --python {here}.")
        wheels = [str(site.pack / "wheels" / name) for name in site.manifest.wheels]
        quiet = ("--quiet", "--no-input", "--no-index", "--no-deps", "--no-compile", "--target", str(target))
        output([sys.executable, "-m", "pip", "install", *quiet, *wheels])
    version = output([sys.executable, "-c", "import seatrial, httptools, gguf, pynvml; print(seatrial.__version__)"])
    return {"python": platform.python_version(), "wheels": len(site.manifest.wheels), "seatrial": version.strip()}


def detect(site: Site) -> Figures:
    """Ask the kit for this machine, and compare each GPU with what nvidia-smi says."""
    found = kit("detect")
    figures: Figures = {
        "gpus": found["gpus"],
        "driver": found["driver"],
        "cuda": found["cuda"],
        "host": found["host"]["cpu"],
        "problems": [row["what"] for row in found["problems"]],
    }
    if not found["gpus"]:
        raise Failed("The kit found no GPU.", figures)
    if not all(gpu["vendor"] == "nvidia" for gpu in found["gpus"]):
        raise Failed("A GPU is not from NVIDIA.", figures)
    if site.rehearsal:
        return figures | {"nvidia-smi": "not asked in a rehearsal"}
    if any(gpu["mig"] for gpu in found["gpus"]):
        return figures | {"nvidia-smi": "not compared: it lists whole GPUs, the kit MIG slices"}
    if shutil.which("nvidia-smi") is None:
        return figures | {"nvidia-smi": "not installed"}
    query = "--query-gpu=name,memory.total,driver_version"
    text = output(["nvidia-smi", query, "--format=csv,noheader,nounits"])
    theirs = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    ours = [[gpu["name"], str(gpu["memory_bytes"] >> 20), found["driver"]] for gpu in found["gpus"]]
    if ours != theirs:
        raise Failed(f"nvidia-smi says {theirs}, the kit {ours}.", figures)
    return figures | {"nvidia-smi": "agrees in name, memory and driver"}


def engine(site: Site) -> Figures:
    """Make llama-server ready: the carried program if it runs here, else built from the carried source."""
    program, named = None, os.environ.get("SEATRIAL_LLAMA_SERVER")
    figures: Figures = {"libraries": library_folders(), "made": "carried"}
    if site.rehearsal and named:
        program, figures["made"] = Path(named), "of this machine"
    elif site.manifest.program:
        program = Path(shutil.copy(site.pack / site.manifest.program, site.work / "llama-server"))
        program.chmod(0o755)  # carrying may have lost it
    tried = figures["tried"] = _try(program, figures) if program else "nothing carried"
    if program is None or tried != "runs":
        if not site.manifest.source and site.rehearsal:
            return figures | {"made": "embedded", "runner": "xllamacpp", "program": ""}
        program = _built(site)
        figures["made"] = "built here"
        if (problem := _try(program, figures)) != "runs":
            raise Failed(f"The llama-server that was built does not run: {problem}", figures)
    figures |= {"program": str(program), "runner": "llama-server", "nvcc": find_nvcc()}
    if not site.rehearsal and not re.search(r"CUDA\d|Vulkan\d", str(figures["devices"])):
        raise Failed(f"llama-server sees no GPU: {figures['devices']}", figures)
    return figures


def models(site: Site) -> Figures:
    """Put the models in place: the carried stand-in, the tiny deepseek4, and a large random one in V4 Flash's shape."""
    figures: Figures = {"stand-in": "; ".join(site.manifest.left_out) or "not carried"}
    if site.manifest.stand_in:
        kit("fetch", "smollm2", "--source", str(site.pack), limit_s=LIMIT_S)
        figures["stand-in"] = "ready"
    elif site.rehearsal:
        kit("fetch", "smollm2", limit_s=LIMIT_S)
        figures["stand-in"] = "ready"
    kit("fetch", "tiny-v4", limit_s=LIMIT_S)
    path = site.work / "large.gguf"
    write_large(path, rehearsal=site.rehearsal)
    return figures | {"large": str(path), "large_bytes": path.stat().st_size}


def bandwidth(site: Site) -> Figures:
    """Measure the memory bandwidth of the host and each GPU, beside the figure that the kit has for the model of GPU."""
    before, after = kit("detect"), kit("detect", "--measure", limit_s=LIMIT_S)
    parts = [after["host"], *after["gpus"]]
    figures: Figures = {
        "listed_bytes_per_s": [part["bandwidth_bytes_per_s"] for part in (before["host"], *before["gpus"])],
        "measured_bytes_per_s": [
            part["bandwidth_bytes_per_s"] if part["bandwidth_measured_at"] else None for part in parts
        ],
        "problems": [row["what"] for row in after["problems"]],
    }
    needed = parts[:1] if site.rehearsal else parts  # a GPU that is played has no memory
    if not all(part["bandwidth_measured_at"] for part in needed):
        raise Failed("The bandwidth of the host or of a GPU was not measured.", figures)
    return figures


def write_large(path: Path, *, rehearsal: bool) -> None:
    """Write the large random model: V4 Flash's layers; in a rehearsal tiny ones that take the same long contexts."""
    from seatrial.catalog.find import find_model
    from seatrial.fetch.tiny import write_tiny

    flash = find_model("flash").config
    sizes = {"max_position_embeddings": flash["max_position_embeddings"]}
    if not rehearsal:
        sizes = {**flash, "num_hidden_layers": _LAYERS, "n_routed_experts": _EXPERTS}
        sizes["compress_ratios"] = flash["compress_ratios"][:_LAYERS]
        # The tokens beyond bytes are unused ones without text: random weights would answer with nothing but these.
        sizes["vocab_size"] = find_model("tiny-v4").config["vocab_size"]
    write_tiny(path, **sizes)


def with_libraries(folders: list[str]) -> str:
    """Return LD_LIBRARY_PATH with CUDA's folders after what it has."""
    return ":".join([*filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")), *folders])


def _built(site: Site) -> Path:
    if not site.manifest.source:
        raise Failed("The pack holds neither llama.cpp's source nor a program that runs here.")
    architecture = None
    if not site.rehearsal:
        known = [gpu.get("compute_capability") for gpu in site.figures("detect").get("gpus", [])]
        architecture = str(known[0]).replace(".", "") if known and known[0] else "native"
    folder = site.work / "engine"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    source, number = site.pack / site.manifest.source, site.manifest.build_number
    try:
        return build(source, folder, number, architecture=architecture, limit_s=_BUILD_S)
    except BuildError as error:
        raise Failed(str(error)) from error


def _try(program: Path, figures: Figures) -> str:
    """Return ``runs`` if the program starts here, else why not; note its version and the devices it sees."""
    environment = {**os.environ, "LD_LIBRARY_PATH": with_libraries(figures["libraries"])}
    for words, name in ((("--version",), "version"), (("--list-devices",), "devices")):
        try:
            ended = subprocess.run(
                [program, *words], env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if ended.returncode:
            return tail(ended.stderr or ended.stdout)
        figures[name] = " / ".join((ended.stdout + ended.stderr).split("\n")).strip(" /")[:400]
    return "runs"
