"""``make run MODEL=flash`` on machines that V4 fits: the notebooks and ``serve`` launch the checkpoint that was fetched."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
from tests.conftest import ROOT
from tests.gguf_bytes import small

from seatrial.catalog import find_checkpoint
from seatrial.catalog.remote_file import RemoteFile
from seatrial.fetch.cache import folder_of, write_manifest
from seatrial.records import read_json

PLANS = """
import json, sys
from seatrial import plan_here
from seatrial.catalog import find_checkpoint
from seatrial.fetch.checkpoint import local_path
from seatrial.launching.choose import find_obstacle
plan = plan_here("flash", **json.loads(sys.argv[1]))
print(plan.checkpoint, find_obstacle(plan) is None and local_path(find_checkpoint(plan.checkpoint)) is not None)
"""


@pytest.fixture
def child(monkeypatch, tmp_path):
    """Run Python in a process of its own with an empty cache and no network; other settings are given."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))

    def run(*words, **settings):
        environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"} | settings
        return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def makefile_fetch():
    """Return the arguments with which ``make run MODEL=flash`` fetches."""
    done = subprocess.run(
        ["make", "--dry-run", "run", "MODEL=flash"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (line,) = [line for line in done.stdout.splitlines() if "seatrial fetch" in line]
    return line.partition("seatrial ")[2].split()


def bring(checkpoint):
    """Put something in the cache that counts as the checkpoint: nobody downloads 160 GB in a test."""
    folder = folder_of(checkpoint)
    folder.mkdir(parents=True)
    name = "model.gguf" if checkpoint.format == "gguf" else "model.safetensors"
    header = b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    weights = small() if checkpoint.format == "gguf" else len(header).to_bytes(8, "little") + header + b"\0" * 4
    (folder / name).write_bytes(weights)
    write_manifest(folder, checkpoint, "made for a test", [RemoteFile(name, len(weights), None)])


def arguments_of(name):
    """Return the arguments that a notebook gives to ``plan_here``, from its parameters cell."""
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    values = {}
    exec(cell.source, values)  # noqa: S102 -- our own notebook
    asked = {"context_tokens": values["context_tokens"], "engine": values.get("engine", "llamacpp")}
    if "concurrency" in values:
        asked["concurrency"] = max(int(level) for level in values["concurrency"].split(","))
    return asked


@pytest.mark.parametrize(
    ("gpus", "engine", "kind"),
    [
        ("4xH200", "sglang", "deepseek-ai/DeepSeek-V4-Flash"),
        ("8xH100", "sglang", "deepseek-ai/DeepSeek-V4-Flash"),
        ("8xH100", "llama_server", "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q8_K_XL"),
        ("1xH200", "llama_server", "unsloth/DeepSeek-V4-Flash-0731-GGUF:"),
    ],
)
def test_what_is_fetched_is_what_is_launched(child, machine, request, makefile_fetch, gpus, engine, kind):  # noqa: PLR0913, PLR0917 -- one case
    """Fetch names one checkpoint; with it here, notebook 05 and serve launch it and fetch has nothing left to do."""
    here = machine(gpus, **request.getfixturevalue(engine))
    fetched = child("-m", "seatrial", *makefile_fetch, SEATRIAL_CACHE="/proc/seatrial", **here)
    expected = fetched.stderr.split()[0]
    assert expected.startswith(kind), fetched.stderr
    bring(find_checkpoint(expected))
    lessons = {"05_live_throughput.ipynb"} | ({"04_launch_llamacpp.ipynb"} if engine == "llama_server" else set())
    for lesson in sorted(lessons):
        printed = child("-c", PLANS, json.dumps(arguments_of(lesson)), **here)
        assert f"{expected} True\n" == printed.stdout, printed.stderr
    again = child("-m", "seatrial", *makefile_fetch, **here)
    assert 0 == again.returncode, again.stderr
    assert "is already on this disk" in again.stderr
    served = child("-m", "seatrial", "serve", "--model=flash", **here)
    # The engine is made up and ends at once; it was started, so nothing was missing.
    assert (4, True) == (served.returncode, "starts on port" in served.stderr), served.stderr


def test_another_checkpoint_that_is_here_is_used(child, machine, sglang):
    """The preview was fetched by its name: serve and the notebooks take it, and fetch flash brings no second one."""
    bring(find_checkpoint("deepseek-ai/DeepSeek-V4-Flash"))
    here = machine("4xH200", **sglang)
    printed = child("-c", PLANS, "{}", **here)
    assert "deepseek-ai/DeepSeek-V4-Flash True\n" == printed.stdout
    fetched = child("-m", "seatrial", "fetch", "flash", **here)
    assert 0 == fetched.returncode
    assert "it is downloaded already, and it runs on h200x4" in fetched.stderr
    assert (
        "prefers deepseek-ai/DeepSeek-V4-Flash-0731: seatrial fetch deepseek-ai/DeepSeek-V4-Flash-0731\n"
        in fetched.stderr
    )


def test_serve_asks_for_what_fetch_brings(child, machine, sglang):
    """Nothing is here: the checkpoint that serve names is the one that fetch flash would take."""
    here = machine("4xH200", **sglang)
    served = child("-m", "seatrial", "serve", "--model=flash", **here)
    fetched = child("-m", "seatrial", "fetch", "flash", SEATRIAL_CACHE="/proc/seatrial", **here)
    assert 2 == served.returncode
    assert f"Run: seatrial fetch {fetched.stderr.split()[0]}\n" in served.stderr


@pytest.mark.notebook
def test_the_lesson_on_llamacpp_launches_nothing_without_its_checkpoint(child, machine, llama_server, tmp_path):
    """04 with ``model=flash``: it runs to its end and names what is missing and the command that gets it."""
    run = child(
        "-m", "seatrial", "run", str(ROOT / "notebooks/04_launch_llamacpp.ipynb"), "-p", "model", "flash",
        "--output", str(tmp_path / "run"), **machine("8xH100", **llama_server),
    )  # fmt: skip
    assert 0 == run.returncode, run.stderr
    server = read_json(tmp_path / "run" / "record.json")["results"]["server"]
    assert not server["launched"]
    assert "Run: seatrial fetch unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q8_K_XL" == server["remedy"]
    assert "No answer: nothing was launched." in (tmp_path / "run" / "04_launch_llamacpp.ipynb").read_text()
