"""The real engine: each way to run llama.cpp, the stand-in and the real deepseek4 code path."""

import json

import pytest
from tests.server.conftest import launched_processes, until

from seatrial.catalog import find_checkpoint
from seatrial.errors import UsageError
from seatrial.fetch.checkpoint import fetch_checkpoint
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.launching.this_machine import fetch_stand_in
from seatrial.measure import Workload, measure_server
from seatrial.plan import make_plan
from seatrial.server import find_server, loopback

pytestmark = pytest.mark.engine

LAUNCHER = """
    import sys
    from seatrial.hardware import detect_hardware
    from seatrial.plan import make_plan
    from seatrial.launching import launch
    server = launch(make_plan("smollm2", hardware=detect_hardware()), name="owned")
    print(server.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def stand_in(require):
    """Return the plan of the stand-in model on this machine, its file fetched."""
    require("xllamacpp")
    require("stand-in model")
    return make_plan("smollm2", hardware=detect_hardware())


def complete(server):
    """Ask for a completion of eight tokens; return status and tokens."""
    asked = {"model": server.model, "prompt": "The sea is", "max_tokens": 8}
    reply = loopback.ask(server.port, "/v1/completions", key=server.api_key(), body=asked, timeout_s=60)
    return reply.status, json.loads(reply.body)["usage"]["completion_tokens"]


@pytest.mark.parametrize("runner", ["xllamacpp", "llama-server", "llama_cpp.server"])
def test_every_way_to_run_it_serves_the_stand_in(require, stand_in, runner):
    """Launched, it completes with its key, refuses without, and is gone afterwards."""
    require(runner)
    with launch(stand_in, runner=runner) as server:
        assert (200, 8) == complete(server)
        asked = {"model": server.model, "prompt": "The sea is", "max_tokens": 1}
        assert 401 == loopback.ask(server.port, "/v1/completions", body=asked, timeout_s=60).status
        assert server.stand_in
        assert not server.simulated
    assert [] == launched_processes()


@pytest.mark.parametrize(
    ("runner", "phases"),
    [
        ("xllamacpp", ["loading weights", "warming up", "opening its port"]),
        ("llama-server", ["loading weights", "warming up", "opening its port"]),
        ("llama_cpp.server", ["loading weights", "allocating caches", "opening its port"]),
    ],
)
def test_every_way_to_run_it_tells_its_phases(require, stand_in, runner, phases):
    """What its log says while it starts is understood, by the version that is installed."""
    require(runner)
    with launch(stand_in, runner=runner) as server:
        assert ["starting", *phases, "first token"] == [time.name for time in server.phases]


@pytest.mark.parametrize("flags", [(), ("--n-cpu-moe=2",), ("--n-cpu-moe=2", "--tensor-split=3,2")])
def test_the_deepseek4_code_path(require, flags):
    """A tiny model of V4's architecture is loaded and generates, also with experts kept in host memory."""
    require("xllamacpp")
    plan = make_plan("tiny-v4", hardware=detect_hardware())
    path = fetch_checkpoint(find_checkpoint(plan.checkpoint))
    from dataclasses import replace

    from seatrial.engines import build_command

    command = build_command(plan, model_path=str(path), runner="xllamacpp")
    with launch(replace(command, argv=(*command.argv, *flags))) as server:
        status, tokens = complete(server)
    assert 200 == status
    assert 0 < tokens


def test_a_drafter_drafts_and_the_accepted_tokens_are_measured(require):
    """tiny-v4 with its drafter: answers come, tokens are drafted three a step, and the measurement counts them."""
    require("xllamacpp")
    plan = make_plan("tiny-v4", hardware=detect_hardware(), drafter="auto")
    fetch_stand_in(plan)
    with launch(plan) as server:
        assert 200 == complete(server)[0]
        measured = measure_server(server, Workload(concurrency=(1,), requests=2, prompt_tokens=32, answer_tokens=32))
    (point,) = measured.points
    assert 2 == point.requests.succeeded
    assert 32 < point.drafted_tokens
    assert 0 <= point.accepted_tokens <= point.drafted_tokens
    assert 1 <= point.acceptance_length <= 1 + plan.draft_tokens


def test_a_plan_without_a_drafter_drafts_nothing(stand_in):
    """The measurement says that it does not know, instead of 0."""
    with launch(stand_in) as server:
        (point,) = measure_server(server, Workload(concurrency=(1,), requests=1, answer_tokens=8)).points
    assert (None, None, None) == (point.acceptance_length, point.drafted_tokens, point.accepted_tokens)


def test_a_drafter_that_was_not_fetched_is_said(stand_in, monkeypatch, tmp_path):
    """The model is there, the drafter is not: one message with the command to type, and nothing is launched."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    plan = make_plan("tiny-v4", hardware=detect_hardware(), drafter="auto")
    fetch_checkpoint(find_checkpoint(plan.checkpoint))
    with pytest.raises(UsageError, match=f"The drafter {plan.drafter} is not on this machine yet") as caught:
        launch(plan)
    assert f"Run: seatrial fetch {plan.drafter}" == caught.value.remedy
    assert stand_in.drafter is None


def test_the_engine_ends_with_its_owner(stand_in, another_process):
    """The owner is killed; the real engine is gone within the lease."""
    assert stand_in.runs
    owner = another_process(LAUNCHER)
    assert "owned\n" == owner.stdout.readline()
    owner.kill()
    until(lambda: find_server("owned").state == "ended", "the end of the lease")
    until(lambda: not launched_processes(), "the end of the supervisor")  # it writes the end, then goes


def test_a_checkpoint_that_was_not_fetched_is_said(stand_in, monkeypatch, tmp_path):
    """Nothing is launched, nothing downloaded: the remedy is the command to type."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match="not on this machine yet") as caught:
        launch(stand_in)
    assert f"seatrial fetch {stand_in.checkpoint}" in caught.value.remedy


def test_a_healthy_log_has_no_cause(stand_in):
    """Nothing in the log of a server that works looks like a failure."""
    from seatrial.server import diagnose
    from seatrial.server.state import Exit

    with launch(stand_in) as server:
        complete(server)
        lines = server.read_log(400)
    ended = Exit(reason="exited", code=1, signal=None, error="", oom_kills={}, at="")
    assert "unknown" == diagnose(ended, lines, "llamacpp").cause
