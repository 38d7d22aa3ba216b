"""SGLang's real server on this machine's processor, launched by the kit (optional: make test-engines SGLANG_SERVER=1)."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.engines.conftest import cause_of, plan_for, stream
from tests.server.conftest import launched_processes
from tools.engines import python_of

from seatrial.engines import build_command
from seatrial.launching import launch
from seatrial.server.loopback import ask

pytestmark = [
    pytest.mark.sglang,
    pytest.mark.own_engine,
    pytest.mark.xdist_group("sglang"),
    pytest.mark.usefixtures("nothing_left"),
]

STAND_INS = Path(__file__).with_name("server")
ON_A_PROCESSOR = (
    "--device=cpu",
    "--attention-backend=torch_native",
    "--sampling-backend=pytorch",
    "--grammar-backend=none",
    "--disable-overlap-schedule",
    "--skip-server-warmup",
)
"""Flags that SGLang needs beside the kit's own without a GPU."""


def test_it_is_ready_when_it_answers(require, tiny_llama, monkeypatch):
    """Under the supervisor, with its key: ready after one token, phases from its log, a stream, metrics, a clean stop."""
    require("sglang server")
    monkeypatch.setenv("SEATRIAL_SGLANG_PYTHON", str(python_of("sglang")))
    command = build_command(plan_for("sglang"), model_path=str(tiny_llama))
    command = replace(command, argv=(*command.argv, *ON_A_PROCESSOR), env={**command.env, "PYTHONPATH": str(STAND_INS)})
    events = []
    with launch(command, on_event=events.append) as server:
        answer = stream(server, 8)
        assert ("length", True) == (answer.finish_reason, answer.closed)
        assert "ready" == events[-1].phase
        metrics = ask(server.port, "/metrics", key=server.api_key(), timeout_s=20)
        assert b"sglang:num_running_reqs" in metrics.body
        assert "unknown" == cause_of(server)
        stopped = server.stop()
    assert (True, 0, []) == (stopped.port_free, stopped.processes_left, launched_processes())
