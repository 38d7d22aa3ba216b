"""Supervisor and launcher are killed together: a shell in the engine's session keeps the lease, and kills nobody else."""

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest
from tests.server.conftest import delete, launched_processes, until

from seatrial.server import find_server, list_servers, supervisor
from seatrial.server.folder import folder_of

LAUNCHER = """
    import sys
    from seatrial.launching import launch
    from tests.server.conftest import fake_command
    launch(fake_command(*{flags}), name="fake", keep_running={keep}, on_event=lambda event: print(event.phase, flush=True))
    sys.stdin.read()
"""
LEASE = Path(supervisor.__file__).with_name("lease.sh")


@pytest.fixture
def launcher(another_process):
    """Launch the scripted engine from another process, and wait until a phase of its start."""

    def start(*flags, keep=False, phase="ready"):
        process = another_process(LAUNCHER.format(flags=flags, keep=keep))
        until(lambda: phase in process.stdout.readline(), phase)
        return process

    return start


def kill_both(process):
    """Kill the supervisor and the launcher, as what ends every Python of a user does."""
    os.kill(folder_of("fake").processes().supervisor.pid, signal.SIGKILL)
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    "flags", [[], ["--children=2", "--escaping-child"], ["--ignore-term"]], ids=["alone", "children", "ignores TERM"]
)
def test_the_engine_ends_with_both(launcher, flags):
    """All of it, also what left its session; the end is recorded and the key is gone."""
    process = launcher(*flags)
    kill_both(process)
    until(lambda: not launched_processes(), "the end of the engine")
    ended = folder_of("fake").processes()
    assert ("lease ended", True) == (ended.exit.reason, ended.finished)
    assert not folder_of("fake").key_file.exists()
    assert "ended" == find_server("fake").state


def test_the_engine_ends_with_both_during_the_start(launcher):
    """Before anything listens."""
    kill_both(launcher("--never-listen", phase="starting"))
    until(lambda: not launched_processes(), "the end of the engine")


def test_the_lease_is_no_python(launcher):
    """Whoever ends every Python of a user, by name or by command line, does not end it."""
    process = launcher()
    engine = folder_of("fake").processes().engine.pid
    (keeper,) = [
        one for one in launched_processes() if one.ppid() == psutil.Process(engine).ppid() and one.pid != engine
    ]
    assert "python" not in " ".join([keeper.name(), keeper.exe(), *keeper.cmdline()]).casefold()
    assert "seatrial" not in " ".join(keeper.cmdline())
    kill_both(process)


def test_an_engine_whose_launcher_lives_goes_on(launcher):
    """Only the supervisor is killed: unsupervised, and it answers until the launcher ends as well."""
    process = launcher()
    os.kill(folder_of("fake").processes().supervisor.pid, signal.SIGKILL)
    server = find_server("fake")
    until(lambda: server.state == "unsupervised", "the loss of the supervisor")
    until(lambda: looks_of_lease(server), "a look at the lease")
    assert server.responds()
    process.kill()
    until(lambda: not launched_processes(), "the end of the engine")


def test_keep_running_outlives_both(launcher):
    """There is no lease then: ps says that nobody supervises it, and stop still works."""
    process = launcher(keep=True)
    kill_both(process)
    server = find_server("fake")
    assert "unsupervised" == server.state
    until(lambda: looks_of_lease(server), "a look at the lease")
    assert server.responds()
    assert 0 == server.stop().processes_left
    assert [] == launched_processes()


def looks_of_lease(server):
    """Return the shells that wait between two looks at the lease."""
    asleep = [one for one in launched_processes() if one.name() == "sleep"]
    return [one for one in asleep if os.getsid(one.pid) == os.getsid(server.pid)]


def cut(path):
    """Leave the first half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


SPOILED = {
    "cut": cut,
    "emptied": lambda path: path.write_text(""),
    "nothing in it": lambda path: path.write_text("{}"),
    "null": lambda path: path.write_text("null"),
    "no text": lambda path: path.write_bytes(b"\xff\xfe"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "deleted": lambda path: path.unlink(),
    "its folder deleted": lambda path: delete(path.parent),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_record_spoiled_during_the_start_leaves_no_engine(launcher, how):
    """Nobody would find it: supervisor and launcher are killed as well."""
    process = launcher("--never-listen", phase="starting")
    known = folder_of("fake").processes()
    SPOILED[how](folder_of("fake").path / "record.json")
    if (
        supervisor.start_of(known.supervisor.pid) == known.supervisor.start
    ):  # it ends the engine itself if nobody finds it
        os.kill(known.supervisor.pid, signal.SIGKILL)
    process.kill()
    until(lambda: not launched_processes(), "the end of the engine")


@pytest.mark.parametrize("how", ["deleted", "its folder deleted"])
def test_an_engine_that_nobody_finds_any_more_ends(launcher, how):
    """It was to keep running, its supervisor is killed, and its record is gone."""
    process = launcher(keep=True)
    kill_both(process)
    SPOILED[how](folder_of("fake").path / "record.json")
    until(lambda: not launched_processes(), "the end of the engine")


@pytest.mark.parametrize("how", ["cut", "emptied", "nothing in it", "null", "no text"])
def test_a_spoiled_record_is_written_again_before_anybody_reads_it(fake, how):
    """So that stop and ps never miss a server that runs."""
    server = fake(keep_running=True)
    record = folder_of("fake").path / "record.json"
    whole = json.loads(record.read_text())
    SPOILED[how](record)
    until(lambda: record.with_name("record.json.damaged").exists(), "the record anew")
    assert whole == json.loads(record.read_text())
    assert ["fake"] == [one.name for one in list_servers()]
    assert "ready" == server.state


def test_another_process_that_has_the_number_by_now_is_not_signalled():
    """Of a process only its number and its start together count."""
    with subprocess.Popen(["sleep", "1000"]) as other:
        row = supervisor.process_row(other.pid)
        supervisor.end_process(row._replace(start="1"), signal.SIGKILL)
        assert other.poll() is None
        supervisor.end_process(row, signal.SIGKILL)
        assert -signal.SIGKILL == other.wait(10)


def lease_of(folder, owner, start, keep="0", lease=LEASE):
    """Start the shell that keeps a lease over a process of its own session, ``sleep``; return both."""
    program = "import os, sys; os.dup2(0, 9); os.dup2(os.open(sys.argv[1], os.O_RDONLY), 0); os.execv('/bin/sh', sys.argv[2:])"
    engine = subprocess.Popen(["sleep", "1000"])
    read, write = os.pipe()
    launch_id = uuid.uuid4().hex  # whoever ends a launch ends every process of its id: no other test's shell
    env = {**os.environ, "SEATRIAL_LAUNCH_ID": launch_id, "SEATRIAL_LEASE_PYTHON": sys.executable}
    shell = subprocess.Popen(
        [sys.executable, "-c", program, str(lease), "sh", "-s", str(owner), start, keep],
        stdin=read,
        cwd=folder,
        start_new_session=True,
        env={**env, "SEATRIAL_LEASE_PROGRAM": supervisor.__file__},
    )
    os.close(read)
    os.write(write, f"{engine.pid} {supervisor.start_of(engine.pid)}\n".encode())
    return shell, engine, write


def test_without_proc_a_lease_is_kept_as_long_as_nobody_knows(tmp_path, monkeypatch):
    """MacOS: `ps` may tell nothing of a process that is there. Once it tells another start, the lease ends."""
    (tmp_path / "record.json").write_text("{}")
    lease = tmp_path / "lease.sh"
    lease.write_text(LEASE.read_text().replace("/proc/self/stat", "/none"))
    ps, looks = tmp_path / "ps", tmp_path / "looks"
    ps.write_text(f"#!/bin/sh\necho >> '{looks}'\n")
    ps.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    shell, engine, write = lease_of(tmp_path, os.getpid(), "1", lease=lease)
    with shell, engine:
        os.close(write)
        until(lambda: looks.exists() and len(looks.read_text()) > 3, "two looks at engine and launcher")
        assert shell.poll() is None
        monkeypatch.setattr(supervisor, "HAS_PROC", False)
        assert supervisor.may_live({"pid": os.getpid(), "start": "1"})
        ps.write_text(f"#!/bin/sh\necho {os.getpid()} 1 1 S Mon Nov 30 15:42:01 2026\n")
        assert not supervisor.may_live({"pid": os.getpid(), "start": "1"})
        assert supervisor.may_live({"pid": os.getpid(), "start": "Mon Nov 30 15:42:01 2026"})
        assert 0 == shell.wait(60)
        engine.kill()


def test_a_launcher_whose_number_another_process_has_is_gone(tmp_path):
    """The lease ends; what is no part of this session and launch is not signalled."""
    (tmp_path / "record.json").write_text("{}")
    shell, engine, write = lease_of(tmp_path, os.getpid(), "1")
    with shell, engine:
        os.close(write)
        assert 0 == shell.wait(60)
        assert engine.poll() is None  # it is in the session of this test
        engine.kill()
