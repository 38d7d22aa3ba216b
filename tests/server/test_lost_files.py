"""Somebody deletes or blocks the files of a running server: no engine is left that nobody finds."""

import contextlib
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
from tests.server.conftest import delete, launched_processes, until

from seatrial.errors import EngineError, UsageError
from seatrial.server import list_servers, stop_all, stop_server, supervisor
from seatrial.server.folder import folder_of


def test_a_server_whose_log_was_deleted_goes_on(fake, monkeypatch):
    """Its supervisor keeps the lease, stop still works, and what it goes on writing is capped though it has no name."""
    monkeypatch.setattr("seatrial.launching.launcher.LOG_CAP_BYTES", 1 << 20)
    server = fake("--flood", keep_running=True)
    earlier = Path(server.log).with_name("engine.log.1")
    Path(server.log).unlink()
    until(earlier.exists, "a cut of the log")
    earlier.unlink()
    until(earlier.exists, "another cut of the log")
    assert ("ready", True) == (server.state, server.responds())
    assert 0 == server.stop().processes_left
    assert "stopped" == folder_of("fake").processes().exit.reason


def test_a_server_whose_folder_was_deleted_ends(fake):
    """No other process could find or stop it any more, so its supervisor does."""
    server = fake("--children=1", "--escaping-child", keep_running=True)
    delete(Path(server.log).parent)
    until(lambda: not launched_processes(), "the end of the engine")


def test_a_server_whose_folder_was_deleted_is_stopped_for_good(fake):
    """Its processes are found by the launch: the proof waits for an engine that takes its time to end."""
    server = fake("--ignore-term", "--children=1", keep_running=True)
    delete(Path(server.log).parent)
    proof = server.stop()
    assert [] == launched_processes()
    assert (True, 0, True) == (proof.was_running, proof.processes_left, proof.port_free)


def test_a_folder_deleted_during_the_start_is_said(fake):
    """What happened, not that somebody killed the supervisor; nothing of the engine is left."""
    folder = folder_of("fake").path

    def remove(event):
        if event.phase == "starting":
            delete(folder)

    with pytest.raises(EngineError, match=f"its folder {folder} was removed") as caught:
        fake("--never-listen", on_event=remove)
    assert ("folder removed", "starting") == (caught.value.cause, caught.value.phase)
    assert "seatrial logs" not in caught.value.remedy
    until(lambda: not launched_processes(), "the end of the engine")


def test_a_folder_deleted_before_its_supervisor_spoke_is_said(fake, monkeypatch, tmp_path):
    """At once, not after the time a supervisor has to come up."""
    script = tmp_path / "removes.py"
    script.write_text("import shutil, sys\nshutil.rmtree(sys.argv[1])\n")
    monkeypatch.setattr(supervisor, "__file__", str(script))
    with pytest.raises(EngineError, match="was removed while it started"):
        fake()


def test_an_engine_whose_folder_and_supervisor_are_lost_during_the_start_is_ended(fake):
    """Nobody else could find it any more, so the launch does, by its id."""
    folder = folder_of("fake")

    def lose(event):
        if event.phase == "starting" and (known := folder.processes()):
            os.kill(known.supervisor.pid, signal.SIGKILL)
            delete(folder.path)
            os.kill(known.engine.pid, signal.SIGKILL)

    with pytest.raises(EngineError, match="was removed"):
        fake("--never-listen", "--children=1", on_event=lose)
    assert [] == launched_processes()


def test_a_state_file_that_cannot_be_read_now_stays(fake):
    """No file handles left, say: the file is whole, so it is said and not set aside."""
    server = fake()
    with no_more_files(), pytest.raises(UsageError, match="Too many open files"):
        folder_of("fake").record()
    assert "ready" == server.state
    assert [] == list(Path(server.log).parent.glob("*.unreadable"))


@contextlib.contextmanager
def no_more_files():
    """Let this process open no more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_one_server_that_cannot_be_read_does_not_hide_the_others(fake, caplog):
    """A folder stands where its record should be: it is left out with a warning."""
    server = fake()
    odd = Path(server.log).parent.with_name("odd") / "record.json"
    odd.mkdir(parents=True)
    assert ["fake"] == [listed.name for listed in list_servers()]
    assert "'odd' is left out" in caplog.text
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        stop_all()
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        stop_server("odd")
    assert "ended" == server.state  # stopped all the same
    shutil.rmtree(odd.parent)


def test_a_supervisor_that_ends_as_it_is_told_to_stop(fake, monkeypatch):
    """The stop file cannot be written, as on a full disk, and the supervisor is killed just then: stop goes on."""
    server = fake("--children=1")
    (Path(server.log).parent / "stop").symlink_to("/nowhere/at/all")
    signalled = os.kill

    def late(pid, number):
        signalled(pid, signal.SIGKILL)
        until(lambda: supervisor.process_row(pid) is None, "its end")
        signalled(pid, number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", late)
        assert 0 == server.stop().processes_left
    assert [] == launched_processes()
