"""Faults 23 to 26: what is on the disk about a server is stale, of another boot, locked by the dead, or damaged."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
from tests.server.conftest import fake_command, launched_processes, until

from seatrial.cli.main import main
from seatrial.errors import EngineError, UsageError
from seatrial.launching import launch
from seatrial.server import find_server, list_servers, stop_all, stop_server, supervisor
from seatrial.server.folder import folder_of
from seatrial.server.processes import lives, members, this_boot
from seatrial.server.waiting import wait_ready

DAMAGE = {
    "empty": b"",
    "half": b'{"name": "fa',
    "a list": b"[]",
    "null": b"null",
    "bytes": b"\x00\xff",
    "other types": b'{"name": 3}',
}
LAUNCHER = """
    from seatrial.launching import launch
    from tests.server.conftest import fake_command
    launch(fake_command("--healthy-after-s=60"), name="fake", on_event=lambda event: print(event.phase, flush=True))
"""


@pytest.fixture
def bystander(process):
    """Start a process that belongs to no server."""
    return process("sleep", "1000", start_new_session=True)


def rewrite(name, **changes):
    """Change fields of a state file of the server ``fake``."""
    path = folder_of("fake").path / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.fault(23)
def test_a_recycled_pid(fake, bystander):
    """The record's pids belong to others by now, as the start time shows: never signalled, and launched anew."""
    fake().stop()
    recycled = {"pid": bystander.pid, "start": "1"}
    rewrite("process.json", engine=recycled, supervisor=recycled, exit=None, finished=False)
    server = find_server("fake")
    assert ("stale", False) == (server.state, server.alive())
    assert (False, 0) == (server.stop().was_running, server.stop().processes_left)
    assert bystander.poll() is None
    assert fake().responds()
    assert bystander.poll() is None


@pytest.mark.fault(23)
def test_a_recycled_owner(fake, bystander, seen):
    """The pid of a dead launcher belongs to somebody else by now: its lease has ended all the same."""
    server = fake()
    # What the supervisor holds is what it read when it came up; a record like this is what it would read.
    rewrite("record.json", owner={"pid": bystander.pid, "start": "1"})
    from seatrial.batch.leases import end_leases

    begun = time.monotonic()
    assert ["fake"] == [one.name for one in end_leases(timeout_s=0.2)]
    seen.took("stop", time.monotonic() - begun)
    assert not server.running
    assert bystander.poll() is None


@pytest.mark.fault(23)
@pytest.mark.parametrize("finished", [True, False])
def test_a_recycled_session(fake, bystander, finished):
    """The number of its session is another's by now, whether or not its end was recorded: never signalled."""
    fake().stop()
    rewrite("process.json", session=bystander.pid, finished=finished)
    assert 0 == find_server("fake").stop().processes_left
    assert bystander.poll() is None


LEAVES = """
import os, subprocess, sys
child = subprocess.Popen(["sleep", "1000"], process_group=0)
print(child.pid, flush=True)
"""


@pytest.mark.fault(23)
def test_a_recycled_session_whose_leader_has_ended(fake, process):
    """A daemon that left its parent: nothing in that session is the launch's, so nothing of it is signalled."""
    fake().stop()
    leader = process(sys.executable, "-c", LEAVES, stdout=subprocess.PIPE, start_new_session=True)
    daemon = psutil.Process(int(leader.stdout.readline()))
    leader.wait()
    assert leader.pid == os.getsid(daemon.pid)
    try:
        before = {"pid": leader.pid, "start": "1"}
        for engine in (None, {"pid": daemon.pid, "start": "1"}, {"pid": leader.pid, "start": "1"}):
            rewrite("process.json", session=leader.pid, supervisor=before, engine=engine, exit=None, finished=False)
            assert not find_server("fake").stop().was_running
            assert psutil.STATUS_ZOMBIE != daemon.status()
    finally:
        daemon.kill()


@pytest.mark.fault(23)
def test_what_lost_its_leader_and_its_environment_is_still_found():
    """Supervisor and engine are killed; a child that wrote its title over its environment is stopped all the same."""
    start = 'env -i sleep 1000 & exec "$@"'
    command = fake_command()
    command = replace(command, argv=("sh", "-c", start, "sh", sys.executable, *command.argv[1:]))
    server = launch(command, name="fake")
    watcher = folder_of("fake").processes().supervisor.pid
    engine = psutil.Process(server.pid)
    (child,) = (one for one in engine.children() if one.name() == "sleep")
    os.kill(watcher, signal.SIGKILL)
    engine.kill()
    until(lambda: not lives(folder_of("fake").processes().engine), "the end of the engine")
    assert 0 == server.stop().processes_left
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.fault(23)
@pytest.mark.parametrize("older", [True, False])
def test_a_launch_whose_supervisor_never_spoke(fake, bystander, older):
    """Nobody knows its session: processes of no known session are not taken for its own, and the name can be had again."""
    fake().stop()
    (folder_of("fake").path / "process.json").unlink()
    assert not find_server("fake").stop().was_running
    closed = folder_of("fake").processes()
    assert (None, None, True) == (closed.session, closed.supervisor, closed.finished)
    if older:
        rewrite("process.json", session=0, supervisor={"pid": 0, "start": ""})
    assert [] == members(folder_of("fake").processes(), closed.launch_id)
    assert not find_server("fake").stop().was_running
    assert bystander.poll() is None
    assert fake().responds()


@pytest.mark.fault(24)
def test_a_reboot(fake, bystander):
    """Same pid and start, but another boot: stale, listed, cleared by stop, nothing signalled."""
    fake().stop()
    same = {"pid": bystander.pid, "start": supervisor.start_of(bystander.pid)}
    rewrite("record.json", boot_id="another")
    rewrite("process.json", boot_id="another", engine=same, supervisor=same, exit=None, finished=False)
    server = find_server("fake")
    assert ("stale", False, False) == (server.state, server.running, server.alive())
    assert ["fake"] == [listed.name for listed in list_servers()]
    assert not server.stop().was_running
    assert "ended" == server.state
    assert bystander.poll() is None
    assert this_boot() != "another"


def test_stop_from_another_machine_or_container_ends_it(fake):
    """Its processes are not to be seen from there: the supervisor is asked, and what it answers is the proof."""
    fake()
    rewrite("record.json", boot_id="another")
    assert find_server("fake").stop().was_running
    until(lambda: not launched_processes(), "the end of its supervisor")


def test_stop_proves_nothing_of_another_machine_that_does_not_answer(fake):
    """It is asked, and one error names the machine; the record is closed, and the name free."""
    fake().stop()
    rewrite("record.json", boot_id="another", machine="node-7")
    rewrite("process.json", boot_id="another", exit=None, finished=False)
    with pytest.raises(EngineError, match=r"launched on node-7\..* not proven"):
        stop_server("fake")
    assert (folder_of("fake").path / "stop").exists()
    assert "" == stop_server("fake").asked
    assert fake().responds()


def test_a_server_of_another_machine_is_left_alone(fake, caplog, capsys):
    """Its processes cannot be seen from here: no launch takes its name, stop --all skips it, and its key stays."""
    fake(name=None, keep_running=True)
    folder = folder_of("fake-model")
    record = json.loads(folder.path.joinpath("record.json").read_text())
    folder.path.joinpath("record.json").write_text(json.dumps(record | {"boot_id": "another", "machine": "node-7"}))
    before = sorted(path.name for path in folder.path.iterdir())
    with fake(name=None) as other:
        assert "fake-model-2" == other.name
        with pytest.raises(UsageError, match="launched on node-7, and may run there"):
            fake(name="fake-model")
        assert ["fake-model-2"] == [stopped.name for stopped in stop_all()]
    assert "'fake-model' was launched on node-7 and is left alone" in caplog.text
    assert before == sorted(path.name for path in folder.path.iterdir())
    assert "elsewhere" == find_server("fake-model").state
    assert 0 == main(["ps"])
    assert "elsewhere: on node-7" in capsys.readouterr().out
    assert supervisor.start_of(folder.processes().engine.pid) is not None
    assert stop_server("fake-model").was_running


@pytest.mark.parametrize("finished", [True, False])
def test_a_record_of_another_machine_that_has_ended_is_free(fake, finished):
    """A recorded end frees the name; without one it may run there, whether or not its supervisor has spoken."""
    fake(name=None).stop()
    folder = folder_of("fake-model")
    record = json.loads(folder.path.joinpath("record.json").read_text())
    folder.path.joinpath("record.json").write_text(json.dumps(record | {"boot_id": "another", "machine": "node-7"}))
    if not finished:
        folder.path.joinpath("process.json").unlink()
    assert ("ended" if finished else "elsewhere") == find_server("fake-model").state
    assert ("fake-model" if finished else "fake-model-2") == fake(name=None).name
    if not finished:
        with pytest.raises(EngineError, match="not proven"):
            stop_server("fake-model")


def test_a_name_taken_from_another_machine_that_does_not_answer_yet(fake):
    """The request is not lost: its supervisor sees the later launch of the name, and ends its own engine only."""
    first = fake(keep_running=True)
    hanging = folder_of("fake").processes().supervisor.pid
    os.kill(hanging, signal.SIGSTOP)
    try:
        rewrite("record.json", boot_id="another", machine="node-7")
        rewrite("process.json", boot_id="another")
        with pytest.raises(EngineError, match=r"launched on node-7\..* not proven"):
            stop_server("fake")
        later = fake()
        assert psutil.pid_exists(first.pid)
    finally:
        os.kill(hanging, signal.SIGCONT)
    until(lambda: not supervisor.start_of(hanging), "the end of the first one's supervisor")
    assert not psutil.pid_exists(first.pid)
    again = find_server("fake")
    assert (later.launch_id, "ready", True) == (again.launch_id, again.state, again.responds())
    assert later.launch_id == folder_of("fake").processes().launch_id


def test_a_server_closed_from_elsewhere_is_still_found(fake):
    """Somebody who could not see its processes wrote that it has ended: while its engine lives, it is listed."""
    server = fake()
    known = json.loads((folder_of("fake").path / "process.json").read_text())
    lost = {"reason": "lost", "code": None, "signal": None, "error": "", "oom_kills": {}, "at": ""}
    rewrite("process.json", **{**known, "exit": lost, "finished": True})
    assert "ready" == server.state
    assert server.stop().was_running
    assert [] == launched_processes()


@pytest.mark.fault(25)
def test_the_lock_s_holder_is_killed(another_process, fake, seen):
    """In the middle of a launch: neither supervisor nor engine inherited the lock, so the name is free."""
    other = another_process(LAUNCHER)
    assert "starting\n" == other.stdout.readline()
    other.kill()
    other.wait()
    begun = time.monotonic()
    until(lambda: not find_server("fake").running, "the end of the first launch")
    seen.took("lease", time.monotonic() - begun)
    assert fake().responds()


@pytest.mark.fault(26)
@pytest.mark.parametrize("name", ["record.json", "process.json", "ready.json"])
def test_a_damaged_file_of_a_server_that_ended(fake, name, caplog):
    """Set aside with a warning, and the next launch of that name works."""
    folder = folder_of("fake").path
    for content in DAMAGE.values():
        fake().stop()
        (folder / name).write_bytes(content)
        list_servers(ended=True)
        assert content == (folder / f"{name}.unreadable").read_bytes()
    assert "was set aside" in caplog.text
    assert fake().responds()


@pytest.mark.fault(26)
@pytest.mark.parametrize("name", ["record.json", "process.json"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_of_a_server_that_runs(fake, name, damage, seen):
    """Nothing is lost: its supervisor knows what stood there and writes it again, and the server goes on."""
    server = fake("--children=1")
    file = folder_of("fake").path / name
    before = json.loads(file.read_text())
    file.write_bytes(DAMAGE[damage])
    list_servers()  # somebody looks, so that it is set aside
    until(file.exists, "the file's return")
    assert before == json.loads(file.read_text())
    again = find_server("fake")
    assert (server.pid, "ready", True) == (again.pid, again.state, again.responds())
    proof = again.stop()
    assert (True, 0) == (proof.was_running, proof.processes_left)
    seen.took("stop", proof.took_s)


@pytest.mark.fault(26)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_server_stays_ready_where_that_file_is_damaged(fake, damage):
    """It was written because the server had answered: it is ready still, and only how long that took is lost."""
    fake()
    file = folder_of("fake").path / "ready.json"
    file.write_bytes(DAMAGE[damage])
    server = find_server("fake")
    assert ("ready", None) == (server.state, server.ready_after_s)
    assert file.exists()
    assert server == wait_ready(server)
    assert server.stop().was_running


@pytest.mark.fault(26)
def test_what_was_set_aside_says_nothing_of_a_later_launch(fake):
    """Of the same name: it is ready when it has answered itself."""
    fake().stop()
    folder = folder_of("fake")
    (folder.path / "ready.json").write_bytes(b"{")
    assert folder.ready().ready_after_s is None
    folder.clear()
    assert folder.ready() is None


@pytest.mark.fault(26)
def test_what_is_written_again_is_private_and_can_be_deleted(fake):
    """Readable only by this user; deleting it later still ends the server."""
    server = fake(keep_running=True)
    file = folder_of("fake").path / "record.json"
    file.write_bytes(b"{")
    list_servers()
    until(file.exists, "the file's return")
    assert 0o600 == file.stat().st_mode & 0o777
    until(lambda: not file.with_name("record.json.unreadable").exists(), "the damaged one's move")
    assert server.responds()
    file.unlink()
    until(lambda: not launched_processes(), "the end of the engine")
