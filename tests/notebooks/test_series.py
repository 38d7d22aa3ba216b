"""The series under papermill: it runs, and what it records is read back by type."""

import pytest
from tests.conftest import ROOT
from tests.simulator import running_simulator

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
def test_a_server_is_handed_from_notebook_to_notebook(tmp_path, require):
    """04 keeps what it launched, 05 measures that, and by its URL somebody else's; nothing is started twice or stopped."""
    require("xllamacpp")
    require("stand-in model")
    small = {"concurrency": "1", "requests": 2, "answer_tokens": 4, "prompt_tokens": 16}
    launched = run_notebooks(
        [NOTEBOOKS / "04_launch_llamacpp.ipynb"],
        parameters={"model": "smollm2", "keep": True},
        output=tmp_path / "launched",
    )
    assert "completed" == launched.notebooks[0].status, launched.notebooks[0].error
    (server,) = list_servers()
    measured = run_notebooks(
        [NOTEBOOKS / "05_live_throughput.ipynb"],
        parameters={"model": "smollm2", **small},
        output=tmp_path / "measured",
    )
    assert "completed" == measured.notebooks[0].status, measured.notebooks[0].error
    records = [run.results["server"] for run in (launched, measured)]
    assert [server.launch_id] * 2 == [record["launch_id"] for record in records]
    assert ["it is kept, as asked", "it was here before"] == [record["left_running"] for record in records]
    assert measured.results["plan"] == launched.results["plan"]
    assert [server] == list_servers()
    assert server.responds()


@pytest.mark.engine
def test_notebooks_work_on_any_url(tmp_path, monkeypatch):
    """03, 04 and 05 on somebody else's server: models listed, asked, measured; no plan of ours is recorded for it."""
    (tmp_path / "key").write_text("a-made-up-key-0123456789")
    monkeypatch.setenv("THEIR_KEY", "a-made-up-key-0123456789")
    names = ("03_launch_sglang", "04_launch_llamacpp", "05_live_throughput")
    with running_simulator("--model=theirs", f"--api-key-file={tmp_path / 'key'}", "--ttft-s=0.01") as server:
        run = run_notebooks(
            [NOTEBOOKS / f"{name}.ipynb" for name in names],
            parameters={"server": f"{server.url}/v1", "api_key_env": "THEIR_KEY", "concurrency": "1", "requests": 2},
            output=tmp_path / "run",
        )
        assert ["completed"] * 3 == [one.status for one in run.notebooks], [one.error for one in run.notebooks]
        record = run.results["server"]
        assert (server.url, ["theirs"], False) == (record["url"], record["models"], record["launched"])
        assert ({}, server.url) == (run.results["prediction"], run.results["measurement"]["url"])
        assert run.results["plan"] is None
        assert server.process.poll() is None
    assert [] == list_servers(ended=True)
    texts = "".join(path.read_text() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert "a-made-up-key-0123456789" not in texts


def test_a_server_that_does_not_run_ends_the_notebook_before_anything(tmp_path):
    """The error names the parameter and what runs; nothing is fetched or launched."""
    run = run_notebooks(
        [NOTEBOOKS / "05_live_throughput.ipynb"], parameters={"server": "nobody"}, output=tmp_path / "run"
    )
    error = run.notebooks[0].error
    assert ("UsageError", "launch", 2) == (error.kind, error.cell, error.exit_code)
    assert "No server named 'nobody' runs on this machine." in error.message
    assert [] == list_servers(ended=True)


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
