"""Launching: ready only when it truly answers, a named cause where it never does, nothing left behind."""

import stat
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.server.conftest import fake_command, launched_processes

from seatrial.engines.types import Command
from seatrial.errors import EngineError, EngineMissingError, Interrupted, RefusedError, UsageError
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.plan import make_plan
from seatrial.server import find_server, list_servers


def test_a_ready_server_answers_and_is_gone_after_its_block(fake):
    """Inside the block it is ready and answers with its key; after it no process and no key are left."""
    with fake() as server:
        assert ("fake", "ready", True) == (server.name, server.state, server.responds())
        assert 64 == len(server.api_key())
        assert f"http://127.0.0.1:{server.port}" == server.url
    assert "ended" == server.state
    assert [] == launched_processes()
    assert not Path(server.api_key_file).exists()


def test_stop_gives_proof(fake):
    """Stopping says that nothing is left and that the port is free; stopping again is fine."""
    proof = (server := fake()).stop()
    assert (True, True, 0) == (proof.was_running, proof.port_free, proof.processes_left)
    assert not server.stop().was_running


def test_events_tell_the_way_up(fake):
    """Whoever waits hears of each phase once, in order."""
    phases = []
    fake("--healthy-after-s=0.3", on_event=lambda event: event.begins and phases.append(event.phase)).stop()
    assert ["starting", "loading", "first token", "ready"] == phases


@pytest.mark.parametrize(
    ("flags", "cause", "words"),
    [
        (["--exit=1", "--say=CUDA out of memory. Tried to allocate 2 GiB"], "gpu out of memory", "exit code 1"),
        (["--exit=7", "--say=nothing anybody knows"], "unknown", "nothing anybody knows"),
        (["--exit=0"], "unknown", "exit code 0"),
        (["--signal=SIGSEGV"], "segmentation fault", "SIGSEGV"),
        (["--signal=SIGILL"], "illegal instruction", "SIGILL"),
        (["--signal=SIGABRT"], "aborted", "SIGABRT"),
        (["--signal=SIGKILL"], "killed", "SIGKILL"),
        (["--exit=139"], "segmentation fault", "exit code 139"),
        (["--no-such-flag"], "unknown flag", "--no-such-flag"),
    ],
)
def test_an_engine_that_ends_before_it_is_ready_is_diagnosed(fake, flags, cause, words):
    """The error names the cause, how it ended and the lines it rests on."""
    with pytest.raises(EngineError) as caught:
        fake(*flags)
    assert cause == caught.value.cause
    assert words in caught.value.what
    assert "seatrial logs fake" in caught.value.remedy
    assert [] == list_servers()


def test_the_log_of_a_failed_launch_can_be_read(fake):
    """What the engine wrote stays readable under its name."""
    with pytest.raises(EngineError):
        fake("--exit=1", "--say=last words")
    assert "last words" in find_server("fake").read_log()


def test_a_command_open_to_other_machines_is_refused(fake):
    """An engine told to listen on every address is never started."""
    with pytest.raises(UsageError, match="open to other machines"):
        fake("--host=0.0.0.0")
    assert list_servers(ended=True) == []


def test_a_rejected_key_is_said():
    """An engine that does not take the key of this launch is ended."""
    command = fake_command()
    argv = (*command.argv[:3], "--key-env=HOME")
    with pytest.raises(EngineError, match="rejects the API key"):
        launch(Command(engine="fake", argv=argv, model="fake-model"), name="fake")


def test_a_busy_processor_alone_does_not_count_for_ever(fake):
    """An engine that only spins gets ten times the stall limit."""
    with pytest.raises(EngineError, match="stalled while starting"):
        fake("--spin", stall_limit_s=0.3)


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_no_such_port(fake, port):
    """A number that is no port is bad usage."""
    with pytest.raises(UsageError, match="is no port"):
        fake(port=port)


def test_a_missing_engine_is_said_before_a_missing_checkpoint(monkeypatch):
    """Nobody fetches 160 GB to learn that the engine is not there."""
    monkeypatch.setenv("SEATRIAL_SGLANG_PYTHON", "/nowhere/python")
    plan = make_plan("flash", hardware=replace(detect_hardware("h200x4"), origin="measured"), engine="sglang")
    with pytest.raises(EngineMissingError, match="SEATRIAL_SGLANG_PYTHON"):
        launch(plan)


def test_a_plan_for_a_machine_that_was_only_named_is_not_launched_here():
    """Flags for four H200 mean nothing on another machine."""
    with pytest.raises(RefusedError, match="only named"):
        launch(make_plan("flash", hardware=detect_hardware("h200x4")))


def test_a_program_that_cannot_be_executed_is_said(tmp_path):
    """A file that is no program fails as such, not as a crash."""
    program = tmp_path / "engine"
    program.write_bytes(b"\x00\x01 no program")
    program.chmod(0o755)
    with pytest.raises(EngineError, match="could not be started") as caught:
        launch(Command(engine="fake", argv=(str(program),), model="m"))
    assert "not started" == caught.value.cause


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a" * 64, "a b", "a\n", "-x", "\x00"])
def test_names_that_would_leave_the_folder_are_refused(fake, name):
    """A name is a plain word; anything else is bad usage and writes nothing."""
    with pytest.raises(UsageError, match="cannot name a server"):
        fake(name=name)
    assert [] == list_servers(ended=True)


def test_interrupting_a_launch_leaves_nothing(fake):
    """Ctrl-C while it starts: the engine is gone when the exception arrives."""

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        fake("--never-listen", on_event=interrupt)
    assert ["Stopped by you: nothing of 'fake' was left running by this launch."] == caught.value._render_traceback_()
    assert [] == launched_processes()
    assert [] == list_servers()


def test_the_key_is_nowhere_but_in_its_file(fake):
    """Not in any argv, record or log; the folder is 0700 and the files of the launch 0600."""
    server = fake(keep_running=True)
    key = server.api_key().encode()
    folder = Path(server.api_key_file).parent
    for process in psutil.process_iter():
        try:
            assert key.decode() not in " ".join(process.cmdline())
        except psutil.Error:
            continue
    holders = [path.name for path in folder.rglob("*") if path.is_file() and key in path.read_bytes()]
    assert ["key"] == holders
    assert [0o700, 0o700] == [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)]
    private = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}
    assert dict.fromkeys(private, "0o600") == private


def test_a_key_can_travel_in_the_environment(fake):
    """Engines that take no file get the key in a variable, of the engine process alone."""
    server = fake(key_env="FAKE_KEY")
    assert server.api_key() == psutil.Process(server.pid).environ()["FAKE_KEY"]


def test_a_key_can_travel_in_a_config_file():
    """Engines that read a config file get one, private, gone with the server."""
    command = fake_command(key_file_text="{key}", key_file_suffix=".yaml")
    with launch(command, name="fake") as server:
        config = Path(server.api_key_file).with_name("engine_key.yaml")
        assert (server.api_key(), 0o600) == (config.read_text(), stat.S_IMODE(config.stat().st_mode))
    assert not config.exists()


def test_braces_in_arguments_stay_as_they_are():
    """Only the two placeholders are filled in: an argument may be JSON."""
    command = fake_command('--say={"a": {"b": "{c}"}}')
    with launch(command, name="fake") as server:
        assert '{"a": {"b": "{c}"}}' in server.read_log()


def test_an_unwritable_state_folder_is_said(monkeypatch, tmp_path):
    """A file stands where the folder should be: one clear line, nothing started."""
    blocked = tmp_path / "state"
    blocked.write_text("")
    with monkeypatch.context() as patch:
        patch.setenv("SEATRIAL_STATE", str(blocked))
        with pytest.raises(UsageError, match="cannot be written"):
            launch(fake_command(), name="fake")
