"""Any engine's log is explained, however it was wrapped: the same cause as the bare log has, or that it is well."""

import bz2
import gzip
import io
import json
import lzma
import re
from types import SimpleNamespace

import pytest
from tests.server.failures.test_corpus import HEALTHY, cases

from seatrial import explain
from seatrial.errors import UnknownNameError, UsageError
from seatrial.server.failures import log_file
from seatrial.server.failures.log_file import HEAD_BYTES, TAIL_BYTES
from seatrial.server.failures.wrapping import unwrapped

STAMP = "2026-11-02T08:14:03.123456789Z"
WRAPPED = {
    "docker's json-file": lambda line: json.dumps({"log": f"{line}\n", "stream": "stderr", "time": STAMP}),
    "journalctl -o json": lambda line: json.dumps({"MESSAGE": line, "_SYSTEMD_UNIT": "vllm.service"}),
    "journalctl -o json, as bytes": lambda line: json.dumps({"MESSAGE": list(line.encode())}),
    "journalctl": lambda line: f"Nov 02 08:14:03 node7 vllm[4111]: {line}",
    "journalctl -o short-iso": lambda line: f"2026-11-02T08:14:03+0100 node7 docker[41]: {line}",
    "journalctl -o short-monotonic": lambda line: f"[   91.402113] node7 vllm[4111]: {line}",
    "kubectl logs --prefix": lambda line: f"[pod/engine-0/vllm] {line}",
    "kubectl logs --prefix --timestamps": lambda line: f"[pod/engine-0/vllm] {STAMP} {line}",
    "containerd": lambda line: f"{STAMP} stderr F {line}",
    "docker compose": lambda line: f"engine-1  | {line}",
    "docker compose, coloured": lambda line: f"\x1b[36mengine-1  |\x1b[0m {line}",
    "docker compose logs -t": lambda line: f"engine-1  | {STAMP} {line}",
    "docker logs -t": lambda line: f"{STAMP} {line}",
    "srun --label": lambda line: f"0: {line}",
    "srun --label, of sixteen": lambda line: f" 3: {line}",
    "mpirun --tag-output": lambda line: f"[1,0]<stderr>:{line}",
    "mpirun --output tag": lambda line: f"[prterun-n7-1@1,0]<stderr>: {line}",
    "torchrun": lambda line: f"[default0]:{line}",
    "pdsh": lambda line: f"node07: {line}",
    "ts": lambda line: f"Nov 02 08:14:03 {line}",
    "colours": lambda line: f"\x1b[31m{line}\x1b[0m",
    "srun in kubectl": lambda line: f"[pod/job-0/slurm] 0: {line}",
}
ENCODED = {
    "bare": str.encode,
    "byte-order mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16, big end first": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "bzip2": lambda text: bz2.compress(text.encode()),
    "xz": lambda text: lzma.compress(text.encode()),
    "a hole at its front": lambda text: bytes(70_000) + text.encode(),
    "another encoding": lambda text: f"{text}Größe\n".encode("latin-1", errors="replace"),
}
FABRIC = """\
/venv/lib/python3.12/site-packages/torch/cuda/__init__.py:184: UserWarning: CUDA initialization: Unexpected error \
from cudaGetDeviceCount(). Error 802: system not yet initialized (Triggered internally at CUDAFunctions.cpp:109.)
Traceback (most recent call last):
  File "/venv/lib/python3.12/site-packages/sglang/launch_server.py", line 11, in <module>
RuntimeError: No accelerator (CUDA, XPU, HPU, NPU, MUSA, MPS) or platform plugin is available.
"""
READY = """\
INFO 11-02 08:14:03 [api_server.py:1990] vLLM API server version 0.33.0
INFO:     Application startup complete.
"""
OOM = "(EngineCore pid=7) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
BY_SIGNAL = [param for param in cases() if {"signal", "oom_kills"} & set(param.values[0])]
BY_LINES = [param for param in cases() if param not in BY_SIGNAL and param.values[0].get("code", 1) < 128]


@pytest.fixture
def log(tmp_path):
    """Write a log file, and return its path."""

    def write(content):
        path = tmp_path / "engine.log"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("case", BY_LINES)
def test_the_cause_is_that_of_the_engine(case, log):
    """Of every failure whose lines name it, without knowing the engine."""
    assert case["cause"] == explain(log(case["log"])).cause


@pytest.mark.parametrize("case", cases("scary", folder=HEALTHY))
def test_a_healthy_log_is_called_that(case, log):
    """Whatever words stand in it."""
    found = explain(log(case["log"]))
    assert (None, False) == (found.cause, found.failed), found
    assert "no failure" in found.what


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_every_prefix_comes_off(wrap):
    """Of every log of the corpus: what is left are its own lines."""
    logs = [param.values[0]["log"] for param in (*cases(), *cases(folder=HEALTHY))]
    # One blank before a word may be the prefix's or the line's own.
    texts = (text.split("\n") for text in logs)
    plain = [[line.rstrip() for line in lines if line.strip() and not re.match(r" \S", line)] for lines in texts]
    own = [lines for lines in plain if [*unwrapped(lines)] == [""]]
    assert len(own) > len(plain) - 10  # some logs of the corpus were wrapped where they were found
    for lines in own:
        found = unwrapped([_coloured(wrap(line)).rstrip() for line in lines])
        assert [[line.strip() for line in lines]] == [[row.text.strip() for row in rows] for rows in found.values()]
        assert [line[:1].isspace() for line in lines] == [
            row.text[:1].isspace() for (rows,) in [found.values()] for row in rows
        ]


def _coloured(line):
    for colour in ("\x1b[36m", "\x1b[31m", "\x1b[0m"):
        line = line.replace(colour, "")
    return line


SOME = [param for param in BY_LINES if len(param.values[0]["log"].split("\n")) > 3][::12]


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("case", SOME)
def test_a_wrapped_log_has_the_same_cause(case, wrap, log):
    """A dozenth of the corpus through every wrapping."""
    text = "\n".join(map(wrap, case["log"].strip("\n").split("\n")))
    assert case["cause"] == explain(log(text)).cause


@pytest.mark.parametrize("encode", ENCODED.values(), ids=ENCODED)
def test_every_encoding_is_read(encode, log):
    """As terminals, PowerShell, logrotate and people leave them."""
    found = explain(log(encode(FABRIC)))
    assert ("gpu fabric not up", "sglang", True) == (found.cause, found.engine, found.guessed)
    assert "Error 802" in found.evidence[0]


NO_LOG = {
    "nothing": b"",
    "blank lines": b"\n \n\t\n",
    "zeros": bytes(5000),
    "noise": bytes(range(256)) * 300,
    "a model": b"GGUF\x03\0\0\0" + b"general.name" * 100,
    "tensors": (300).to_bytes(8, "little") + b'{"__metadata__": {}}' + b" " * 280,
    "an archive": b"PK\x03\x04" + b"a" * 100,
    "zstd": b"\x28\xb5\x2f\xfd" + b"a" * 100,
    "half a gzip file": gzip.compress(FABRIC.encode() * 50)[:-9],
    "noise in gzip": gzip.compress(bytes(range(256)) * 300),
}


@pytest.mark.parametrize("content", NO_LOG.values(), ids=NO_LOG)
def test_what_is_no_log_is_refused(content, log):
    """With one message, and what to do."""
    with pytest.raises(UsageError) as caught:
        explain(log(content))
    assert "engine.log" in caught.value.what
    assert caught.value.remedy


def test_what_is_no_file_is_refused(tmp_path):
    """Nothing, a folder, a pipe that nobody writes to, a device, a name that is too long or has a zero in it."""
    import os

    os.mkfifo(tmp_path / "pipe")
    names = ["", tmp_path, tmp_path / "pipe", "/dev/zero", tmp_path / "none", "x" * 300, "a\0b", tmp_path / "none/x"]
    for name in names:
        with pytest.raises(UsageError):
            explain(name)


def test_an_engine_that_is_given_is_not_guessed(log):
    """And one that nobody knows is refused with the nearest."""
    path = log("something about nothing\n")
    assert ("vllm", False, "starting") == ((found := explain(path, "vllm")).engine, found.guessed, found.state)
    assert (None, "unrecognised") == ((found := explain(path)).engine, found.state)
    with pytest.raises(UnknownNameError) as caught:
        explain(path, "vlm")
    assert "vllm" in caught.value.remedy


def test_a_start_under_way_is_called_that(log):
    """With its phase, and what to do if it does not run any more."""
    found = explain(
        log("(Worker pid=405) INFO 05-04 17:53:24 [gpu_model_runner.py:4763] Starting to load model m...\n")
    )
    assert ("starting", "loading weights", False) == (found.state, found.phase, found.failed)
    assert "dmesg" in found.remedy


def test_a_server_that_was_asked_to_end_is_well(log):
    """It was ready, and shut down."""
    assert (
        "stopped" == explain(log(f"{READY}INFO:     Shutting down\nINFO:     Application shutdown complete.\n")).state
    )


def test_of_several_starts_the_last_counts(log):
    """A failure before the last start is over, unless that start has not come far."""
    failed, began = READY.splitlines(keepends=True)[0] + OOM, READY.splitlines(keepends=True)[0]
    assert ("serving", None) == ((found := explain(log(failed + READY))).state, found.cause)
    assert "gpu out of memory" == explain(log(READY + failed)).cause
    assert "gpu out of memory" == (found := explain(log(failed + began))).cause
    assert any("2 starts" in note for note in found.notes)


@pytest.mark.parametrize(
    ("times", "said"), [(2, "holds 2 starts"), (11, "holds at least 11"), (200, "holds at least 11")]
)
def test_of_very_many_starts_not_all_are_counted(log, times, said):
    """Only of the last ones somebody looked how they went."""
    (note,) = explain(log(READY * times)).notes
    assert said in note


def test_standard_input_without_end_is_read_to_its_end(monkeypatch):
    """Only what is packed has a limit: what was written last is what failed."""
    monkeypatch.setattr(log_file, "MOST_UNPACKED_BYTES", 1 << 20)
    filler = b"INFO 11-02 08:14:03 [loggers.py:1] step\n" * ((HEAD_BYTES + TAIL_BYTES) // 20)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(filler + FABRIC.encode())))
    found = explain("-")
    assert "gpu fabric not up" == found.cause
    assert any("its end" in note for note in found.notes)


@pytest.mark.parametrize("message", [[1.0], [True, 65.5, None, "x", -1, 300], [[]], [{}]])
def test_bytes_of_a_record_that_are_none_are_passed_over(log, message):
    """Numbers as journald writes them, or whatever else stands there."""
    assert "unrecognised" == explain(log(json.dumps({"log": message}) + "\nhello\n")).state


def test_the_rank_that_failed_speaks_for_all(log):
    """Its lines stand between those of others that only wait."""
    waits = "(Worker pid=9) INFO 05-04 17:53:24 [gpu_model_runner.py:4763] Starting to load model m..."
    lines = [f"{rank}: {text}" for text in (waits, waits) for rank in range(4)]
    lines[5:5] = [f"2: {OOM.strip()}"]
    found = explain(log("\n".join(lines)))
    assert ("gpu out of memory", "2") == (found.cause, found.who)


def test_another_service_beside_a_healthy_engine_is_not_its_failure(log):
    """A container that has trouble of its own; the kernel's word counts if the engine itself only says that it ended."""
    other = "cron-1  | PermissionError: [Errno 13] Permission denied: '/x'\n"
    engine = "".join(f"engine-1  | {line}\n" for line in READY.splitlines())
    assert ("serving", "engine-1") == ((found := explain(log(engine + other))).state, found.who)
    lost = "Nov 02 08:14:03 n7 vllm[7]: (APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above.\n"
    kernel = "Nov 02 08:14:02 n7 kernel: Out of memory: Killed process 91 (VLLM::EngineCor) total-vm:1kB\n"
    assert "host out of memory" == explain(log(kernel + lost)).cause


KILL = "Nov 02 09:00:00 n7 kernel: Out of memory: Killed process {} total-vm:1kB, anon-rss:1kB\n"
CGROUP = "Nov 02 09:00:00 n7 kernel: Memory cgroup out of memory: Killed process {}, UID 1000, total-vm:1kB\n"


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        (KILL.format("91 (VLLM::EngineCor)"), "host out of memory"),
        (KILL.format("91 (VLLM::Worker_TP)"), "host out of memory"),
        (CGROUP.format("42 (python3)"), "host out of memory"),  # a pid that the log itself names
        (KILL.format("4 (chrome)") + KILL.format("91 (VLLM::EngineCor)"), "host out of memory"),
        ("Nov 02 09:00:01 n7 systemd[1]: vllm.service: Failed with result 'oom-kill'.\n", "host out of memory"),
        (KILL.format("91 (chrome)"), None),
        (KILL.format("43 (python3)"), None),
        ("Nov 02 09:00:01 n7 systemd[1]: cron.service: Failed with result 'oom-kill'.\n", None),
    ],
)
@pytest.mark.parametrize("unit", ["vllm", "python3"])
def test_a_server_that_memory_killed_while_it_served_has_failed(last, cause, unit, log):
    """The engine itself says nothing then; the kernel or systemd names one of its processes, and no other counts."""
    ready = f"{READY}(EngineCore pid=42) INFO 11-02 08:14:05 [core.py:1] up\n"
    engine = "".join(f"Nov 02 08:14:03 n7 {unit}[7]: {line}\n" for line in ready.splitlines())
    found = explain(log(engine + last))
    assert (cause, cause is not None) == (found.cause, found.failed)
    assert not cause or found.phase == "serving"
    assert not any("chrome" in line for line in found.evidence)
    assert ("serving", None) == ((before := explain(log(last + engine))).state, before.cause)


def test_files_one_after_another_are_told_apart(log):
    """As tail shows several."""
    text = f"==> rank-0.log <==\n{READY.splitlines()[0]}\n\n==> rank-1.log <==\n{READY.splitlines()[0]}\n{OOM}"
    found = explain(log(text))
    assert ("gpu out of memory", "rank-1.log") == (found.cause, found.who)


@pytest.mark.parametrize("at", ["front", "end"])
def test_of_a_long_log_both_ends_are_read(at, log):
    """However many bytes are between them, which nobody reads."""
    filler = "INFO 11-02 08:14:03 [loggers.py:1] step\n" * ((HEAD_BYTES + TAIL_BYTES) // 20)
    found = explain(log(FABRIC + filler if at == "front" else filler + FABRIC))
    assert "gpu fabric not up" == found.cause
    assert any("long" in note for note in found.notes)
    assert "gpu fabric not up" == explain(log(gzip.compress((filler + FABRIC).encode(), 1))).cause


def test_one_line_without_end_is_read(log):
    """And cut where it is shown."""
    found = explain(log("RuntimeError: CUDA error: system not yet initialized " + "x" * (HEAD_BYTES + TAIL_BYTES + 9)))
    assert "gpu fabric not up" == found.cause
    assert len(found.evidence[0]) <= 300


def test_what_is_shown_is_safe(log):
    """No terminal command, and no token."""
    found = explain(log(f"{OOM.strip()} \x1b]0;title\x07 \u202e hf_{'a' * 34}\n"))
    assert found.evidence[0].isprintable()
    assert "a" * 34 not in found.evidence[0]


def test_a_server_on_the_processor_is_noted(log):
    """If its GPU failed that is the cause; if it has none, only a note."""
    ready = "warning: no usable GPU found, --gpu-layers option will be ignored\nmain: server is listening on http://127.0.0.1:8080\n"
    found = explain(log(f"ggml_cuda_init: failed to initialize CUDA: system not yet initialized\n{ready}"))
    assert ("gpu fabric not up", True) == (found.cause, found.failed)
    found = explain(log(ready))
    assert ("serving", False) == (found.state, found.failed)
    assert "no usable GPU found" in found.notes[0]
