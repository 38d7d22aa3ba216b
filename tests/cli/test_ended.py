"""The end of a server by itself: ps --all, logs and measure name the cause."""

import json

import pytest
from tests.server.conftest import fake_command, until

from seatrial.cli.main import main
from seatrial.launching import launch

FAILURE = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity"


@pytest.fixture
def dead():
    """Return a server that answered once, wrote its failure and died."""
    server = launch(fake_command("--die-after-s=1", f"--say={FAILURE}"), name="dead")
    until(server.why_ended, "the end")
    server.stop()
    return server


@pytest.mark.usefixtures("dead")
def test_ps_names_the_cause(capsys, monkeypatch):
    """In the table beside the state, in the document by itself."""
    monkeypatch.setenv("COLUMNS", "200")  # in 80 columns, cells wrap by the length of the pid
    assert 0 == main(["ps", "--all"])
    assert "ended: gpu out of memory" in " ".join(capsys.readouterr().out.split())
    assert 0 == main(["ps", "--all", "--json"])
    assert [("ended", "gpu out of memory")] == [
        (row["state"], row["cause"]) for row in json.loads(capsys.readouterr().out)
    ]


def test_ps_names_no_cause_of_what_was_stopped(capsys):
    """An end on purpose has no cause."""
    launch(fake_command(), name="calm").stop()
    assert 0 == main(["ps", "--all", "--json"])
    assert [None] == [row["cause"] for row in json.loads(capsys.readouterr().out)]


def test_ps_names_a_state_folder_that_cannot_be_read(capsys, monkeypatch, tmp_path):
    """A state folder that is a file is bad input; one that is not there yet holds no server."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "file"))
    assert 2 == main(["ps"])
    assert "cannot be read: Not a directory." in capsys.readouterr().err
    monkeypatch.setenv("SEATRIAL_STATE", str(tmp_path / "new"))
    assert 0 == main(["ps"])
    assert "No server runs" in capsys.readouterr().out


@pytest.mark.usefixtures("dead")
def test_logs_say_why_below(capsys):
    """Only the log is on standard output; the cause and the remedy are on standard error."""
    assert 0 == main(["logs", "dead"])
    printed = capsys.readouterr()
    assert FAILURE in printed.out
    assert "dead ended by itself: the GPU ran out of memory" in printed.err
    assert 0 == main(["logs", "dead", "--json"])
    assert "gpu out of memory" == json.loads(capsys.readouterr().out)["cause"]


@pytest.mark.usefixtures("dead")
def test_measuring_a_dead_server_names_the_cause(capsys):
    """The engine failed (4), not the measurement."""
    assert 4 == main(["measure", "--server", "dead", "--requests", "2"])
    assert "ended while it served: the GPU ran out of memory" in capsys.readouterr().err
