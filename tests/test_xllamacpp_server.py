"""The default engine's own process: its first line comes at once, before llama.cpp is loaded."""

import os
import subprocess
import sys

import pytest

from seatrial.xllamacpp_server import parameters, parser

STAND_IN = """
import sys
print("loaded", *sorted(name for name in sys.modules if name.startswith("seatrial")))
sys.exit()
"""


def test_its_first_line_comes_before_llama_cpp_is_loaded(tmp_path):
    """A person who waits sees what happens; until then nothing of the kit is loaded besides the program itself."""
    (tmp_path / "xllamacpp.py").write_text(STAND_IN)
    argv = [sys.executable, "-m", "seatrial.xllamacpp_server", "--model=m.gguf", "--alias=small", "--port=1"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    output = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment)
    assert "seatrial.xllamacpp_server: loading llama.cpp to serve small\n" == output.stderr
    assert "loaded seatrial\n" == output.stdout


DEVICES = """
from types import SimpleNamespace
def get_device_info():
    return [{{"type": SimpleNamespace(name=name)}} for name in {names}]
Server = print
CommonParams = exit
"""


@pytest.mark.parametrize(
    ("devices", "layers", "warned"),
    [(["CPU"], 9, True), ([], 9, True), (["CPU"], 0, False), (["GPU", "CPU"], 9, False), (["IGPU"], 9, False)],
)
def test_layers_for_gpus_that_it_has_not_are_warned_of(tmp_path, devices, layers, warned):
    """In llama-server's own words, which a launch takes for what they say: the usual package knows no GPU."""
    (tmp_path / "xllamacpp.py").write_text(DEVICES.format(names=devices))
    argv = [sys.executable, "-m", "seatrial.xllamacpp_server", "--model=m", "--alias=a", "--port=1"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    argv.append(f"--gpu-layers={layers}")
    output = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment)
    assert warned == ("no usable GPU found, --gpu-layers option will be ignored" in output.stderr)


def chosen(*flags):
    """Return what xllamacpp is given for these flags."""
    return parameters(parser().parse_args(["--model=m.gguf", "--alias=small", "--port=1", "--threads=3", *flags]))


@pytest.mark.engine
def test_a_drafter_and_a_split_reach_llama_cpp(require):
    """Path, kind, number, layers and threads of the drafter; the split; no fitting."""
    require("xllamacpp")
    given = chosen(
        "--spec-draft-model=d.gguf", "--spec-draft-n-max=2", "--spec-draft-ngl=999", "--split-mode=tensor", "--fit=off"
    )
    draft = given.speculative.draft
    assert ("d.gguf", 2, 999) == (draft.mparams.path, draft.n_max, draft.n_gpu_layers)
    assert ["COMMON_SPECULATIVE_TYPE_DRAFT_DSPARK"] == [kind.name for kind in given.speculative.types]
    assert (3, 3) == (draft.cpuparams.n_threads, draft.cpuparams_batch.n_threads)
    assert ("LLAMA_SPLIT_MODE_TENSOR", False) == (given.split_mode.name, given.fit_params)


@pytest.mark.engine
def test_without_a_drafter_llama_cpp_keeps_its_defaults(require):
    """Nothing is drafted, layers are divided, and what was not given is fitted."""
    require("xllamacpp")
    given = chosen()
    assert ("", ["COMMON_SPECULATIVE_TYPE_NONE"]) == (
        given.speculative.draft.mparams.path,
        [kind.name for kind in given.speculative.types],
    )
    assert ("LLAMA_SPLIT_MODE_LAYER", True) == (given.split_mode.name, given.fit_params)


@pytest.mark.parametrize(
    "flag", ["--split-mode=row", "--spec-type=draft-simple", "--spec-draft-n-max=abc", "--fit=maybe"]
)
def test_what_it_does_not_know_is_bad_usage(flag, capsys):
    """The value is named before llama.cpp is loaded."""
    with pytest.raises(SystemExit) as caught:
        chosen(flag)
    assert 2 == caught.value.code
    assert flag.partition("=")[0] in capsys.readouterr().err
