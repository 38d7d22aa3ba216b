"""The script for a machine with a GPU: rehearsed with a stand-in for NVML, and given what it cannot use."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.standin_nvml import build_standin, standin_environment

from gpu import load, prepare, run
from gpu.pack import read_manifest
from gpu.report import WARNING, StepResult
from gpu.site import Failed, Site, Skipped

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ".".join(map(str, sys.version_info[:2]))
BARE = {"python": PYTHON, "wheels": [], "source": "", "program": "", "stand_in": "", "left_out": []}


def script(*words, **options):
    """Run the script."""
    command = [sys.executable, ROOT / "tools" / "gpu_proof.py", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def pack(tmp_path):
    """Return a pack that carries nothing, for the packages that are installed here."""
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "pack.json").write_text(json.dumps(BARE))
    return folder


@pytest.fixture
def site(pack, tmp_path):
    """Return a run with that pack."""
    work = tmp_path / "work"
    work.mkdir()
    return Site(pack, read_manifest(pack), work, rehearsal=False)


@pytest.mark.engine
def test_a_rehearsal_goes_the_whole_way(require, pack, tmp_path):
    """Serve, run out of memory, kill, stop: each step passes, and everything written says that it is a rehearsal."""
    require("compiler")
    require("xllamacpp")
    require("stand-in model")
    out = tmp_path / "out"
    done = script("run", pack, "--output", out, "--rehearse", "--only", "serve-tiny,too-large,kill")
    document = json.loads((out / "gpu_proof.json").read_text())
    steps = {step["name"]: step for step in document["steps"]}
    passed = {name for name, step in steps.items() if step["status"] == "passed"}
    assert {"packages", "detect", "idle", "engine", "models", "serve-tiny", "too-large", "kill", "stop"} == passed, (
        done.stdout
    )
    assert (1, True, "NVIDIA H200") == (done.returncode, document["rehearsal"], document["device"])
    assert {"not asked for"} == {step["reason"] for step in steps.values() if step["status"] != "passed"}
    served, ended = steps["serve-tiny"]["figures"], steps["too-large"]["figures"]
    assert [1, 8] == [point["concurrency"] for point in served["points"]]
    assert served["weights_bytes"] <= served["held_bytes"]
    assert ("host out of memory", 4, []) == (ended["cause"], ended["exit_code"], ended["left"])
    assert "killed" == steps["kill"]["figures"]["cause"]
    page = (out / "gpu-proof.md").read_text()
    assert WARNING in page
    assert "# Rehearsal" in page
    assert "| passed |" not in page
    assert ["gpu-proof.md", "gpu_proof.json"] == sorted(path.name for path in out.iterdir())


def test_what_is_no_pack_is_refused(tmp_path, pack):
    """Missing, empty, damaged or incomplete: one message, exit code 2, and nothing written."""
    out = tmp_path / "out"
    broken = {"{": "is no pack", "[]": "is no pack", '{"python": 3}': "is damaged", '{"pythons": "3.12"}': "is no pack"}
    broken |= {json.dumps(BARE | {"wheels": "a"}): "is damaged", json.dumps(BARE | {"wheels": ["a.whl"]}): "a.whl"}
    assert "is no pack" in script("run", tmp_path / "missing", "--output", out).stderr
    for text, why in broken.items():
        (pack / "pack.json").write_text(text)
        done = script("run", pack, "--output", out, "--rehearse")
        assert (2, 1) == (done.returncode, len(done.stderr.splitlines()))
        assert why in done.stderr
    assert not out.exists()


def test_an_output_that_cannot_be_written_is_refused(tmp_path, pack):
    """A file in its place, or a read-only file system: before any step."""
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/out")):
        done = script("run", pack, "--output", out)
        assert (2, "") == (done.returncode, done.stdout)
        assert "cannot be written" in done.stderr


@pytest.mark.parametrize(
    "words", [("--budget-s", "nan"), ("--budget-s", "-1"), ("--budget-s", "inf"), ("--only", "no")]
)
def test_odd_choices_are_refused(tmp_path, pack, words):
    """A budget is a positive number, and a step has a name."""
    assert 2 == script("run", pack, "--output", tmp_path / "out", *words).returncode
    assert not (tmp_path / "out").exists()


def test_a_spent_budget_skips_the_rest(tmp_path, pack):
    """No step begins without time for it, and the record is written all the same."""
    done = script("run", pack, "--output", tmp_path / "out", "--budget-s", "1")
    steps = json.loads((tmp_path / "out" / "gpu_proof.json").read_text())["steps"]
    assert 1 == done.returncode
    assert {"skipped"} == {step["status"] for step in steps}
    assert "the budget of 1 s was spent" == steps[0]["reason"]


def run_of(site, tmp_path, **fields):
    """Return a run that writes into a folder of the test."""
    (tmp_path / "out").mkdir(exist_ok=True)
    return run.Run(site, tmp_path / "out", 540.0, "2026-11-30T10:00:00+00:00", **fields)


def steps_of(monkeypatch, tmp_path, *lines):
    """Put steps in the place of the real ones, each with one line of Python, in a module that their process finds."""
    functions = [f"def step{number}(site):\n    {line}\n" for number, line in enumerate(lines)]
    (tmp_path / "made_up.py").write_text("\n".join(["import os, time", "from gpu.site import Failed", *functions]))
    rows = [run.Step(f"step{number}", f"made_up:step{number}", "something", 20.0) for number in range(len(lines))]
    stop = run.Step("stop", "made_up:step0", "something", 20.0)
    monkeypatch.setattr(run, "STEPS", ((*rows,), (stop,)))
    program = tmp_path / "gpu_proof.py"
    program.write_text(
        "import sys\n"
        f"sys.path[:0] = [{str(ROOT / 'tools')!r}, {str(tmp_path)!r}]\n"
        "from gpu import run\nfrom pathlib import Path\nfrom gpu.pack import read_manifest\nfrom gpu.site import Site\n"
        f"run.STEPS = (tuple(run.Step(f'step{{n}}', f'made_up:step{{n}}', '', 20.0) for n in range({len(lines)})),"
        " (run.Step('stop', 'made_up:step0', '', 20.0),))\n"
        "name, folder, work = sys.argv[2:5]\n"
        "run.do_step(name, Site(Path(folder), read_manifest(Path(folder)), Path(work), False))\n"
    )
    monkeypatch.setattr(run, "_SCRIPT", program)
    return rows


def test_each_end_of_a_step_is_recorded(monkeypatch, site, tmp_path):
    """Passed with figures, failed with a reason, crashed with its traceback, or dead by a signal: the next one goes on."""
    steps_of(
        monkeypatch,
        tmp_path,
        "return {'figure': 1}",
        "raise Failed('no GPU', {'seen': 0})",
        "raise ZeroDivisionError('a fault of the script')",
        "os.abort()",
    )
    seen = {step.name: step for step in run_of(site, tmp_path).go().steps}
    assert ("passed", {"figure": 1}) == (seen["step0"].status, seen["step0"].figures)
    assert ("failed", "no GPU", {"seen": 0}) == (seen["step1"].status, seen["step1"].reason, seen["step1"].figures)
    assert "ZeroDivisionError: a fault of the script" in seen["step2"].reason
    assert ["failed", "failed", "passed"] == [seen[name].status for name in ("step2", "step3", "stop")]
    assert json.loads((tmp_path / "out" / "gpu_proof.json").read_text())["steps"][1]["reason"] == "no GPU"


def test_a_step_that_hangs_is_ended_at_its_limit(monkeypatch, site, tmp_path):
    """With every process it started; the next one goes on."""
    (row,) = steps_of(monkeypatch, tmp_path, "os.spawnlp(os.P_WAIT, 'sleep', 'sleep', '31413') or time.sleep(600)")
    quick = run.Step(row.name, row.function, row.proves, 1.5)
    result = run_of(site, tmp_path)._step(quick)
    assert ("failed", "ended after 2 s, its limit") == (result.status, result.reason)
    assert not [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "31413"]]


def test_ctrl_c_ends_what_runs_and_writes_the_record(tmp_path, pack):
    """The steps that did not begin are skipped as interrupted."""
    out = tmp_path / "out"
    command = [sys.executable, ROOT / "tools" / "gpu_proof.py", "run", pack, "--output", out]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert "packages" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate()
    document = json.loads((out / "gpu_proof.json").read_text())
    reasons = [step["reason"] for step in document["steps"]]
    assert 1 == process.returncode
    assert "interrupted" in reasons


def test_a_step_needs_those_before_it(site, tmp_path):
    """One that did not pass is the reason why the next is skipped; choosing a step chooses what it needs."""
    proof = run_of(site, tmp_path)
    proof.results = {"detect": StepResult("detect", "", "failed")}
    engine = next(step for group in run.STEPS for step in group if step.name == "engine")
    assert ("skipped", "detect did not pass") == (proof._step(engine).status, proof._step(engine).reason)
    assert {"packages", "detect", "idle", "engine", "models", "kill", "stop"} == run.with_needs(["kill"])


@pytest.fixture
def gpu(require, monkeypatch, tmp_path):
    """Return a function that puts a stand-in for NVML in the place of the driver, for processes that start from now on."""
    require("compiler")

    def played(machine):
        for name, value in standin_environment(build_standin(tmp_path), machine).items():
            monkeypatch.setenv(name, value)

    return played


def note(site, step, **figures):
    """Note the figures of an earlier step."""
    (site.work / f"{step}.json").write_text(json.dumps({"status": "passed", "figures": figures}))


def test_a_machine_without_a_gpu_fails_detection(site, gpu):
    """The proof never passes without a GPU; what the kit found instead is kept."""
    gpu("")
    with pytest.raises(Failed, match="no GPU") as caught:
        prepare.detect(site)
    assert [] == caught.value.figures["gpus"]


def test_nvidia_smi_must_agree(site, gpu, monkeypatch, tmp_path):
    """Its name, memory and driver of each GPU are compared; a difference fails the step with both."""
    gpu("1xH200")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program = tmp_path / "nvidia-smi"
    for memory, agrees in ((143771, True), (81559, False)):
        program.write_text(f"#!/bin/sh\necho 'NVIDIA H200, {memory}, 580.95.05'\n")
        program.chmod(0o755)
        if agrees:
            assert "agrees in name, memory and driver" == prepare.detect(site)["nvidia-smi"]
        else:
            with pytest.raises(Failed, match="81559"):
                prepare.detect(site)


def test_wheels_of_another_python_are_refused(site):
    """The message has the command that makes the right ones."""
    site.manifest.wheels, site.manifest.python = ["a.whl"], "3.9"
    with pytest.raises(Failed, match=f"pack --python {PYTHON}"):
        prepare.packages(site)


def test_a_damaged_wheel_fails_with_what_pip_says(site):
    """A carried file may be cut."""
    (site.pack / "wheels").mkdir()
    (site.pack / "wheels" / "a-1-py3-none-any.whl").write_bytes(b"PK")
    site.manifest.wheels = ["a-1-py3-none-any.whl"]
    with pytest.raises(Failed, match=r"a-1-py3-none-any\.whl"):
        prepare.packages(site)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (None, "neither llama.cpp's source nor a program"),
        ("exit 1", "neither llama.cpp's source nor a program"),
        ("echo 'version: 11549 (made up)'", "sees no GPU"),
    ],
)
def test_an_engine_that_is_of_no_use_fails(site, program, why):
    """None carried, one that does not start here, and one that was built without GPUs."""
    if program:
        site.manifest.program = "llama-server"
        (site.pack / "llama-server").write_text(f"#!/bin/sh\n{program}\n")
    with pytest.raises(Failed, match=why):
        prepare.engine(site)


def test_an_engine_that_sees_the_gpu_is_taken(site):
    """Its version and its devices are kept."""
    site.manifest.program = "llama-server"
    (site.pack / "llama-server").write_text('#!/bin/sh\necho "$1: CUDA0: NVIDIA H200 (143771 MiB)"\n')
    figures = prepare.engine(site)
    assert ("carried", "runs", "llama-server") == (figures["made"], figures["tried"], figures["runner"])
    assert "CUDA0: NVIDIA H200" in figures["devices"]


def test_what_is_not_carried_is_skipped_with_the_reason(site):
    """The stand-in may be too large to carry, and models may have failed."""
    note(site, "models", **{"stand-in": "98 MB are too much"})
    with pytest.raises(Skipped, match="98 MB are too much"):
        load.serve_stand_in(site)
    for step in (load.serve_large, load.too_large):
        with pytest.raises(Skipped, match="no large model"):
            step(site)


@pytest.mark.engine
def test_an_engine_on_the_processor_is_found_out(require, pack, gpu, tmp_path):
    """NVML sees no more memory in use: the step fails, although every request was answered."""
    require("xllamacpp")
    gpu("1xH200")
    work = tmp_path / "work"
    work.mkdir()
    site = Site(pack, read_manifest(pack), work, rehearsal=False)
    note(site, "engine", runner="xllamacpp")
    note(site, "idle", idle_bytes=0)
    assert 0 == script("step", "serve-tiny", pack, work).returncode
    seen = json.loads((work / "serve-tiny.json").read_text())
    assert ("failed", 0) == (seen["status"], seen["figures"]["held_bytes"])
    assert seen["reason"].startswith(("The GPU does not hold the weights", "The measurement is not valid"))


def test_memory_that_does_not_come_back_fails(pack, gpu, monkeypatch, tmp_path):
    """With what is held, and what was held at first."""
    gpu("1xH200")
    work, state = tmp_path / "work", tmp_path / "state"
    work.mkdir()
    state.write_text("0 5120 0 80\n")
    monkeypatch.setenv("STANDIN_NVML_STATE", str(state))
    program = (
        "import sys\nfrom gpu import memory, run\nfrom pathlib import Path\nfrom gpu.pack import read_manifest\n"
        "from gpu.site import Site\nmemory._BACK_S = 0.0\n"
        "run.do_step('stop', Site(Path(sys.argv[1]), read_manifest(Path(sys.argv[1])), Path(sys.argv[2]), False))"
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tools"))
    subprocess.run([sys.executable, "-c", program, pack, work], check=True)
    seen = json.loads((work / "stop.json").read_text())
    assert ("failed", "5.00 GiB, at first 0.00 GiB") == (seen["status"], seen["reason"][14:42].rstrip(":"))


def test_a_gpu_whose_bandwidth_was_not_measured_fails(site, gpu, tmp_path):
    """NVML tells a data sheet's figure; here CUDA does not start, so nothing was measured."""
    gpu("1xH200")
    (tmp_path / "libcuda.so.1").write_bytes(b"")
    with pytest.raises(Failed, match="was not measured") as caught:
        prepare.bandwidth(site)
    assert caught.value.figures["listed_bytes_per_s"][1] > 0
    assert caught.value.figures["measured_bytes_per_s"][1] is None
