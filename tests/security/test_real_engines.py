"""The same with real llama.cpp, by each of its three programs: address, key, options, closed variables."""

from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.security.test_keys import GOOD

from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.launching.access import Access
from seatrial.plan import make_plan
from seatrial.server import loopback
from seatrial.server.folder import folder_of

pytestmark = pytest.mark.engine
HOSTILE = {"HOST": "0.0.0.0", "LLAMA_ARG_HOST": "0.0.0.0", "LLAMA_API_KEY": "another-key", "CONFIG_FILE": "/etc/passwd"}  # noqa: S104
QUESTION = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}


@pytest.mark.parametrize(
    ("runner", "host"), [("xllamacpp", "127.0.0.2"), ("llama-server", "::1"), ("llama_cpp.server", "127.0.0.2")]
)
def test_a_real_engine_listens_where_it_is_told_and_takes_its_own_key_alone(
    require, tmp_path, monkeypatch, runner, host
):
    """With variables around it that would open it: none of them reaches it."""
    require(runner)
    require("stand-in model")
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    key_file = tmp_path / "key"
    key_file.write_text(GOOD)
    key_file.chmod(0o600)
    plan = replace(make_plan("smollm2", hardware=detect_hardware("cpu")), hardware=detect_hardware())
    access = Access(host=host, api_key_file=key_file)
    with launch(plan, runner=runner, name="real", access=access, options=["ubatch-size=128", "threads=1"]) as server:
        assert host == server.host
        assert folder_of("real").record().keyed
        assert server.responds()
        words = psutil.Process(server.pid).cmdline()
        assert not HOSTILE.keys() & psutil.Process(server.pid).environ().keys()
        answers = [
            loopback.ask(server.port, "/v1/chat/completions", key=key, body=QUESTION, host=host, timeout_s=20).status
            for key in (None, "another-key", GOOD)
        ]
        with pytest.raises(ConnectionRefusedError):
            loopback.ask(server.port, "/v1/models")
    assert [401, 401, 200] == answers
    assert any("ubatch" in word for word in words)
    assert GOOD not in " ".join(words)
    assert GOOD not in Path(server.log).read_text(errors="replace")
