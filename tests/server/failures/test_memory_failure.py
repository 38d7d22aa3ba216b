"""A plan that was to fit runs out of memory: the error of the launch names the phase and the next smaller plan."""

from pathlib import Path

import pytest
from tests.gguf_bytes import small

from seatrial.cli.main import main
from seatrial.errors import EngineError
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.server import launch, list_servers

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
    """A small file that is a model's."""
    path = tmp_path / "model.gguf"
    path.write_bytes(small())
    return path


@pytest.fixture
def server_without_memory(tmp_path, monkeypatch):
    """A llama-server that finds no room for its cache."""
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
    assert caught.value.next_command in server.why_ended().remedy
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
    assert "host out of memory" == server.why_ended().cause
    assert "--context-tokens" in server.why_ended().remedy
