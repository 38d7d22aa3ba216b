"""MLX's real server on this machine's processor, installed and launched by the kit."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.engines.conftest import cause_of, plan_for
from tests.server.conftest import launched_processes

from seatrial.catalog import find_checkpoint
from seatrial.catalog.engine_facts import engine_facts
from seatrial.engines import build_command
from seatrial.errors import EngineError
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.launching.model_folder import readable_folder
from seatrial.measure import Workload, measure_server
from seatrial.memory import compute_footprint
from seatrial.plan import make_plan
from seatrial.programs.find import resolve_program
from seatrial.programs.own import installations
from seatrial.server.loopback import ask, served_models
from tools import engines

pytestmark = [
    pytest.mark.own_engine,
    pytest.mark.xdist_group("mlx"),
    pytest.mark.usefixtures("installed_engines", "nothing_left"),
]

LOAD = Workload(concurrency=(2,), requests=2, prompt_tokens=80, answer_tokens=5, warmup_requests=0)


@pytest.fixture
def v4_plan(require):
    """Return the plan of DeepSeek V4 for a Mac, changed to this machine and the tiny model."""
    require("mlx")
    plan = make_plan(
        hardware=detect_hardware("m3-ultra-512gb"), engine="mlx", context_tokens=2048, concurrency=2, recipes=False
    )
    return replace(plan, checkpoint="tests/tiny-v4", hardware=detect_hardware())


def chat(server, key, **asked):
    """Ask for one word, by default of the served model."""
    body = {"model": server.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, **asked}
    return ask(server.port, "/v1/chat/completions", key=key, body=body, timeout_s=120)


@pytest.mark.parametrize(("draft", "drafts"), [("dspark", False), ("dspark", True), ("mtp", True)])
def test_v4_is_served_and_measured(v4_plan, tiny_v4, draft, drafts):
    """A tiny V4 in the official FP4 and FP8, without and with its draft head: ready, measured by its usage, gone."""
    plan = replace(v4_plan, drafter=v4_plan.checkpoint) if drafts else v4_plan
    with launch(plan, model_path=tiny_v4(draft)) as server:
        log = "\n".join(server.read_log(400))
        assert drafts == (f"model_type='deepseek_v4_{draft}'" in log)
        measurement = measure_server(server, LOAD)
        (point,) = measurement.points
        assert (2, 2, "usage") == (point.requests.sent, point.requests.succeeded, point.token_source)
        assert point.ttft_s.p50 > 0
        assert point.tpot_s.p50 > 0
        answer = chat(server, server.api_key(), max_tokens=4).json()
        assert drafts == bool(answer["timings"]["draft_n"])
        assert "unknown" == cause_of(server)
        stopped = server.stop()
    assert (True, 0, []) == (stopped.port_free, stopped.processes_left, launched_processes())


def test_only_its_key_opens_it(require, tiny_llama):
    """A plain Llama lists itself and answers with the key; every path is closed without it, /health too."""
    require("mlx")
    with launch(plan_for("mlx"), model_path=tiny_llama) as server:
        key = server.api_key()
        assert [str(tiny_llama.resolve())] == served_models(ask(server.port, "/v1/models", key=key))
        assert [200, 401] == [chat(server, given).status for given in (key, None)]
        assert [401] * 3 == [ask(server.port, path).status for path in ("/health", "/metrics", "/v1/models")]


def test_another_model_is_not_downloaded_and_the_served_one_comes_back(require, tiny_llama):
    """A name of the hub is refused, since the server is offline; it drops its model then, and loads it again when asked."""
    require("mlx")
    with launch(plan_for("mlx"), model_path=tiny_llama) as server:
        refused = chat(server, server.api_key(), model="mlx-community/some-model")
        assert 400 == refused.status, refused.body[:200]
        assert 200 == chat(server, server.api_key()).status


def test_a_draft_that_is_not_there_is_named(v4_plan, tiny_v4):
    """A checkpoint without a draft head ends the start, and the error says to leave the option out."""
    with pytest.raises(EngineError) as raised:
        launch(replace(v4_plan, drafter=v4_plan.checkpoint), model_path=tiny_v4(None))
    assert "no draft head" == raised.value.cause
    assert "without --drafter" in raised.value.remedy


def test_the_caches_take_the_planned_bytes(require, tiny_v4):
    """Windows, pools and their unfilled windows after a prompt of 768 tokens, as the engine's own code counts them."""
    require("mlx")
    (python,) = [row.python for row in installations() if row.name == "mlx"]
    folder = readable_folder("mlx", tiny_v4(None))
    program = Path(__file__).with_name("cache_bytes.py")
    output = subprocess.run([python, program, folder, "768"], capture_output=True, text=True, check=True).stdout
    planned = compute_footprint(find_checkpoint(str(tiny_v4(None))), engine="mlx", context_tokens=768)
    assert {**planned.kv_by_class} == json.loads(output)


def test_the_snapshot_is_what_the_parser_says(require):
    """Version, names, switches and choices in the kit's own list are those of the real parser, none more or fewer."""
    require("mlx")
    asked, kept = engines.ask("mlx"), engines.read("mlx")
    assert asked == {name: kept[name] for name in asked}
    assert asked["version"] == engine_facts("mlx").versions.safe


def test_it_starts_from_its_own_environment(require):
    """The program is the one the kit installed."""
    require("mlx")
    (path,) = [row.path for row in installations() if row.name == "mlx"]
    assert f"{path}/bin/mlx_vlm.server" == resolve_program(build_command(plan_for("mlx")))[0]
