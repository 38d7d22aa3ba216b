"""What this machine lacks is reported before gigabytes are fetched: the driver, the installed version."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.engines.snapshot import read_snapshot

OLD_DRIVER = {"STANDIN_NVML_DRIVER": "535.129.03", "STANDIN_NVML_CUDA": "12020"}
FLASH = "deepseek-ai/DeepSeek-V4-Flash"
GGUF = "unsloth/DeepSeek-V4-Flash-0731-GGUF:UD-Q4_K_XL"
NO_ROOM = {"SEATRIAL_CACHE": "/proc/seatrial"}
NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"}


@pytest.fixture
def seatrial(tmp_path):
    """Return a function that runs the command line without a network and with only the given engines."""

    def run(*words, **settings):
        plain = {name: value for name, value in os.environ.items() if not name.startswith("SEATRIAL_")}
        environment = plain | NO_HUB | {"SEATRIAL_CACHE": str(tmp_path / "cache")} | settings
        environment |= {"SEATRIAL_STATE": os.environ["SEATRIAL_STATE"], "COLUMNS": "200"}
        command = [sys.executable, "-m", "seatrial", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


def test_an_old_driver_stops_the_download(seatrial, machine, sglang, tmp_path):
    """Exit code 3 with both versions, and nothing is written."""
    done = seatrial("fetch", FLASH, **machine("4xH200", **sglang, **OLD_DRIVER))
    assert 3 == done.returncode, done.stderr
    assert "driver is 535.129.03, but SGLang needs 580.65.06 or newer" in done.stderr
    assert "--anyway" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_anyway_allows_the_download(seatrial, machine, sglang):
    """With --anyway the next obstacle is the disk, which has no free space."""
    done = seatrial("fetch", FLASH, "--anyway", **machine("4xH200", **sglang, **OLD_DRIVER), **NO_ROOM)
    assert "are needed under /proc/seatrial" in done.stderr


def test_an_old_driver_leaves_llamacpp(seatrial, machine, llama_server):
    """A checkpoint llama.cpp loads is fetched: it asks nothing of the driver that its build does not say itself."""
    done = seatrial("fetch", GGUF, **machine("8xH100", **llama_server, **OLD_DRIVER), **NO_ROOM)
    assert "are needed under /proc/seatrial" in done.stderr


def test_with_an_old_driver_the_plan_goes_to_the_engine_that_runs(seatrial, machine, sglang, llama_server):
    """``fetch flash`` gives the reason why it does not take SGLang's checkpoint."""
    done = seatrial("fetch", "flash", **machine("4xH200", **sglang, **llama_server, **OLD_DRIVER))
    assert "GGUF" in done.stderr.splitlines()[0], done.stderr
    assert "but SGLang needs 580.65.06 or newer" in " ".join(done.stderr.split())


def test_an_old_driver_stops_serve(seatrial, machine, sglang):
    """The driver is checked before the checkpoint, whose lack is the next error with --anyway."""
    here = machine("4xH200", **sglang, **OLD_DRIVER)
    refused = seatrial("serve", f"--checkpoint={FLASH}", "--engine=sglang", **here)
    assert (3, True) == (refused.returncode, "580.65.06" in refused.stderr), refused.stderr
    tried = seatrial("serve", f"--checkpoint={FLASH}", "--engine=sglang", "--anyway", **here)
    assert (2, True) == (tried.returncode, "is not on this machine yet" in tried.stderr), tried.stderr


@pytest.mark.parametrize(
    ("setting", "version", "needed"),
    [("SEATRIAL_SGLANG_PYTHON", "\n0.5.11", "0.5.23"), ("SEATRIAL_VLLM", "0.19.1", "0.33.0")],
)
def test_an_engine_too_old_for_v4_stops_the_download(seatrial, machine, scripted, setting, version, needed):  # noqa: PLR0913, PLR0917 -- one case
    """The engine is installed, so ``serve`` would start it."""
    done = seatrial("fetch", FLASH, **machine("4xH200", **{setting: scripted("engine", version)}))
    assert 3 == done.returncode, done.stderr
    assert f"{version.strip()} is installed, but {needed} or newer is needed" in done.stderr


def test_gpus_no_engine_takes_stop_the_download(seatrial, machine):
    """Neither SGLang nor vLLM runs V4 on an A100, so its safetensors are not fetched; a GGUF is."""
    done = seatrial("fetch", FLASH, **machine("8xA100"), **NO_ROOM)
    assert (3, True) == (done.returncode, "runs V4 on Hopper" in done.stderr), done.stderr
    assert "are needed under" in seatrial("fetch", GGUF, **machine("8xA100"), **NO_ROOM).stderr
    assert "are needed under" in seatrial("fetch", FLASH, "--anyway", **machine("8xA100"), **NO_ROOM).stderr


def test_without_a_gpu_the_download_goes_on(seatrial):
    """Clusters download on their login nodes."""
    done = seatrial("fetch", FLASH, **NO_ROOM)
    assert "are needed under /proc/seatrial" in done.stderr


def doctor(seatrial, **here):
    """Return the document of doctor, and its checks by name."""
    done = seatrial("doctor", "--json", **here)
    document = json.loads(done.stdout)
    return document, {check["name"]: check for check in document["checks"]}


def test_doctor_shows_the_driver_with_one_remedy(seatrial, machine):
    """A warning for each engine meant for these GPUs; the kit itself can be used."""
    document, checks = doctor(seatrial, **machine("8xH100", **OLD_DRIVER))
    assert document["usable"]
    for title in ("SGLang", "vLLM"):
        check = checks[f"{title}: NVIDIA driver"]
        assert ("warning", True) == (check["status"], "535.129.03" in check["found"])
        assert check["remedy"].startswith("Update the NVIDIA driver")


def test_doctor_shows_a_gpu_no_engine_takes(seatrial, machine):
    """Doctor gives the planner's own rule about an A100 for each engine that it stops."""
    _, checks = doctor(seatrial, **machine("8xA100"))
    check = checks["SGLang: DeepSeek V4 Flash"]
    assert ("warning", True) == (check["status"], "Hopper" in check["found"])


def test_doctor_reports_small_shared_memory_once(machine, require):
    """Small shared memory is one warning, not one for each engine."""
    require("mount")
    words = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$0" -m seatrial doctor --json'
    argv = ["unshare", "--mount", "sh", "-c", words, sys.executable]
    environment = os.environ | machine("4xA100")
    checks = json.loads(subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout)[
        "checks"
    ]
    found = [(check["name"], check["status"]) for check in checks if "64.0 MiB" in check["found"]]
    assert [("Shared memory", "warning")] == found


def test_doctor_skips_engines_for_other_machines(seatrial):
    """A machine without GPUs and without SGLang lacks nothing for SGLang."""
    _, checks = doctor(seatrial)
    assert [] == [name for name in checks if name.startswith("SGLang")]


@pytest.mark.parametrize(
    ("without", "status", "finding"),
    [(set(), "ok", "accepts all"), ({"--context-length"}, "warning", "does not name --context-length")],
)
def test_doctor_asks_engines_for_their_flags_on_request(seatrial, scripted, without, status, finding):
    """SGLang needs seconds to list its flags, so only --ask-engines does."""
    flags = "\n".join(sorted(read_snapshot("sglang").accepted - without))
    engine = scripted("python", f"\n0.5.23\n{flags}")
    path = Path(engine)
    path.write_text(path.read_text().replace("cat <<", '[ "$1" = -c ] && printf "\\n0.5.23\\n" && exit\ncat <<', 1))
    done = seatrial("doctor", "--json", "--ask-engines", SEATRIAL_SGLANG_PYTHON=engine)
    check = {check["name"]: check for check in json.loads(done.stdout)["checks"]}["Engine sglang: flags"]
    assert (status, True) == (check["status"], finding in check["found"]), check


def test_doctor_shows_why_an_engine_lists_no_flags(seatrial, scripted):
    """The last line of the engine's output is shown."""
    engine = scripted("python", "\n0.5.23")
    done = seatrial("doctor", "--json", "--ask-engines", SEATRIAL_SGLANG_PYTHON=engine)
    check = {check["name"]: check for check in json.loads(done.stdout)["checks"]}["Engine sglang: flags"]
    assert ("warning", True) == (check["status"], "could not list its flags" in check["found"])


def test_doctor_warns_of_a_setting_that_leads_nowhere(seatrial):
    """A setting that points nowhere is a warning, not an engine that is not installed."""
    _, checks = doctor(seatrial, SEATRIAL_VLLM="/nowhere/vllm")
    check = checks["Engine vllm"]
    assert ("warning", True) == (check["status"], "SEATRIAL_VLLM" in check["found"])
