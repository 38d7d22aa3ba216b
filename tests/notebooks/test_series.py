"""The series under papermill: it runs, and what it records is read back by type."""

import pytest
from tests.conftest import ROOT

from seatrial.batch import run_notebooks
from seatrial.hardware import Hardware
from seatrial.measure.record import read_measurement
from seatrial.plan import Plan
from seatrial.records import from_dict
from seatrial.server import list_servers

NOTEBOOKS = ROOT / "notebooks"

pytestmark = pytest.mark.notebook


def test_reading_notebooks_record_hardware_and_plans(tmp_path):
    """00 to 03 need nothing but this machine, and leave typed results."""
    names = ("00_start_here", "01_detect_hardware", "02_choose_model", "03_launch_sglang")
    run = run_notebooks([NOTEBOOKS / f"{name}.ipynb" for name in names], output=tmp_path / "run", jobs=2)
    assert [(f"{name}.ipynb", "completed") for name in names] == [(one.notebook, one.status) for one in run.notebooks]
    assert "measured" == from_dict(Hardware, run.results["hardware"]).origin
    assert ["flash", "pro"] == [from_dict(Plan, plan).model for plan in run.results["plans"]]
    assert ["verified"] == [from_dict(Plan, run.results["sglang"]["example"]).verdict]


def test_a_named_machine_is_never_launched_on(tmp_path):
    """03 for a machine you name shows its command and that nothing was launched."""
    run = run_notebooks(
        [NOTEBOOKS / "03_launch_sglang.ipynb"], parameters={"hardware": "h200x4"}, output=tmp_path / "run"
    )
    sglang = run.results["sglang"]
    assert "verified" == from_dict(Plan, sglang["here"]).verdict
    assert "a machine you named" in sglang["server"]["why"]
    assert "--tensor-parallel-size=4" in sglang["command"]["argv"]


def test_an_unknown_machine_is_one_clear_error(tmp_path):
    """The notebook stops with the library's message and the contract's exit code."""
    run = run_notebooks(
        [NOTEBOOKS / "01_detect_hardware.ipynb"], parameters={"hardware": "h200y4"}, output=tmp_path / "run"
    )
    error = run.notebooks[0].error
    assert ("UnknownNameError", "detect", 2, 2) == (error.kind, error.cell, error.exit_code, run.exit_code)
    assert "Nearest" in error.message


@pytest.mark.engine
def test_a_real_engine_is_launched_asked_and_gone(tmp_path, require):
    """04 launches llama.cpp on the stand-in, gets an answer, and leaves nothing running."""
    require("xllamacpp")
    require("stand-in model")
    run = run_notebooks(
        [NOTEBOOKS / "04_launch_llamacpp.ipynb"], parameters={"model": "smollm2"}, output=tmp_path / "run"
    )
    assert "completed" == run.notebooks[0].status, run.notebooks[0].error
    server = run.results["server"]
    stopped = server["stopped"]
    assert (True, "llamacpp", 0, True) == (
        server["stand_in"],
        server["engine"],
        stopped["processes_left"],
        stopped["port_free"],
    )
    assert [] == list_servers()


@pytest.mark.engine
def test_a_measurement_is_recorded_with_its_prediction(tmp_path, require):
    """05 measures the real engine at each level asked for, beside what was predicted for it."""
    require("xllamacpp")
    require("stand-in model")
    run = run_notebooks(
        [NOTEBOOKS / "05_live_throughput.ipynb"],
        parameters={"model": "smollm2", "concurrency": "1,2", "requests": 4, "answer_tokens": 8, "prompt_tokens": 32},
        output=tmp_path / "run",
    )
    assert "completed" == run.notebooks[0].status, run.notebooks[0].error
    measurement = read_measurement(run.results["measurement"])
    assert [1, 2] == [point.concurrency for point in measurement.points]
    assert [(4, 0), (4, 0)] == [(point.requests.succeeded, point.requests.failed) for point in measurement.points]
    assert all(point.predicted_tokens_per_s for point in measurement.points)
    assert ["1", "2"] == sorted(run.results["prediction"])
    assert measurement.stand_in
    assert [] == list_servers()


@pytest.mark.engine
def test_secrets_stay_out_of_the_run(tmp_path, require):
    """The server's API key, read while it ran, is in no file of the run; nor is a header that carries it."""
    require("xllamacpp")
    require("stand-in model")
    keys = []

    def read_key(step):
        if step.cell == "ask":
            keys.extend(server.api_key() for server in list_servers())

    run_notebooks(
        [NOTEBOOKS / "04_launch_llamacpp.ipynb"],
        parameters={"model": "smollm2"},
        output=tmp_path / "run",
        on_progress=read_key,
    )
    (key,) = keys
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert {".ipynb", ".json", ".log"} <= {path.suffix for path in files}
    assert "/key" in text  # its file is named
    assert key not in text
    assert "Bearer" not in text
