"""One server, not four: a launch of what runs gives the running server, and another wish is refused with both shown."""

import os
import signal
from dataclasses import replace

import psutil
import pytest
from tests.server.conftest import fake_command, launched_processes, until

from seatrial.errors import EngineError, Interrupted, UsageError
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.launching.claim import check_launch
from seatrial.launching.next_plan import kept_plan
from seatrial.plan import make_plan
from seatrial.server import find_server, list_servers
from seatrial.server.folder import folder_of

LAUNCH = """
    import sys
    from seatrial.launching import launch
    from tests.server.conftest import fake_command
    server = launch(fake_command({flags}), {wishes} on_event=lambda event: print(event.phase, flush=True))
    print(server.pid, flush=True)
    sys.stdin.read()
"""


def simulated(**changes):
    """Return a plan of this machine that needs no model."""
    return make_plan("flash", hardware=detect_hardware(), engine="simulated", **{"context_tokens": 2048} | changes)


@pytest.mark.parametrize("name", ["fake", None])
def test_a_second_launch_gives_the_running_server(name):
    """Ten times the same cell: one engine; its age is said, and it is still this process's."""
    events = []
    first = launch(fake_command(), name=name)
    for _ in range(3):
        again = launch(fake_command(), name=name, on_event=events.append)
        assert (first, True) == (again, again.ours)
    assert ["already running"] * 3 == [event.phase for event in events]
    assert f"{first.name} is already running, " in events[0].text
    assert 1 == len(launched_processes_of_engines())


def launched_processes_of_engines():
    """Return the engines of this test that run."""
    return [one for one in launched_processes() if "fake_engine.py" in " ".join(one.cmdline())]


def test_without_a_listener_the_age_is_logged(caplog):
    """A line of the log says it."""
    caplog.set_level("INFO", logger="seatrial")
    launch(fake_command())
    launch(fake_command())
    assert "already running: fake-model is already running, " in caplog.text


@pytest.mark.parametrize(
    ("flags", "changes", "words"),
    [
        (["--say=x"], {}, "it runs without --say=x"),
        ([], {"env": {"FAKE": "2"}}, "it runs without FAKE=2"),
        ([], {"model": "another-model"}, "the model: fake-model, not another-model"),
        ([], {"engine": "sglang"}, "the engine: fake, not sglang"),
        ([], {"key_env": "FAKE_KEY"}, "it runs with --key-file="),
    ],
)
def test_another_wish_under_the_name_is_refused_with_both(fake, flags, changes, words):
    """What runs, since when, what was asked for, where they differ, and the ways out; nothing is started or stopped."""
    server = fake()
    with pytest.raises(UsageError) as caught:
        launch(fake_command(*flags, **changes), name="fake")
    said = str(caught.value)
    assert "A server named 'fake' runs already, and is another one than asked for." in said
    assert f"runs       fake-model with fake, {said.partition('with fake, ')[2].partition(' (')[0]} (pid" in said
    assert words in said
    assert "seatrial stop fake" in said
    assert "another --name" in said
    assert [server] == list_servers()


def test_another_port_or_key_is_another_wish(fake, monkeypatch):
    """The port that runs is fine to ask for; a key is never shown."""
    server = fake()
    assert server == fake(port=server.port)
    with pytest.raises(UsageError, match=f"the port: {server.port}, not {server.port - 1}"):
        fake(port=server.port - 1)
    from seatrial.launching.access import Access

    monkeypatch.setenv("OWN_KEY", "a-key-of-mine-0123456789abcdef0123456789")
    with pytest.raises(UsageError, match="the API key") as caught:
        fake(access=Access(api_key_env="OWN_KEY"))
    assert "a-key-of-mine" not in str(caught.value)


def test_a_plan_s_sizes_are_shown():
    """Model, checkpoint, context and requests of both."""
    with launch(simulated()) as server:
        assert server == launch(simulated())
        with pytest.raises(UsageError) as caught:
            launch(simulated(context_tokens=4096, concurrency=4))
        said = caught.value.what
    assert "2,048 tokens of context for 1 request at once" in said
    assert "4,096 tokens of context for 4 requests at once" in said


def test_a_plan_made_beside_its_own_server_is_the_same_wish():
    """The server holds memory, so the same request may not fit any more: that is no other wish."""
    plan = simulated()
    with launch(plan) as server:
        less = replace(plan.hardware, host=replace(plan.hardware.host, memory_available_bytes=1 << 30))
        beside = replace(plan, verdict="does_not_fit", hardware=less)
        assert server == launch(beside)
        assert plan.hardware == kept_plan(server).hardware
        with pytest.raises(UsageError, match="runs already"):
            launch(replace(beside, context_tokens=4096))


def test_a_launch_elsewhere_is_found(another_process, fake):
    """A server of another process is given back, and stays that process's."""
    other = another_process(LAUNCH.format(flags="", wishes='name="fake",'))
    until(lambda: other.stdout.readline().strip().isdigit(), "the server of the other process")
    server = fake()
    assert (False, False, True) == (server.ours, server.keep_running, server.responds())


def test_two_launches_of_one_wish_at_once(another_process, fake):
    """One starts it, the other waits and gets the same server."""
    other = another_process(LAUNCH.format(flags='"--healthy-after-s=1.5"', wishes='name="fake",'))
    assert "starting\n" == other.stdout.readline()
    phases = []
    server = fake("--healthy-after-s=1.5", on_event=lambda event: phases.append(event.phase))
    lines = other.stdout.read() if other.poll() is not None else ""
    assert (False, "ready") == (server.ours, server.state), lines
    assert "ready" == phases[-1]
    assert 1 == len(launched_processes_of_engines())


def test_two_launches_of_two_wishes_at_once(another_process, fake):
    """The second is told at once what starts there."""
    other = another_process(LAUNCH.format(flags='"--healthy-after-s=60"', wishes='name="fake",'))
    assert "starting\n" == other.stdout.readline()
    until(lambda: list_servers() and list_servers()[0].running, "the other server")
    with pytest.raises(UsageError, match="runs already"):
        fake()


def test_the_launch_that_was_waited_for_failed(another_process, fake, tmp_path):
    """The one who waits hears of the failure; nothing is started a second time."""
    (tmp_path / "script.json").write_text('[[1.5, "last words"]]')
    flags = [f"--script={tmp_path / 'script.json'}", "--script-exit=3"]
    other = another_process(LAUNCH.format(flags=", ".join(map(repr, flags)), wishes='name="fake",'))
    assert "starting\n" == other.stdout.readline()
    until(lambda: list_servers() and list_servers()[0].running, "the other server")
    with pytest.raises(EngineError, match="exit code 3"):
        fake(*flags)
    assert [] == launched_processes_of_engines()


def test_a_server_whose_launcher_is_gone_is_not_given_back(another_process, fake):
    """A kernel was restarted: its server is about to end, so a new one is launched under the name."""
    other = another_process(LAUNCH.format(flags="", wishes='name="fake",'))
    until(lambda: other.stdout.readline().strip().isdigit(), "the server of the other process")
    old = find_server("fake")
    supervisor = folder_of("fake").processes().supervisor.pid
    os.kill(supervisor, signal.SIGSTOP)  # it does not see yet that its launcher is gone
    try:
        other.kill()
        other.wait(10)
        assert old.abandoned
        new = fake()
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert (True, True) == (new.ours, new.launch_id != old.launch_id)
    assert 1 == len(launched_processes_of_engines())


def test_a_server_that_hangs_is_not_given_back(fake, monkeypatch):
    """It runs and answers nothing: said, with the way out."""
    monkeypatch.setattr("seatrial.launching.attach._HANGS_S", 0.3)
    server = fake()
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(EngineError, match="runs already, and does not answer") as caught:
        fake()
    assert "seatrial stop fake" in caught.value.remedy


def test_keep_running_keeps_a_server_from_now_on(another_process, fake):
    """Its launcher ends, and it stays; without a supervisor, too."""
    other = another_process(LAUNCH.format(flags="", wishes='name="fake",'))
    until(lambda: other.stdout.readline().strip().isdigit(), "the server of the other process")
    server = fake(keep_running=True)
    assert (True, True) == (server.keep_running, find_server("fake").keep_running)
    looks = until(lambda: folder_of("fake").processes(), "its record").supervisor.pid
    other.kill()
    other.wait(10)
    switches = switches_of(looks)
    until(lambda: switches_of(looks) > switches + 8, "looks of its supervisor")
    assert ("ready", False) == (server.state, server.abandoned)
    assert not fake().abandoned
    (shell,) = [one.pid for one in launched_processes() if "-s" in one.cmdline()]
    os.kill(looks, signal.SIGKILL)
    switches = switches_of(shell)
    until(lambda: switches_of(shell) > switches + 12, "looks of the shell that keeps its lease")
    assert ("unsupervised", True) == (server.state, server.responds())


def switches_of(pid):
    """Return how often a process has waited."""
    return psutil.Process(pid).num_ctx_switches().voluntary


def test_the_check_before_a_download_knows_the_running_server():
    """What runs already passes; another wish is refused before anything is fetched."""
    with launch(simulated()):
        check_launch(simulated())
        with pytest.raises(UsageError, match="runs already"):
            check_launch(simulated(concurrency=3))


def test_an_interrupt_while_another_launches_leaves_that_alone(another_process, fake):
    """Stopping to wait is no stop of what somebody else starts."""
    other = another_process(LAUNCH.format(flags='"--healthy-after-s=60"', wishes='name="fake",'))
    assert "starting\n" == other.stdout.readline()
    until(lambda: list_servers() and list_servers()[0].running, "the other server")

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="Stopped by you"):
        fake("--healthy-after-s=60", on_event=interrupt)
    assert ["starting"] == [server.state for server in list_servers()]
