"""Machines from files: what was detected elsewhere is planned for here; a damaged or hostile file is one clear error."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from tests.standin_nvml import standin_environment

from seatrial.cli.main import main
from seatrial.engines import build_command
from seatrial.errors import RefusedError, UnknownNameError, UsageError
from seatrial.hardware import Gpu, Hardware, Host, Problem, detect_hardware
from seatrial.hardware.named import named_machine
from seatrial.launching.claim import check_launch
from seatrial.plan import make_plan
from seatrial.records import to_dict
from seatrial.units import GIB

HOST = Host(cpu="Xeon", cores=16, memory_bytes=256 * GIB, memory_available_bytes=240 * GIB)
NODE = Hardware(
    name="rtx4090x2",
    gpus=tuple(replace(gpu, memory_free_bytes=20 * GIB) for gpu in named_machine("rtx4090x2").gpus),
    host=HOST,
    driver="580.95.05",
    cuda="13.0",
    origin="measured",
    source="NVML, /proc, /sys",
    detected_at="2026-11-20T08:00:00+00:00",
    engine_env=("CUDA_DEVICE_ORDER=PCI_BUS_ID",),
)


@pytest.fixture
def written(tmp_path):
    """Write a machine as ``seatrial detect --json`` does, with changes, and return the path as a name."""

    def write(document=None, **changes):
        path = tmp_path / "node.json"
        plain = document if document is not None else {**to_dict(NODE), **changes}
        content = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
        path.write_bytes(content)
        return str(path)

    return write


def gpu(**changes):
    """Return one GPU of the node, changed."""
    return {"gpus": [{**to_dict(NODE.gpus[0]), **changes}]}


def test_the_machine_of_a_file_is_the_one_detected(written):
    """All figures are those of the file; origin and source say that it is another machine, and of which day."""
    read = detect_hardware(written())
    assert ("derived", "node.json, detected 2026-11-20 (NVML, /proc, /sys)") == (read.origin, read.source)
    assert NODE == replace(read, origin="measured", source=NODE.source)
    assert NODE.detected_at == read.detected_at


@pytest.mark.parametrize("engine", ["llamacpp", "sglang", "vllm"])
@pytest.mark.parametrize("machine", ["2xRTX4090", "8xH100", "4xA100,1xL40S", "1xGB10", "1xH100:mig=7", ""])
def test_a_plan_for_the_file_is_the_plan_for_the_machine(nvml_library, tmp_path, machine, engine):
    """Detected, written, read: only the host's memory may have moved meanwhile."""
    environment = standin_environment(nvml_library, machine)
    command = [sys.executable, "-c", ROUND_TRIP, str(tmp_path / "node.json"), engine]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ["True"] * 3 == done.stdout.split()


ROUND_TRIP = """
import json, sys
from seatrial import build_command, detect_hardware, make_plan
from seatrial.records import to_dict

path, engine = sys.argv[1:]
here = detect_hardware()
with open(path, "w") as file:
    json.dump(to_dict(here), file)
there = detect_hardware(path)
one, other = (make_plan("flash", hardware=machine, engine=engine) for machine in (here, there))
fields = ("verdict", "checkpoint", "capacity_bytes", "shortfall_bytes", "gpu_layers", "cpu_expert_layers", "gpu_shares",
          "footprint", "prediction", "smallest_change", "parallelism", "gpu_memory_fraction")
print([getattr(one, name) for name in fields] == [getattr(other, name) for name in fields])
print({reason.text for reason in one.reasons} < {reason.text for reason in other.reasons})
print(not one.runs or build_command(one) == build_command(other))
"""


def test_the_commands_take_a_file_where_they_take_a_name(written, capsys):
    """The plan says which file and which day; nodes and host memory may stand beside it."""
    name = written()
    assert 0 == main(["plan", "--hardware", name])
    assert "rtx4090x2 is described by node.json, detected 2026-11-20" in capsys.readouterr().out
    assert 0 == main(["plan", "--hardware", name, "--json", "--host-memory-gib", "512"])
    plan = json.loads(capsys.readouterr().out)
    assert (512 * GIB, "derived") == (plan["hardware"]["host"]["memory_bytes"], plan["hardware"]["origin"])
    assert any("described by a file" in reason["text"] for reason in plan["reasons"])
    assert 0 == main(["footprint", "flash", "--hardware", name, "--json"])
    assert "rtx4090x2" == json.loads(capsys.readouterr().out)["hardware"]["name"]
    assert 0 == main(["models", "--hardware", name, "--nodes", "2"])
    assert "rtx4090x2" in capsys.readouterr().out
    assert 0 == main(["detect", "--hardware", name])
    assert "Xeon" in capsys.readouterr().out


def test_what_detect_writes_of_a_file_can_be_read_again(written, capsys, tmp_path):
    """The day stays that of the detection."""
    main(["detect", "--hardware", written(), "--json"])
    (tmp_path / "again.json").write_text(capsys.readouterr().out)
    again = detect_hardware(str(tmp_path / "again.json"))
    assert again.source.startswith("again.json, detected 2026-11-20 (node.json")


def test_a_plan_s_document_holds_its_machine_too(written, capsys, tmp_path):
    """Whoever kept seatrial plan --json has the machine in it."""
    main(["plan", "--hardware", written(), "--json"])
    (tmp_path / "plan.json").write_text(capsys.readouterr().out)
    assert NODE.gpus == detect_hardware(str(tmp_path / "plan.json")).gpus


def test_a_measured_bandwidth_in_the_file_is_used(written):
    """The node's own figure, not the data sheet's."""
    day = "2026-11-19T10:00:00+00:00"
    cards = [{**to_dict(one), "bandwidth_bytes_per_s": 3e11, "bandwidth_measured_at": day} for one in NODE.gpus]
    slow, fast = detect_hardware(written(gpus=cards)), detect_hardware(written())
    assert {3e11} == {one.bandwidth_bytes_per_s for one in slow.gpus}
    times = [make_plan("flash", hardware=one, engine="llamacpp").prediction.tpot_s.expected for one in (slow, fast)]
    assert times[0] > times[1]


def test_an_older_version_s_file_is_read(written):
    """Fields that came later have their defaults; engines count as NVML does; without a date the file's own counts."""
    document = to_dict(NODE)
    for later in ("engine_env", "detected_at", "problems"):
        del document[later]
    for one in document["gpus"]:
        for later in ("bandwidth_measured_at", "memory_limit_bytes", "limit_setting", "unified", "mig"):
            del one[later]
    for later in ("decode_bytes_per_s", "prompt_flops", "bandwidth_measured_at"):
        del document["host"][later]
    name = written(document)
    os.utime(name, (0, 1_700_000_000))
    read = detect_hardware(name)
    assert "node.json, written 2023-11-14" == read.source.partition(" (")[0]
    assert "PCI_BUS_ID" == build_command(make_plan(hardware=read, engine="llamacpp")).env["CUDA_DEVICE_ORDER"]


def test_a_newer_version_s_file_is_read(written):
    """Fields and accelerators that this version does not know are left out."""
    read = detect_hardware(written(future={"a": 1}, **gpu(accelerator="h900", future=[])))
    assert [None] == [one.accelerator for one in read.gpus]


def test_a_mac_s_file_of_an_older_version_names_the_limit(written):
    """The setting belongs to every Mac."""
    mac = named_machine("m3-ultra-96gb")
    document = to_dict(replace(mac, origin="measured"))
    del document["gpus"][0]["limit_setting"]
    plan = make_plan("flash", hardware=detect_hardware(written(document)))
    assert "iogpu.wired_limit_mb" in plan.smallest_change


def test_what_stands_in_a_file_obeys_no_terminal_and_sets_no_variable(written):
    """Names come back in one line of printable text; only variables that choose GPUs reach a command."""
    bad = "A\x1b]8;;http://x\x07\nB\u202e"
    document = {
        "name": bad,
        "driver": bad,
        "source": bad * 50,
        "problems": [{"what": bad, "remedy": bad}],
        "host": {"cpu": bad, "memory_bytes": 256 * GIB},
        "engine_env": ["LD_PRELOAD=/evil.so", "CUDA_VISIBLE_DEVICES=0\nX=1", "CUDA_VISIBLE_DEVICES=GPU-1"],
        **gpu(name=bad, accelerator=None),
    }
    read = detect_hardware(written(**document))
    texts = (read.name, read.driver, read.source, read.problems[0].what, read.host.cpu, read.gpus[0].name)
    assert all(text.isprintable() for text in texts)
    plan = make_plan("flash", hardware=read, engine="llamacpp")
    assert {"LD_PRELOAD", "X"}.isdisjoint(build_command(plan).env)
    assert "GPU-1" == build_command(plan).env["CUDA_VISIBLE_DEVICES"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (gpu(memory_bytes=-1), "gpus.memory_bytes is -1"),
        (gpu(memory_bytes=1 << 60), "gpus.memory_bytes is"),
        (gpu(memory_bytes=10**120), "gpus.memory_bytes is a number of more than 100 digits"),
        (gpu(memory_bytes=1.5), "Expected `int | null`"),
        (gpu(memory_bytes=True), "Expected `int | null`"),
        (gpu(memory_bytes="24"), "Expected `int | null`"),
        (gpu(bandwidth_bytes_per_s=1.0), "which no machine has"),
        (gpu(bandwidth_bytes_per_s=-1e12), "which no machine has"),
        (gpu(bf16_flops=1e300), "which no machine has"),
        (gpu(vendor="acme"), "known vendors are"),
        (gpu(compute_capability="9.0; rm"), "no compute capability"),
        (gpu(bandwidth_measured_at="yesterday"), "no date"),
        ({"gpus": to_dict(NODE)["gpus"] * 100}, "200 entries"),
        ({"gpus": {}}, "Expected `array`"),
        ({"gpus": [None]}, "Expected `object`"),
        ({"host": None}, "Expected `object`"),
        ({"host": {"cores": -3}}, "host.cores is -3"),
        ({"host": {"memory_bytes": -(10**300)}}, "a number of more than 100 digits"),
        ({"cuda": "new"}, "no version of CUDA"),
        ({"detected_at": "20/11/26"}, "no date"),
        ({"origin": "guessed"}, "Invalid enum value"),
        ({"source": "x" * 10_000}, "10,000 letters"),
        ({"problems": ["x"]}, "Expected `object`"),
    ],
)
def test_a_machine_that_cannot_exist_is_refused(written, change, words):
    """The message names file and field, and says how a right one is made."""
    with pytest.raises(UsageError) as caught:
        detect_hardware(written(**change))
    assert "node.json describes no machine" in caught.value.what
    assert words in caught.value.what
    assert "seatrial detect --json > machine.json" in caught.value.remedy
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe{}", b"[" * 100_000, b'{"gpus": [NaN]}', b"x" * (5 << 20)],
    ids=["empty", "cut", "list", "null", "number", "text", "utf16", "deep", "nan", "huge"],
)
def test_a_file_that_is_no_document_is_one_error(written, content, capsys):
    """Exit code 2, one message, no traceback."""
    assert 2 == main(["plan", "--hardware", written(content)])
    said = capsys.readouterr().err
    assert "node.json" in said
    assert "Traceback" not in said
    assert len(said) < 600


def test_a_cut_document_is_one_error(written):
    """Half of a copied file."""
    whole = json.dumps(to_dict(NODE)).encode()
    with pytest.raises(UsageError, match="not JSON"):
        detect_hardware(written(whole[: len(whole) // 2]))


def test_what_is_no_ordinary_file_is_one_error(tmp_path):
    """A pipe is not waited for, a folder not opened, a missing file is named as missing."""
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("pipe", "pipe"), (".", "directory")):
        with pytest.raises(UsageError, match=words):
            detect_hardware(str(tmp_path / name))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(UsageError, match="cannot be read"):
        detect_hardware(str(tmp_path / "loop"))
    with pytest.raises(UnknownNameError) as caught:
        detect_hardware(str(tmp_path / "missing.json"))
    assert "There is no such file." in caught.value.remedy


def test_names_of_files_may_be_odd(tmp_path, monkeypatch):
    """Not UTF-8, with escapes, relative, below the home folder; a machine's name is never taken for a file."""
    content = json.dumps(to_dict(NODE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (os.fsdecode(b"node-\xff"), "node \x1b[31m", "node"):
        (tmp_path / name).write_text(content)
        assert detect_hardware(name).source.isprintable()
    assert "rtx4090x2" == detect_hardware("~/node").name
    (tmp_path / "h100x8").write_text(content)
    assert "h100x8" == detect_hardware("h100x8").name
    assert "rtx4090x2" == detect_hardware("./h100x8").name
    with pytest.raises(UnknownNameError):
        detect_hardware("~nobody-at-all/node.json")


def test_nothing_is_launched_for_the_machine_of_a_file(written):
    """It stands somewhere else, also if it has no GPU."""
    for changes in ({}, {"gpus": [], "name": "cpu"}):
        plan = make_plan("tiny-v4", hardware=detect_hardware(written(**changes)))
        with pytest.raises(RefusedError, match="only named"):
            check_launch(plan)


def test_problems_of_the_node_are_kept(written):
    """They may be why a plan is smaller than expected."""
    read = detect_hardware(written(problems=[{"what": "GPU 3 is lost.", "remedy": "Reboot."}]))
    assert (Problem("GPU 3 is lost.", "Reboot."),) == read.problems


def test_a_named_machine_s_document_stays_a_named_one(written):
    """Nobody read it anywhere."""
    read = detect_hardware(written(to_dict(named_machine("h200x4"))))
    assert ("h200x4", "assumed") == (read.name, read.origin)
    assert isinstance(read.gpus[0], Gpu)
