"""MLX's real server on this machine's processor, installed and launched by the kit."""

import pytest
from tests.engines.conftest import cause_of, plan_for, stream
from tests.server.conftest import launched_processes

from seatrial.engines import build_command
from seatrial.errors import RefusedError
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.plan import make_plan
from seatrial.programs.find import resolve_program
from seatrial.programs.own import installations
from seatrial.server.loopback import ask, served_models

pytestmark = [
    pytest.mark.own_engine,
    pytest.mark.xdist_group("mlx"),
    pytest.mark.usefixtures("installed_engines", "nothing_left"),
]


@pytest.fixture
def server(require, tiny_llama):
    """Launch the server with the tiny model."""
    require("mlx")
    with launch(plan_for("mlx"), model_path=tiny_llama) as running:
        yield running


def test_it_answers_a_stream(server, tiny_llama):
    """Launched by the kit from its own environment, it lists the model, streams eight tokens and is gone afterwards."""
    assert [str(tiny_llama.resolve())] == served_models(ask(server.port, "/v1/models"))
    answer = stream(server, 8)
    assert ("length", True) == (answer.finish_reason, answer.closed)
    assert "".join(answer.pieces)
    assert "unknown" == cause_of(server)
    stopped = server.stop()
    assert (True, 0, []) == (stopped.port_free, stopped.processes_left, launched_processes())


def test_no_request_makes_it_download_a_model(server):
    """A name of the hub is refused: the server is offline, whatever a request asks for."""
    asked = {"model": "mlx-community/some-model", "prompt": "Hi", "max_tokens": 1}
    reply = ask(server.port, "/v1/completions", body=asked, timeout_s=60)
    assert 404 == reply.status, reply.body[:200]
    assert 200 == ask(server.port, "/health").status


def test_it_starts_from_its_own_environment(require):
    """The program is the one the kit installed."""
    require("mlx")
    (path,) = [row.path for row in installations() if row.name == "mlx"]
    assert f"{path}/bin/mlx_lm.server" == resolve_program(build_command(plan_for("mlx")))[0]


def test_deepseek_v4_stays_refused(tiny_llama):
    """MLX has no class for it, and what is installed here does not change that."""
    plan = make_plan("flash", hardware=detect_hardware("m3-ultra-512gb"), engine="mlx")
    with pytest.raises(RefusedError):
        launch(plan, model_path=tiny_llama)
