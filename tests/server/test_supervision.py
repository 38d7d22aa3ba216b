"""The lease: an engine ends with its owner, whatever happened to that, unless it was told to keep running."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from tests.server.conftest import launched_processes, until

from seatrial.errors import EngineError
from seatrial.server import find_server, supervisor
from seatrial.server.folder import folder_of
from seatrial.server.processes import lives, port_is_free, this_boot
from seatrial.server.state import Identity

LAUNCHER = """
    import sys
    from seatrial.launching import launch
    from tests.server.conftest import fake_command
    server = launch(fake_command("--children=2"), name="fake", keep_running={keep_running})
    print(server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_engine_ends_with_its_owner(another_process, number):
    """The launching process is ended, gently or not: engine and children are gone within the lease."""
    owner = another_process(LAUNCHER.format(keep_running=False))
    assert psutil.pid_exists(int(owner.stdout.readline()))
    owner.send_signal(number)
    owner.wait()
    until(lambda: find_server("fake").state == "ended", "the end of the lease")
    until(lambda: not launched_processes(), "the end of the supervisor")
    assert "lease ended" == folder_of("fake").processes().exit.reason


def test_an_owner_that_only_waits_to_be_reaped_is_gone(another_process):
    """A dead process nobody has waited for still has its pid; the lease ends all the same."""
    owner = another_process(LAUNCHER.format(keep_running=False))
    owner.stdout.readline()
    owner.kill()  # not waited for: it stays a zombie of this test
    until(lambda: not launched_processes(), "the end of the engine")


def test_keep_running_outlives_its_owner(another_process):
    """The owner is killed: another process finds the server at once, talks to it, and stops it."""
    owner = another_process(LAUNCHER.format(keep_running=True))
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    server = find_server("fake")
    assert (pid, "ready", True) == (server.pid, server.state, server.responds())
    assert server.stop().port_free
    assert [] == launched_processes()


def test_a_new_process_attaches_by_name(fake, another_process):
    """What one process launched another finds, with key and address."""
    server = fake()
    other = another_process(
        """
        from seatrial.server import find_server
        server = find_server("fake")
        print(server.url, server.responds(), len(server.api_key()))
        """
    )
    assert f"{server.url} True 64\n" == other.stdout.readline()


@pytest.mark.parametrize("flags", [["--children=3"], ["--escaping-child"], ["--ignore-term", "--children=1"]])
def test_stop_takes_everything_the_engine_started(fake, flags):
    """Children in its group, a child in a session of its own, an engine that ignores TERM: all gone."""
    server = fake(*flags)
    assert 2 < len(launched_processes())  # the supervisor, the engine and more
    assert 0 == server.stop().processes_left
    assert [] == launched_processes()


def test_children_go_when_the_engine_dies(fake):
    """The engine is killed from outside: what it started goes with it."""
    server = fake("--children=2", "--escaping-child")
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: not launched_processes(), "the end of its children")
    assert "killed" == server.why_ended().cause


def supervisor_of(name):
    """Return the pid of a server's supervisor."""
    return folder_of(name).processes().supervisor.pid


def test_a_killed_supervisor_is_said_and_stop_still_works(fake):
    """Nobody watches any more: listed as unsupervised, ended by identity all the same."""
    server = fake("--children=1", "--escaping-child")
    os.kill(supervisor_of("fake"), signal.SIGKILL)
    until(lambda: server.state == "unsupervised", "the loss of the supervisor")
    proof = server.stop()
    assert (True, 0, True) == (proof.was_running, proof.processes_left, proof.port_free)
    assert [] == launched_processes()
    assert not Path(server.api_key_file).exists()


def test_a_crash_is_no_stop_though_a_stop_follows_at_once(fake):
    """The engine dies and somebody asks for its end before the supervisor has looked: it crashed."""
    server = fake()
    hanging = supervisor_of("fake")
    os.kill(hanging, signal.SIGSTOP)
    try:
        os.kill(server.pid, signal.SIGSEGV)
        until(lambda: psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE, "the crash")
        assert folder_of("fake").request_stop()
    finally:
        os.kill(hanging, signal.SIGCONT)
    until(lambda: server.state == "ended", "the end")
    assert "SIGSEGV" in server.why_ended().what


def test_a_supervisor_killed_during_the_start_is_said(fake):
    """The launch does not wait for ever for somebody who is gone."""

    def kill(event):
        if event.phase == "starting":
            os.kill(supervisor_of("fake"), signal.SIGKILL)
            os.kill(find_server("fake").pid, signal.SIGKILL)

    with pytest.raises(Exception, match="supervisor is gone"):
        fake("--never-listen", on_event=kill)


def test_an_end_that_is_recorded_late_is_waited_for(fake, monkeypatch):
    """The engine is gone and its supervisor lives, on a machine too busy to let it write: the cause is told all the same."""
    monkeypatch.setattr("seatrial.server.startup.readiness._EXIT_RECORD_S", 0.0)

    def crash(event):
        if event.phase == "starting" and event.begins:
            held = supervisor_of("fake")
            os.kill(held, signal.SIGSTOP)
            os.kill(find_server("fake").pid, signal.SIGSEGV)
            threading.Timer(0.5, os.kill, (held, signal.SIGCONT)).start()

    with pytest.raises(EngineError) as caught:
        fake("--never-listen", on_event=crash)
    assert "segmentation fault" == caught.value.cause


def test_a_server_that_ends_while_its_state_is_asked_for_has_ended(fake, monkeypatch):
    """Its supervisor writes the end and goes between two looks: that is no lost supervisor."""
    server = fake()
    folder, running = folder_of("fake"), folder_of("fake").processes()
    server.stop()
    ended = folder.processes()
    folder.write_processes(running)

    def end_at_the_second_look(identity, *_):
        if identity == running.engine:
            return folder.processes() == running
        folder.write_processes(ended)
        return False

    monkeypatch.setattr("seatrial.server.processes.lives", end_at_the_second_look)
    assert "ended" == server.state


def test_a_running_server_whose_process_file_is_lost_can_be_stopped(fake):
    """Its processes carry the launch's id, so they are found without the file."""
    server = fake()
    os.kill(supervisor_of("fake"), signal.SIGKILL)
    (folder_of("fake").path / "process.json").write_text("{")
    assert 0 == server.stop().processes_left
    assert [] == launched_processes()


def test_a_log_flood_is_capped_and_the_engine_not_blocked(fake, monkeypatch):
    """The log stays near its cap however much is written, its tail is kept, and the server answers."""
    monkeypatch.setattr("seatrial.launching.launcher.LOG_CAP_BYTES", 1 << 20)
    server = fake("--flood")
    log = Path(server.log)
    until(log.with_name("engine.log.1").exists, "the first cut of the log")
    assert server.responds()
    assert 3 == len(server.read_log(3))
    assert log.with_name("engine.log.1").stat().st_size <= 1 << 20


def test_a_process_is_known_by_its_start():
    """Same pid, other start, or other boot: not the same process."""
    me = Identity(os.getpid(), supervisor.start_of(os.getpid()))
    assert lives(me, this_boot())
    assert not lives(Identity(me.pid, "1"))
    assert not lives(me, "another boot")
    assert supervisor.start_of(2**22 + 1) is None


def test_processes_are_told_apart_without_a_proc_filesystem(require, monkeypatch):
    """MacOS has none: ps gives the same table."""
    require("ps")
    monkeypatch.setattr(supervisor, "HAS_PROC", False)
    row = supervisor.process_row(os.getpid())
    assert (os.getppid(), os.getpgrp(), os.getsid(0)) == (row.parent, row.group, row.session)
    assert row.start
    assert os.getpid() in [other.pid for other in supervisor.process_table()]
    assert supervisor.start_of(2**22 + 1) is None


def test_a_number_that_another_process_has_by_now_is_not_signalled():
    """Whatever state the process was in that had the number."""
    other = subprocess.Popen(["sleep", "1000"])
    row = supervisor.process_row(other.pid)
    for state in ("S", "Z", "X"):
        supervisor.end_process(row._replace(start="1", state=state, threads=2), signal.SIGKILL)
    assert other.poll() is None
    supervisor.end_process(row, signal.SIGKILL)
    assert -signal.SIGKILL == other.wait()


def test_the_supervisor_needs_the_standard_library_alone():
    """It starts isolated, without site packages, and imports nothing of the kit."""
    code = "import sys; sys.argv[1:] = []; import runpy; runpy.run_path(sys.orig_argv[-1]); print('seatrial' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, supervisor.__file__], capture_output=True, text=True, check=True
    )
    assert "False\n" == told.stdout


def test_the_supervisor_is_small(fake):
    """At most 25 MB resident."""
    fake()
    assert psutil.Process(supervisor_of("fake")).memory_info().rss < 25e6


def test_no_supervisor_is_left_after_stop(fake):
    """Stop returns when the supervisor has gone too."""
    server = fake()
    pid = supervisor_of("fake")
    server.stop()
    deadline = time.monotonic() + 5
    while supervisor.start_of(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert supervisor.start_of(pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process is a zombie only when all of it has ended")
def test_an_engine_whose_first_thread_alone_has_ended_is_stopped(fake):
    """Its process counts as a zombie while its other threads still hold the port: no proof before they are gone."""
    server = fake("--headless")
    os.kill(server.pid, signal.SIGUSR1)
    until(lambda: psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE, "the end of its first thread")
    assert not port_is_free(server.port)
    stopped = server.stop()
    assert (0, True, True) == (stopped.processes_left, stopped.port_free, port_is_free(server.port))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process is a zombie only when all of it has ended")
def test_without_a_supervisor_such_an_engine_is_stopped_too(fake):
    """The same, where whoever stops it has to find its processes."""
    server = fake("--headless")
    os.kill(server.pid, signal.SIGUSR1)
    until(lambda: psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE, "the end of its first thread")
    known = folder_of("fake").processes()
    os.kill(known.supervisor.pid, signal.SIGKILL)
    until(lambda: not lives(known.supervisor), "the end of its supervisor")
    assert (0, True) == (server.stop().processes_left, port_is_free(server.port))
