"""A plan that was to fit runs out of memory: the error of the launch names the phase and the next smaller plan."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.gguf_bytes import small

from seatrial.cli.main import main
from seatrial.errors import EngineError
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.launching.next_plan import why_ended
from seatrial.plan import make_plan
from seatrial.server import list_servers

PROGRAM = """#!/bin/sh
case "$*" in
  *--version*) echo "version: 99999 (made up)"; exit 0 ;;
  *--help*) exit 0 ;;
esac
cat <<'END'
0.00.101.201 I srv    load_model: loading model 'model.gguf'
0.02.411.113 I llama_context: constructing llama_context
0.02.911.200 E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 158913789952
0.02.911.201 E llama_kv_cache: failed to allocate buffer for kv cache
0.02.911.300 E srv  llama_server: exiting due to model loading error
END
exit 1
"""


@pytest.fixture
def model(tmp_path):
    """Write a small model file."""
    path = tmp_path / "model.gguf"
    path.write_bytes(small())
    return path


@pytest.fixture
def server_without_memory(tmp_path, monkeypatch):
    """Put a llama-server that finds no memory for its cache in the place of the real one."""
    path = tmp_path / "llama-server"
    path.write_text(PROGRAM)
    path.chmod(0o755)
    monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", str(path))


@pytest.mark.usefixtures("server_without_memory")
def test_the_error_of_a_launch_names_the_next_plan(model):
    """Half as many requests, with the whole command; the lines that show it; where it was."""
    plan = make_plan("smollm2", hardware=detect_hardware("auto"), engine="llamacpp", concurrency=4)
    with pytest.raises(EngineError) as caught:
        launch(plan, runner="llama-server", model_path=model)
    error = caught.value
    assert ("host out of memory", "allocating caches") == (error.cause, error.phase)
    assert "failed to allocate buffer of size 158913789952" in error.evidence[0]
    assert "Next plan that fits: 2 requests at once instead of 4." in error.remedy
    assert error.next_command in error.remedy
    assert f"seatrial serve --checkpoint {plan.checkpoint} --engine llamacpp" in error.next_command
    assert "--concurrency 2" in error.next_command


@pytest.mark.usefixtures("server_without_memory")
def test_whoever_asks_later_is_told_the_next_plan_too(model, capsys):
    """The plan is kept with the server: what looks at it afterwards needs nothing of the process that launched it."""
    plan = make_plan("smollm2", hardware=detect_hardware("auto"), engine="llamacpp", concurrency=4)
    with pytest.raises(EngineError) as caught:
        launch(plan, runner="llama-server", model_path=model)
    (server,) = list_servers(ended=True)
    assert caught.value.next_command in why_ended(server).remedy
    assert 0 == main(["logs", server.name])
    assert caught.value.next_command in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.usefixtures("server_without_memory")
def test_a_plan_that_makes_no_sense_is_set_aside(model):
    """The cause is told all the same, with the remedy that needs no plan."""
    plan = make_plan("smollm2", hardware=detect_hardware("auto"), engine="llamacpp", concurrency=4)
    with pytest.raises(EngineError):
        launch(plan, runner="llama-server", model_path=model)
    (server,) = list_servers(ended=True)
    Path(server.log).with_name("plan.json").write_text("{")
    assert "host out of memory" == why_ended(server).cause
    assert "--context-tokens" in why_ended(server).remedy


SGLANG = """#!/bin/sh
case "$*" in *--port*) ;; *) printf '\\n0.5.23\\n'; exit 0 ;; esac
cat <<'END'
[2026-10-02 08:11:22 TP0] Load weight begin. avail mem=77.68 GB
[2026-10-02 08:12:31 TP0] Load weight end. type=DeepseekV4ForCausalLM, dtype=torch.bfloat16, avail mem=38.20 GB
[2026-10-02 08:12:32 TP0] KV Cache is allocated. #tokens: 401234, KV size: 24.10 GB
[2026-10-02 08:12:33 TP0] Capture cuda graph begin. This can take up to several minutes. avail mem=9.31 GB
[2026-10-02 08:12:40 TP0] Scheduler hit an exception: Traceback (most recent call last):
  File "/sgl/srt/model_executor/cuda_graph_runner.py", line 485, in capture
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 256.00 MiB. GPU 0 has a total capacity of 79.11 GiB of which 98.00 MiB is free.
[2026-10-02 08:12:41] Received sigquit from a child process. It usually means the child failed.
Killed
END
exit 1
"""


def test_sglang_on_eight_gpus_is_told_a_smaller_share(monkeypatch, tmp_path):
    """Graphs found too little room beside the caches: a smaller share for these, by the whole command."""
    program = tmp_path / "python3"
    program.write_text(SGLANG)
    program.chmod(0o755)
    monkeypatch.setenv("SEATRIAL_SGLANG_PYTHON", str(program))
    monkeypatch.setattr("sys.platform", "linux")
    machine = replace(detect_hardware("h100x8", host_memory_gib=1024), origin="measured")
    plan = make_plan("flash", hardware=machine, engine="sglang")
    with pytest.raises(EngineError) as caught:
        launch(plan, model_path=tmp_path)
    error = caught.value
    assert ("gpu out of memory", "capturing graphs") == (error.cause, error.phase)
    assert "at least 158.0 MiB too little" in error.remedy
    assert "--gpu-memory-fraction 0.76" in error.next_command
