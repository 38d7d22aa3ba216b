"""Causes: each pattern on a line engines really write, none on healthy ones."""

import re
import signal

import pytest

from seatrial.catalog.engine_facts import engine_ids
from seatrial.cli.main import COMMANDS, build_parser
from seatrial.server.failures.diagnosis import diagnose, how, signal_of
from seatrial.server.failures.table import known_failures
from seatrial.server.state import Exit


def ended(code=1, number=None, oom_kills=None, error=""):
    """Return an engine's end."""
    return Exit(reason="exited", code=code, signal=number, error=error, oom_kills=oom_kills or {}, at="")


KNOWN_OPTIONS = {
    option for name in ("plan", "serve") for action in build_parser(name)._actions for option in action.option_strings
}  # fmt: skip
LINES = [
    ("sglang", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.50 GiB. GPU 0", "gpu out of memory"),
    ("llamacpp", "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9000.00 MiB on device 0: cudaMalloc failed: out of memory", "gpu out of memory"),
    ("sglang", "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.", "gpu out of memory"),
    ("vllm", "ValueError: No available memory for the cache blocks.", "gpu out of memory"),
    ("llamacpp", "llama_model_load: error loading model: unable to allocate CPU buffer", "host out of memory"),
    ("vllm", "OSError: [Errno 12] Cannot allocate memory", "host out of memory"),
    ("llamacpp", "llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'deepseek4'", "unsupported architecture"),
    ("vllm", "ValueError: Model architectures ['DeepseekV4ForCausalLM'] are not supported for now.", "unsupported architecture"),
    ("mlx", "ValueError: Model type deepseek_v4 not supported.", "unsupported architecture"),
    ("llamacpp", "gguf_init_from_reader: invalid magic characters: '????', expected 'GGUF'", "bad model file"),
    ("llamacpp", "llama_model_load: error loading model: tensor 'blk.0.attn_q.weight' data is not within the file bounds, model is corrupted or incomplete", "bad model file"),
    ("sglang", "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer", "bad model file"),
    ("llamacpp", "gguf_init_from_file: failed to open GGUF file 'x.gguf' (No such file or directory)", "missing file"),
    ("vllm", "huggingface_hub.errors.GatedRepoError: 401 Client Error.", "gated or missing repository"),
    ("sglang", "launch_server.py: error: unrecognized arguments: --max-model-len", "unknown flag"),
    ("llamacpp", "error: invalid argument: --no-such", "unknown flag"),
    ("sglang", "launch_server.py: error: ambiguous option: --cuda-graph-max-bs could match", "unknown flag"),
    ("llamacpp", "couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080", "port in use"),
    ("vllm", "OSError: [Errno 98] Address already in use", "port in use"),
    ("sglang", "ModuleNotFoundError: No module named 'sgl_kernel'", "missing module"),
    ("llamacpp", "llama-server: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found", "missing shared library"),
    ("llamacpp", "llama-server: error while loading shared libraries: libcudart.so.13: cannot open shared object file", "missing shared library"),
    ("vllm", "RuntimeError: CUDA driver version is insufficient for CUDA runtime version", "driver too old"),
    ("sglang", "RuntimeError: Found no NVIDIA driver on your system.", "no gpu"),
    ("vllm", "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device", "wrong gpu architecture"),
    ("vllm", "OSError: [Errno 28] No space left on device", "disk full"),
    ("sglang", "OSError: [Errno 24] Too many open files", "too many open files"),
]  # fmt: skip


@pytest.mark.parametrize(("engine", "line", "cause"), LINES)
def test_a_line_names_its_cause(engine, line, cause):
    """The cause is found among other lines, and the line is the evidence."""
    found = diagnose(ended(), ["loading", line, "Traceback (most recent call last):"], engine)
    assert (cause, (line,)) == (found.cause, found.evidence)
    assert found.remedy


@pytest.mark.parametrize("engine", engine_ids())
def test_rows_say_what_to_do_and_where_it_is_known_from(engine):
    """Each row has cause, sentence, remedy, source and date, and goes by a log line or a signal."""
    rows = known_failures(engine)
    assert [] == [row for row in rows if not (row.cause and row.what and row.remedy and row.source and row.checked)]
    assert [] == [row for row in rows if bool(row.pattern) == bool(row.signal)]


@pytest.mark.parametrize(
    "line",
    [
        "INFO: Memory pool end. avail mem=9.35 GB",
        "srv  load_model: loading model '/models/out of memory/missing tensor.gguf'",
        "0.00.324.520 I srv          init: listening on http://127.0.0.1:33065",
        "WARNING: the flag --foo is deprecated",
        "CUDA graph capture will use 1.2 GB; use --mem-fraction-static on out of memory errors",
    ],
)
def test_healthy_lines_name_no_cause(line):
    """Words of a failure in a healthy line are none."""
    assert "unknown" == diagnose(ended(), [line], "llamacpp").cause


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (ended(None, signal.SIGKILL, {"cgroup": 1, "machine": 1}), "host out of memory"),
        (ended(137, None, {"cgroup": 1}), "host out of memory"),
        (ended(None, signal.SIGKILL, {"cgroup": 0, "machine": 1}), "killed"),
        (ended(None, signal.SIGKILL, {"machine": 1}), "host out of memory"),
        (ended(137), "killed"),
        (ended(None, signal.SIGILL), "illegal instruction"),
        (ended(132), "illegal instruction"),
        (ended(1, None, {"cgroup": 1}), "unknown"),
        (ended(None, 63), "unknown"),
        (ended(255), "unknown"),
        (ended(None, None, error="No such file or directory: /engine"), "not started"),
    ],
)
def test_an_end_without_a_telling_line(end, cause):
    """Signals, also through a shell (128 + n), and the kernel's count of out-of-memory kills."""
    assert cause == diagnose(end, [], "llamacpp").cause


def test_the_error_lines_of_an_unknown_cause_are_shown():
    """Lines marked as errors come first, else the last ones."""
    lines = ["0.00.1 I srv: fine", "0.00.2 E srv: something new", "0.00.3 I srv: cleaning up"]
    assert ("0.00.2 E srv: something new",) == diagnose(ended(), lines, "llamacpp").evidence
    assert ("b", "c") == diagnose(ended(), ["b", "", "c"], "llamacpp").evidence


def test_how_it_ended_in_words():
    """Exit code, signal name, or that it never started."""
    assert ["exit code 3", "SIGSEGV", "not started"] == [how(ended(3)), how(ended(None, 11)), how(ended(None))]
    assert [None, "SIGSEGV", "SIGSEGV"] == [signal_of(ended(3)), signal_of(ended(None, 11)), signal_of(ended(139))]


def test_a_remedy_names_what_its_commands_take():
    """The engine as it is installed here, and the checkpoint of the plan."""
    missing, damaged = "ModuleNotFoundError: No module named 'x'", "gguf_init_from_reader: invalid magic characters"
    assert "seatrial engines install llama-cpp-python" in diagnose(ended(), [missing], "llamacpp").remedy
    assert "seatrial fetch 'a/b c'" in diagnose(ended(), [damaged], "llamacpp", "a/b c").remedy
    assert "seatrial fetch CHECKPOINT" in diagnose(ended(), [damaged], "llamacpp").remedy


@pytest.mark.parametrize("engine", engine_ids())
def test_remedies_are_commands_that_exist(engine):
    """Every ``seatrial`` command and option of it that a remedy names."""
    for row in known_failures(engine):
        assert set(re.findall(r"seatrial (\w+)", row.remedy)) <= set(COMMANDS), row.remedy
        options = set(re.findall(r"(?<!docker run )(--(?!shm|ipc|pids|gpus|device|group-add)[a-z-]+)", row.remedy))
        assert options <= KNOWN_OPTIONS, row.remedy


@pytest.mark.parametrize(("reason", "words"), [("lost", "nobody saw how"), ("not started", "not started")])
def test_an_end_that_nobody_saw_is_no_failed_start(reason, words):
    """Its processes are gone, and neither code nor signal is known."""
    assert words == how(Exit(reason=reason, code=None, signal=None, error="", oom_kills={}, at=""))
