"""serve, ps, logs and stop as a person or a program runs them, on the real engine."""

import json
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest
from tests.server.conftest import end_everything, fake_command, launched_processes, until

from seatrial.cli.main import main
from seatrial.launching import launch
from seatrial.server import list_servers

SERVE = ("serve", "--model=smollm2")
DOCUMENT = {"name", "url", "model", "pid", "port", "api_key_file", "log", "ready_after_s"}


@pytest.fixture(autouse=True)
def nothing_left():
    """End every engine process after each test."""
    yield
    end_everything()


@pytest.fixture
def seatrial():
    """Return a function that starts the command line in a process of its own."""
    started = []

    def run(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "seatrial", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def stand_in(require):
    """Require the stand-in model and its engine."""
    require("xllamacpp")
    require("stand-in model")


def read_document(process):
    """Return the JSON document that a process prints while it runs on."""
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            return json.loads(text)
    return pytest.fail(f"no document: {text}{process.stderr.read()}")


@pytest.mark.engine
@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_server_in_the_foreground_ends_with_ctrl_c(seatrial, number):
    """The document comes when it is ready; Ctrl-C, TERM or a closed terminal stops it, proves it, and is no error."""
    process = seatrial(*SERVE, "--json")
    document = read_document(process)
    assert set(document) >= DOCUMENT
    assert document["stand_in"]
    assert psutil.pid_exists(document["pid"])
    process.send_signal(number)
    rest, messages = process.communicate(timeout=30)
    assert (0, "") == (process.returncode, rest)
    assert "no process left" in messages
    assert [] == launched_processes()


@pytest.mark.engine
@pytest.mark.usefixtures("stand_in")
def test_a_kept_server_is_listed_read_and_stopped_from_elsewhere(seatrial, capsys):
    """--keep-running returns; ps, logs and stop work from other processes."""
    process = seatrial(*SERVE, "--json", "--keep-running", "--name=kept")
    out, _ = process.communicate(timeout=60)
    document = json.loads(out)
    assert (0, "kept") == (process.returncode, document["name"])
    assert 0 == main(["ps", "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert ("kept", "ready", document["pid"]) == (row["name"], row["state"], row["pid"])
    assert (0, 0) == (row["metrics"]["running"], row["metrics"]["waiting"])
    assert 0 == main(["logs", "kept", "--json", "--lines=400"])
    assert any("model loaded" in line for line in json.loads(capsys.readouterr().out)["lines"])
    assert 0 == main(["stop", "kept", "--json"])
    (proof,) = json.loads(capsys.readouterr().out)["stopped"]
    assert (True, 0, True) == (proof["port_free"], proof["processes_left"], proof["was_running"])
    assert 0 == main(["ps", "--json"])
    assert [] == json.loads(capsys.readouterr().out)


@pytest.mark.engine
@pytest.mark.usefixtures("stand_in")
def test_serving_what_runs_already_shows_it(seatrial, capsys):
    """The same wish is no error and starts nothing; another one under the name is refused, with both shown."""
    process = seatrial(*SERVE, "--json", "--keep-running")
    document = json.loads(process.communicate(timeout=60)[0])
    for words in ([], ["--keep-running"]):
        again = seatrial(*SERVE, *words)
        out, messages = again.communicate(timeout=60)
        assert 0 == again.returncode, messages
        assert f"is already running at {document['url']}/v1" in out
        assert f"stop      seatrial stop {document['name']}" in out
    other = seatrial(*SERVE, "--concurrency=3")
    _, messages = other.communicate(timeout=60)
    assert 2 == other.returncode
    assert "the requests at once: 1, not 3" in messages
    assert "Traceback" not in messages
    assert 0 == main(["ps", "--json"])
    assert [document["pid"]] == [row["pid"] for row in json.loads(capsys.readouterr().out)]
    assert 0 == main(["stop", "--all"])


@pytest.mark.engine
@pytest.mark.usefixtures("stand_in")
def test_a_killed_foreground_leaves_no_engine(seatrial):
    """SIGKILL gives no chance to clean up: the lease does."""
    process = seatrial(*SERVE, "--json")
    read_document(process)
    process.kill()
    until(lambda: not launched_processes(), "the end of the engine")


@pytest.mark.engine
@pytest.mark.usefixtures("stand_in")
def test_a_server_that_crashes_in_the_foreground_is_an_engine_failure(seatrial):
    """Exit code 4, with the cause."""
    process = seatrial(*SERVE, "--json")
    os.kill(read_document(process)["pid"], signal.SIGSEGV)
    _, messages = process.communicate(timeout=30)
    assert 4 == process.returncode
    assert "SIGSEGV" in messages
    assert "Traceback" not in messages


@pytest.mark.engine
@pytest.mark.usefixtures("stand_in")
def test_a_server_stopped_from_another_terminal_ends_the_foreground(seatrial):
    """Stopped on purpose is no failure."""
    process = seatrial(*SERVE, "--json")
    assert 0 == main(["stop", read_document(process)["name"]])
    _, messages = process.communicate(timeout=30)
    assert 0 == process.returncode
    assert "was stopped" in messages


@pytest.mark.engine
@pytest.mark.usefixtures("stand_in")
def test_a_plan_file_is_served(tmp_path, capsys):
    """What plan --json printed can be launched; its argv is not taken over."""
    assert 0 == main(["plan", "--model=smollm2", "--context-tokens=1024", "--concurrency=2", "--json"])
    document = json.loads(capsys.readouterr().out) | {"argv": ["/bin/false"], "env": {"LD_PRELOAD": "x"}}
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(document))
    assert 0 == main(["serve", f"--plan={file}", "--keep-running", "--json"])
    (server,) = list_servers()
    words = psutil.Process(server.pid).cmdline()
    assert "--ctx-size=2048" in words
    assert "/bin/false" not in words


@pytest.mark.engine
def test_a_plan_file_with_a_drafter_is_served(require, tmp_path, capsys):
    """The tiny pair: serve makes both files, starts the drafter the plan names, and the server counts what it drafts."""
    require("xllamacpp")
    assert 0 == main(["plan", "--model=tiny-v4", "--drafter=auto", "--draft-tokens=2", "--json"])
    file = tmp_path / "plan.json"
    file.write_text(capsys.readouterr().out)
    assert 0 == main(["serve", f"--plan={file}", "--keep-running", "--json"])
    name = json.loads(capsys.readouterr().out)["name"]
    words = ["--requests=2", "--concurrency=1", "--prompt-tokens=16", "--answer-tokens=24", "--json"]
    main(["measure", f"--server={name}", *words])  # on a busy machine the client may find itself late
    (point,) = json.loads(capsys.readouterr().out)
    assert 24 < point["drafted_tokens"]
    assert 1 <= point["acceptance_length"] <= 3


@pytest.mark.usefixtures("stand_in")
def test_a_busy_port_is_bad_usage(capsys):
    """Exit code 2, with the owner, before anything starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert 2 == main([*SERVE, f"--port={taken.getsockname()[1]}"])
    assert f"pid {os.getpid()}" in capsys.readouterr().err


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--model=smolm2"], 2, "smollm2"),
        (["--port=70000"], 2, "65,535"),
        (["--port=x"], 2, "whole number"),
        (["--name=../x"], 2, "cannot name a server"),
        (["--runner=ollama"], 2, "runner"),
        (["--plan=/no/such/plan.json"], 2, "cannot be read"),
        (["--plan=p", "--model=pro", "--tensor-parallel=2"], 2, "--plan decides what --model, --tensor-parallel would"),
        (["--model=pro", "--hardware=rtx4090x1", "--host-memory-gib=32"], 3, ""),
        (["--stall-limit-s=0"], 2, "above 0"),
        (["--no-such-option"], 2, "no-such-option"),
    ],
)
def test_bad_usage_starts_nothing(capsys, words, code, message):
    """One clear message with the contract's exit code, no traceback, no record."""
    given = words if any(word.startswith(("--model", "--plan")) for word in words) else ["--model=smollm2", *words]
    assert code == main(["serve", *given])
    printed = capsys.readouterr()
    assert message in printed.err
    assert "" == printed.out
    assert "Traceback" not in printed.err
    assert [] == list_servers(ended=True)


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--name=../x"], 2), (["--name=taken"], 2), (["--runner=ollama"], 2), (["--runner=llama-server"], 4)],
)
def test_nothing_is_downloaded_for_a_launch_that_cannot_be(monkeypatch, tmp_path, require, words, code):
    """Bad usage and a missing program are reported before the stand-in is fetched."""
    require("xllamacpp")
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    monkeypatch.setenv("SEATRIAL_LLAMA_SERVER", "/nowhere/llama-server")
    with launch(fake_command(), name="taken"):
        assert code == main(["serve", "--model=smollm2", "--hardware=cpu", "--engine=llamacpp", *words])
    assert [] == list(tmp_path.iterdir())


def test_nothing_is_downloaded_for_a_port_that_is_taken(monkeypatch, tmp_path, require):
    """The owner of the port is reported before the stand-in is fetched."""
    require("xllamacpp")
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert 2 == main(["serve", "--model=smollm2", "--hardware=cpu", "--engine=llamacpp", f"--port={port}"])
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 3}', "not json"])
def test_a_plan_file_that_is_none_is_bad_usage(tmp_path, capsys, content):
    """The message names the wrong field or position, without a traceback."""
    file = tmp_path / "plan.json"
    file.write_text(content)
    assert 2 == main(["serve", f"--plan={file}"])
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [["stop"], ["stop", "a", "--all"], ["logs", "a", "-f", "--json"], ["logs"]])
def test_unclear_words_are_bad_usage(words):
    """Nothing is guessed."""
    assert 2 == main(words)


@pytest.mark.parametrize("command", ["stop", "logs"])
def test_an_unknown_server_names_the_nearest(command, capsys):
    """A typing mistake lists what there is."""
    with launch(fake_command(), name="harbour"):
        assert 2 == main([command, "harbor"])
    assert "harbour" in capsys.readouterr().err


def test_no_server_is_no_error(capsys):
    """Ps and stop --all on an empty machine."""
    assert 0 == main(["ps"])
    assert 0 == main(["stop", "--all"])
    assert "No server runs" in capsys.readouterr().out


def test_ps_shows_a_server_that_hangs(capsys):
    """A server that runs and does not answer is shown as one that hangs."""
    with launch(fake_command(), name="stuck") as server:
        os.kill(server.pid, signal.SIGSTOP)
        assert 0 == main(["ps"])
        assert "hangs: runs but does not answer" in " ".join(capsys.readouterr().out.split())


def test_stop_all_stops_everything(capsys):
    """Two servers, one word."""
    launch(fake_command(), name="one", keep_running=True)
    launch(fake_command(), name="two", keep_running=True)
    assert 0 == main(["stop", "--all", "--json"])
    assert 2 == len(json.loads(capsys.readouterr().out)["stopped"])
    assert [] == launched_processes()


def test_stop_takes_several_names(capsys):
    """Each is stopped once, in the order named; others run on."""
    for name in ("one", "two", "three"):
        launch(fake_command(), name=name)
    assert 0 == main(["stop", "two", "one", "two", "--json"])
    assert ["two", "one"] == [proof["name"] for proof in json.loads(capsys.readouterr().out)["stopped"]]
    assert ["three"] == [server.name for server in list_servers()]


def test_stop_names_what_still_runs(capsys):
    """No process left of one server is not all there is to say."""
    for name in ("one", "two"):
        launch(fake_command(), name=name)
    assert 0 == main(["stop", "two"])
    assert "two stopped" in (said := capsys.readouterr().out)
    assert "Still running: one." in said


def test_an_unknown_name_keeps_no_other_server_running(capsys):
    """The others are stopped and proven gone; the exit code and the message are the unknown ones'."""
    launch(fake_command(), name="harbour")
    assert 2 == main(["stop", "harbor", "harbour", "quay", "--json"])
    printed = capsys.readouterr()
    assert ["harbour"] == [proof["name"] for proof in json.loads(printed.out)["stopped"]]
    assert "Unknown server 'harbor'." in printed.err
    assert "Unknown server 'quay'." in printed.err
    assert [] == list_servers()


@pytest.mark.parametrize("words", [[], ["harbour", "--all"]])
def test_stop_wants_names_or_all(words, capsys):
    """With neither or both nothing is stopped."""
    with launch(fake_command(), name="harbour") as server:
        assert 2 == main(["stop", *words])
        assert server.running
    assert "Name the servers, or give --all." in capsys.readouterr().err


def test_logs_escape_what_a_terminal_would_obey(capsys):
    """An engine's log cannot move the cursor of who reads it."""
    with launch(fake_command("--say=\x1b[2Jgone \u202etxt"), name="loud"):
        assert 0 == main(["logs", "loud"])
    assert "\\x1b[2Jgone \\u202etxt\n" == capsys.readouterr().out


def test_following_a_log_ends_with_the_server(seatrial):
    """Logs -f gives what is there and what comes, and returns when the server has ended."""
    with launch(fake_command("--say=first words", "--healthy-after-s=0.5"), name="followed"):
        process = seatrial("logs", "followed", "-f")
        assert "first words\n" == process.stdout.readline()
    rest = process.stdout.read()
    assert 0 == process.wait(timeout=30)
    assert "loading part" in rest


def test_ctrl_c_leaves_a_followed_log(seatrial):
    """It stops the following, not the server."""
    with launch(fake_command("--say=first words"), name="followed") as server:
        process = seatrial("logs", "followed", "-f")
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert (0, True) == (process.returncode, server.alive())


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--nodes=2",), 3, "An engine is launched on this machine only, and 2 machines were asked for."),
        (("--runner=nonsense",), 2, "Unknown llama.cpp runner 'nonsense'."),
        (("--runner=xllamacpp",), 2, "The runner xllamacpp runs llama.cpp, and the plan is for simulated."),
        (("--expose",), 2, "--expose lets --host be an address that other machines reach"),
        (("--host-memory-gib=64",), 2, "--host-memory-gib is for a machine that is only named"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(words, code, says, capsys):
    """Nothing is launched as if nothing had been said; the message says what to do."""
    assert code == main(["serve", "--engine=simulated", "--model=smollm2", *words])
    message = capsys.readouterr().err
    assert says in message
    assert 2 <= len(message.splitlines())
    assert [] == list_servers(ended=True)


def test_a_plan_for_several_machines_is_not_launched_on_one(tmp_path, capsys):
    """Nor if it comes from a file."""
    file = tmp_path / "plan.json"
    assert 0 == main(["plan", "--engine=simulated", "--model=smollm2", "--json"])
    file.write_text(json.dumps({**json.loads(capsys.readouterr().out), "nodes": 2}))
    assert 3 == main(["serve", f"--plan={file}"])
    assert "2 machines were asked for" in capsys.readouterr().err
