"""Engines that `make test-engines` installed, a tiny model for them, and how their answers are read."""

import json
from dataclasses import dataclass, replace
from functools import cache
from http.client import HTTPConnection

import pytest
from tests.engines.tiny_llama import write_tiny_llama
from tests.engines.tiny_v4 import write_tiny_v4
from tests.server.conftest import end_everything
from tools.engines import ENGINES

from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.server import diagnose, list_servers
from seatrial.server.state import Exit

LONGEST_S = 120.0


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory):
    """Return the folder of a tiny Llama with random weights."""
    return write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def tiny_v4(tmp_path_factory):
    """Return what gives the folder of a tiny DeepSeek V4 with this kind of draft head: dspark, mtp or None."""
    folder = tmp_path_factory.mktemp("v4")
    return cache(lambda draft: write_tiny_v4(folder / f"tiny-v4-{draft}", draft))


@pytest.fixture
def installed_engines(monkeypatch):
    """Let the kit find what `make test-engines` installed, and nothing by this person's settings."""
    for variable in ("SEATRIAL_LLAMACPP_PYTHON", "SEATRIAL_SGLANG_PYTHON", "SEATRIAL_MLX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SEATRIAL_ENGINES", str(ENGINES))


@pytest.fixture
def nothing_left():
    """Check that no engine process survives the test."""
    yield
    end_everything()
    assert [] == [server.name for server in list_servers() if server.state != "stale"]


def plan_for(engine):
    """Return the plan of the small stand-in for this machine, changed to another engine and the tiny model."""
    stand_in = make_plan("smollm2", hardware=detect_hardware("cpu", host_memory_gib=8), context_tokens=1024)
    hardware = detect_hardware()
    return replace(stand_in, engine=engine, engine_version_min=None, checkpoint="tests/tiny-llama", hardware=hardware)


@dataclass
class Streamed:
    """Answer to one streamed request: pieces of text, why it ended, and whether the stream was closed."""

    pieces: list
    finish_reason: str | None
    closed: bool


def stream(server, tokens, prompt="The sea is"):
    """Ask for a streamed completion and read it to its end."""
    asked = {"model": server.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.api_key()}"}
    connection = HTTPConnection("127.0.0.1", server.port, timeout=LONGEST_S)
    connection.request("POST", "/v1/completions", json.dumps(asked), headers)
    lines = connection.getresponse().read().decode(errors="replace").splitlines()
    connection.close()
    data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    choices = [choice for text in data if text != "[DONE]" for choice in json.loads(text)["choices"]]
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    return Streamed([choice["text"] for choice in choices], reasons[-1] if reasons else None, data[-1:] == ["[DONE]"])


def cause_of(server):
    """Return the cause that the kit would read from a working server's log if the server ended now."""
    ended = Exit(reason="exited", code=1, signal=None, error="", oom_kills={}, at="")
    return diagnose(ended, server.read_log(400), server.engine).cause
