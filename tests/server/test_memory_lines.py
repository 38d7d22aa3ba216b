"""An engine's own lines tell how much memory it took."""

from pathlib import Path

import pytest

from seatrial.server.memory_lines import memory_in, memory_in_log
from seatrial.units import GIB, MIB

LOGS = Path(__file__).parent / "logs"


@pytest.mark.parametrize(
    ("log", "engine", "memory"),
    [
        ("llama_server_verbose.log", "llamacpp", {"weights": 92.10 * MIB, "kv_cache": 45 * MIB}),
        ("sglang_0_5_23_draft.log", "sglang", {"weights": (4 * 39.10 + 2.75) * GIB}),
    ],
)
def test_engines_tell(log, engine, memory):
    """Weights of every rank add up, drafters included; what is not said is left out."""
    found = memory_in_log(LOGS / log, engine)
    assert {name: pytest.approx(size, rel=0.2) for name, size in memory.items()} == {
        name: found[name] for name in memory
    }


def test_buffers_of_each_kind_add_up():
    """A model on two GPUs and the host has a buffer on each."""
    lines = (
        "load_tensors:   CPU_Mapped model buffer size =   512.00 MiB",
        "load_tensors:        CUDA0 model buffer size =  1024.50 MiB",
        "load_tensors:        CUDA1 model buffer size =  1023.50 MiB",
        "llama_kv_cache:      CUDA0 KV buffer size =    64.00 MiB",
        "sched_reserve:       CUDA0 compute buffer size =   100.00 MiB",
        "(Worker_TP0 pid=1) Model loading took 75.79 GiB memory and 130.2 seconds",
    )
    assert {"weights": 2560 * MIB, "kv_cache": 64 * MIB, "compute_buffers": 100 * MIB} == memory_in(lines, "llamacpp")
    assert {"weights": round(75.79 * GIB)} == memory_in(lines, "vllm")


@pytest.mark.parametrize("engine", ["llamacpp", "sglang", "vllm", "mlx", "simulated", "none such"])
@pytest.mark.parametrize(
    "line",
    ["", "model buffer size = 1.2.3 MiB", "model buffer size = . MiB", "model buffer size =  0.00 MiB",
     "model buffer size = 99999999999999999999 MiB", "KV buffer size = nan MiB", "Load weight end. mem usage=-1 GB", "\x00\xff"],
)  # fmt: skip
def test_odd_lines(engine, line):
    """A line without a size, or with one that no machine has, counts for nothing."""
    assert {} == memory_in([line], engine)


def test_a_log_that_is_gone(tmp_path):
    """No log, no figures."""
    assert {} == memory_in_log(tmp_path / "log", "llamacpp")
