"""``llama_cpp.server``, built from source and launched by the kit."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.engines.conftest import cause_of, stream
from tests.server.conftest import launched_processes

from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.plan import make_plan
from seatrial.server import loopback

pytestmark = [
    pytest.mark.own_engine,
    pytest.mark.xdist_group("llama_cpp"),
    pytest.mark.usefixtures("installed_engines", "nothing_left"),
]


@pytest.fixture
def plan(require):
    """Return the plan of SmolLM2 on this machine."""
    require("llama-cpp-python")
    require("stand-in model")
    return make_plan("smollm2", hardware=detect_hardware())


@pytest.fixture
def server(plan):
    """Launch the server with SmolLM2."""
    with launch(plan, runner="llama_cpp.server") as running:
        yield running


def test_what_it_allocates_is_what_the_plan_says(plan, server):
    """KV cache and weights in the log of the launched server equal the plan's bytes, to the last digit printed."""
    log = "\n".join(server.read_log(4000))
    found = [float(re.findall(rf"{name} buffer size = +([\d.]+) MiB", log)[0]) for name in ("CPU KV", "_Mapped model")]
    planned = [plan.footprint.kv_bytes / 2**20, plan.footprint.weights_bytes / 2**20]
    assert pytest.approx(planned, abs=0.0051) == found


def test_two_streams_at_once_both_end(server):
    """By itself it drops the first stream where a second one comes; as the kit starts it, both are answered whole."""
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda prompt: stream(server, 48, prompt), ["The sea is", "A mountain has"]))
    assert [("length", True)] * 2 == [(answer.finish_reason, answer.closed) for answer in answers]
    assert [True, True] == [len(answer.pieces) >= 48 for answer in answers]


def test_it_serves_with_its_key_and_stops_clean(server):
    """Refused without the key, answered with it, understood as healthy, and gone afterwards."""
    asked = {"model": server.model, "prompt": "The sea is", "max_tokens": 8}
    replies = [loopback.ask(server.port, "/v1/completions", key=key, body=asked, timeout_s=60)
               for key in (None, server.api_key())]  # fmt: skip
    assert [401, 200] == [reply.status for reply in replies]
    assert "unknown" == cause_of(server)
    stopped = server.stop()
    assert (True, 0, []) == (stopped.port_free, stopped.processes_left, launched_processes())
