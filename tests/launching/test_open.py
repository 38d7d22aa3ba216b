"""A server is opened by auto, name or URL, and closed only by the process that launched it."""

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.server.conftest import fake_command

from seatrial.errors import Interrupted, MeasurementError, UsageError
from seatrial.hardware import detect_hardware
from seatrial.launching import launch
from seatrial.launching.open import close_server, open_server, served_plan, server_document
from seatrial.launching.this_machine import plan_for, plan_here
from seatrial.measure.ask import ask
from seatrial.measure.target import RemoteServer
from seatrial.plan import make_plan
from seatrial.server import find_server, list_servers
from seatrial.server.running import NotLaunched
from seatrial.view import show_log, show_server, show_stopped

OPEN = """
    import sys
    from seatrial.hardware import detect_hardware
    from seatrial.launching.open import open_server
    from seatrial.plan import make_plan
    plan = make_plan("flash", hardware=detect_hardware(), engine="simulated", context_tokens=2048, concurrency=4)
    server = open_server("auto", plan, keep={keep})
    print(server.name, flush=True)
    {wait}
"""
WAIT, LEAVE = "sys.stdin.read()", "pass"


def simulated(**changes):
    """Return a plan of this machine that needs no model."""
    return make_plan("flash", hardware=detect_hardware(), engine="simulated", **{"context_tokens": 2048} | changes)


@pytest.fixture
def remote():
    """Serve paths with the given JSON, or bytes, or status: an OpenAI-compatible server of somebody else."""
    started, heard = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer()

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer()

        def answer(self):
            heard.append((self.path, self.headers.get("Authorization")))
            found = self.server.pages.get(self.path, 404)
            if self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
                found = 401
            content = (
                b"{}" if isinstance(found, int) else found if isinstance(found, bytes) else json.dumps(found).encode()
            )
            self.send_response(found if isinstance(found, int) else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Stay quiet."""

    def start(pages, key=None):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.pages, server.key, server.heard = pages, key, heard
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    start.heard = heard
    yield start
    for server in started:
        server.shutdown()
        server.server_close()


MODELS = {"data": [{"id": "their-model"}, {"id": "another"}]}
CHAT = {"choices": [{"message": {"content": "Because."}}], "usage": {"completion_tokens": 2}}


def test_auto_launches_and_the_next_auto_takes_that():
    """The launch cell run again: one server, still this process's; closed, it is gone and proven gone."""
    events = []
    opened = open_server("auto", simulated())
    again = open_server("auto", simulated(), on_event=lambda event: events.append(event.phase))
    assert (opened, True, ["already running"]) == (again, again.ours, events)
    closed = close_server(again)
    assert (0, True, "", ()) == (
        closed.stopped.processes_left,
        closed.stopped.port_free,
        closed.left_running,
        closed.others,
    )
    assert [] == list_servers()
    assert not close_server(again).stopped.was_running


def test_auto_takes_a_server_with_more_context(another_process):
    """What another process launched serves a smaller wish; closing it leaves it running, and says who ends it."""
    other = another_process(OPEN.format(keep=False, wait=WAIT))
    assert "flash\n" == other.stdout.readline()
    opened = open_server("auto", simulated(context_tokens=1024, concurrency=8))
    assert ("flash", False) == (opened.name, opened.ours)
    assert (2048, 4) == (served_plan(opened, simulated()).context_tokens, served_plan(opened, simulated()).concurrency)
    assert "Already running, " in show_server(opened).to_text()
    assert "2,048 tokens of context, 4 requests at once; more wait" in show_server(opened).to_text()
    closed = close_server(opened)
    assert closed.stopped is None
    assert f"it was here before; it ends with the process that launched it (pid {other.pid})" == closed.left_running
    assert "Stop it with: seatrial stop flash" in show_stopped(closed).to_text()
    assert opened.running


def test_auto_does_not_take_a_smaller_context(another_process):
    """Answers would be cut: both are shown instead."""
    other = another_process(OPEN.format(keep=False, wait=WAIT))
    assert "flash\n" == other.stdout.readline()
    with pytest.raises(UsageError, match="the context: 2,048 tokens, not 4,096"):
        open_server("auto", simulated(context_tokens=4096))


def test_a_kept_server_is_handed_over(another_process):
    """Kept by one process, used by the next, and still there after it."""
    other = another_process(OPEN.format(keep=True, wait=LEAVE))
    assert "flash\n" == other.stdout.readline()
    other.wait(30)
    opened = open_server("auto", simulated())
    closed = close_server(opened)
    assert ("it was here before", True) == (closed.left_running, opened.running)
    assert not opened.abandoned


def test_keep_leaves_what_was_launched_here():
    """The server goes on; how to stop it is said."""
    opened = open_server("auto", simulated(), keep=True)
    closed = close_server(opened)
    assert ("it is kept, as asked", "Stop it with: seatrial stop flash") == (closed.left_running, closed.remedy)
    assert opened.running


def test_keep_said_at_the_second_run_keeps_it():
    """A person changes the parameter and runs the cell again."""
    open_server("auto", simulated())
    opened = open_server("auto", simulated(), keep=True)
    assert close_server(opened).stopped is None


def test_the_proof_names_what_else_this_process_owns():
    """Zero processes left is said only if nothing else of this process runs: an engine, its child, its lease's shell."""
    opened = open_server("auto", simulated())
    other = launch(fake_command("--children=1"), name="another")
    closed = close_server(opened)
    shown = show_stopped(closed).to_text()
    assert f"another (pid {other.pid}, 3 processes, " in closed.others[0]
    assert "0 processes left" not in shown
    assert "flash has no process left" in shown
    assert "This notebook launched others that still run:" in shown
    assert "Stop them with: seatrial stop another" in shown
    other.stop()
    assert "0 processes left" in show_stopped(close_server(opened)).to_text()


def test_a_server_by_its_name():
    """Whatever it serves; its plan is the one it was launched with, none for a command."""
    launch(fake_command(), name="mine")
    opened = open_server("mine", simulated())
    assert ("mine", None) == (opened.name, served_plan(opened, simulated()))


def test_a_name_that_does_not_run_names_those_that_do():
    """Also one that has ended; nothing is launched."""
    launch(fake_command(), name="ended").stop()
    with pytest.raises(
        UsageError, match=r"No server named 'ended' runs.*\n.*None runs\. server = \"auto\" launches one"
    ):
        open_server("ended", simulated())
    launch(fake_command(), name="mine")
    for name in ("ended", "../x", "", "Mine", "a" * 500, "auto2"):
        with pytest.raises(UsageError, match=r"These run: mine \(fake-model\)"):
            open_server(name, simulated())
    assert ["mine"] == [server.name for server in list_servers()]


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"server": ["auto"]}, "parameter server"),
        ({"keep": "perhaps"}, "parameter keep"),
        ({"keep": None}, "parameter keep"),
        ({"keep": 2}, "parameter keep"),
        ({"api_key_env": {}}, "parameter api_key_env"),
        ({"api_key_env": "KEY"}, "api_key_env names the variable"),
        ({"server": "http://169.254.169.254"}, "metadata"),
        ({"server": "http://user:pw@127.0.0.1:1"}, "user name or password"),
        ({"server": "ftp://127.0.0.1"}, "not an http or https URL"),
        ({"server": "http:127.0.0.1"}, "not an http or https URL"),
        ({"server": "http://127.0.0.1:1", "api_key_env": "NO_SUCH_VARIABLE"}, "is not set"),
        ({"server": "http://127.0.0.1:1", "api_key_env": "sk-0123456789"}, "is not set"),
    ],
)
def test_bad_values_are_said_before_anything_is_launched(choices, words):
    """The parameter is named, a key somebody typed is not repeated, and nothing runs."""
    with pytest.raises(UsageError, match=words) as caught:
        open_server(**{"server": "auto", "plan": simulated(), **choices})
    assert "sk-0123456789" not in str(caught.value)
    assert [] == list_servers(ended=True)


@pytest.mark.parametrize("keep", [True, "true", "yes", 1, "1"])
def test_keep_as_papermill_gives_it(keep):
    """A word or a number for true."""
    assert open_server("auto", simulated(), keep=keep).keep_running


def test_a_url_is_asked_for_its_models(remote, monkeypatch):
    """The models are shown, the first is asked for, the key comes from its variable and is stored nowhere."""
    monkeypatch.setenv("THEIR_KEY", "a-secret-of-theirs")
    url = remote({"/v1/models": MODELS, "/v1/chat/completions": CHAT}, key="a-secret-of-theirs")
    opened = open_server(f"{url}/v1", simulated(), keep=True, api_key_env="THEIR_KEY")
    assert RemoteServer(url, ("their-model", "another"), "THEIR_KEY") == opened
    assert "Because." == ask(opened, "Why?").text
    assert None is served_plan(opened, simulated())
    closed = close_server(opened)
    assert "it was not launched by this kit" == closed.left_running
    texts = [
        str(show(value).to_text())
        for show, value in ((show_server, opened), (show_log, opened), (show_stopped, closed))
    ]
    assert "their-model, another" in texts[0]
    document = server_document(opened, closed)
    assert (url, False, "Not launched by this kit.") == (document["url"], document["launched"], document["why"])
    assert "a-secret-of-theirs" not in "".join([*texts, json.dumps(document), repr(opened)])
    assert [] == list_servers(ended=True)


def test_a_url_without_its_key_is_refused(remote):
    """What asks for a key is said, with where to name it."""
    with pytest.raises(UsageError, match="asks for an API key") as caught:
        open_server(remote({"/v1/models": MODELS}, key="a-secret"), simulated())
    assert "api_key_env" in caught.value.remedy


def test_a_url_without_a_list_of_models(remote):
    """It is opened all the same: whoever asks names the model."""
    opened = open_server(remote({"/v1/chat/completions": CHAT}), simulated())
    assert ((), None) == (opened.models, opened.model)
    assert "none: it has no list" in show_server(opened).to_text()
    with pytest.raises(UsageError, match="lists no model"):
        ask(opened, "Why?")
    assert "Because." == ask(opened, "Why?", model="theirs").text


@pytest.mark.parametrize("page", [b"<html>", 500, b"", 302])
def test_a_url_that_is_something_else(remote, page):
    """A page, an error, nothing, a redirect: one error, and nothing is launched instead."""
    with pytest.raises(MeasurementError, match=r"127\.0\.0\.1"):
        open_server(remote({"/v1/models": page}), simulated())
    assert [] == list_servers(ended=True)


@pytest.mark.parametrize("document", [{}, [], {"data": None}, {"data": [{"id": None}, 3, {"id": "a\x1b[31m"}]}])
def test_an_odd_list_of_models(remote, document):
    """Is shown without control characters, or as none."""
    shown = show_server(open_server(remote({"/v1/models": document}), simulated())).to_text()
    assert "\x1b" not in shown


def test_nobody_at_the_url():
    """A closed port is said."""
    with pytest.raises(MeasurementError, match="does not answer"):
        open_server("http://127.0.0.1:9", simulated())


def test_the_url_of_our_own_server_is_that_server():
    """Its key is known: nobody needs to name one."""
    own = launch(fake_command(), name="mine")
    assert own == open_server(f"{own.url}/v1/", simulated())


def test_plans_are_those_of_what_runs():
    """Beside a running server that holds memory the plan is the server's own, for auto engine and smaller contexts."""
    assert not plan_here("tiny-v4", engine="llamacpp").simulated
    kept = simulated()
    launch(kept)
    assert kept == plan_here("flash", engine="simulated", context_tokens=1024)
    assert kept == plan_for("auto", "flash", engine="simulated")
    assert 4096 == plan_here("flash", engine="simulated", context_tokens=4096).context_tokens
    assert "simulated" != plan_for("auto", "flash").engine
    assert "h200x4" == plan_for("h200x4", "flash", engine="simulated").hardware.name


def test_a_server_of_one_purpose_is_not_taken():
    """What a tuning launches ends with it."""
    launch(simulated(), name="tune-1", shared=False)
    assert "flash" == open_server("auto", simulated()).name


def test_an_interrupt_while_it_starts_is_no_error():
    """Stopped by you, in one line, and nothing is left running."""

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        open_server("auto", simulated(), on_event=interrupt)
    assert 1 == len(caught.value._render_traceback_())
    assert [] == list_servers()


def test_what_ended_meanwhile_is_not_left_running(another_process):
    """A server that somebody stopped since it was opened: its end is proven."""
    other = another_process(OPEN.format(keep=False, wait=WAIT))
    assert "flash\n" == other.stdout.readline()
    opened = open_server("auto", simulated())
    find_server("flash").stop()
    assert 0 == close_server(opened).stopped.processes_left


def test_a_named_machine_is_not_launched_on():
    """Its command is exact, but it is not here."""
    outcome = open_server("auto", plan_for("h200x4", engine="sglang"))
    assert isinstance(outcome, NotLaunched)
    assert "a machine you named" in outcome.why
    assert "Nothing was launched" in repr(outcome)
    assert outcome is close_server(outcome)


def test_what_does_not_run_here_is_not_launched(monkeypatch, tmp_path):
    """Pro in FP8 on this machine with vLLM: said, with the change that would help."""
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    plan = plan_for("auto", "pro", engine="vllm")
    if plan.runs:
        pytest.skip("this machine runs Pro")
    outcome = open_server("auto", plan)
    assert isinstance(outcome, NotLaunched)
    assert "does not run on this machine" in outcome.why


def test_a_checkpoint_that_was_not_fetched_is_not_launched(monkeypatch, tmp_path, require):
    """The fetch command is the remedy."""
    require("xllamacpp")
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    roomy = replace(detect_hardware("cpu", host_memory_gib=400), origin="measured")
    outcome = open_server("auto", make_plan("flash", hardware=roomy, engine="llamacpp"))
    assert isinstance(outcome, NotLaunched)
    assert "seatrial fetch" in outcome.remedy


def test_what_a_record_keeps_of_nothing():
    """A server that was not launched is recorded as such, with the reason."""
    nothing = NotLaunched("No GPU.", "Rent one.")
    document = server_document(nothing, close_server(nothing))
    assert (False, "No GPU.") == (document["launched"], document["why"])


@pytest.mark.engine
def test_what_a_record_keeps_of_a_server(require):
    """Where it answered, and the proof that it is gone; never the key."""
    require("xllamacpp")
    require("stand-in model")
    server = open_server("auto", plan_here("smollm2", engine="llamacpp", context_tokens=512))
    key = server.api_key()
    document = server_document(server, close_server(server))
    assert (True, True, 0) == (document["launched"], document["stand_in"], document["stopped"]["processes_left"])
    assert key not in str(document)


@pytest.mark.parametrize(
    ("machine", "engine", "setting", "says", "why"),
    [
        ("rtx4090x1", "llamacpp", "SEATRIAL_LLAMA_SERVER", "version: 8145 (abc)", "b9840 or newer"),
        ("h200x4", "sglang", "SEATRIAL_SGLANG_PYTHON", "\n0.4.0", "sglang 0.4.0 is installed"),
    ],
)
def test_an_engine_that_is_too_old_is_not_launched(monkeypatch, tmp_path, machine, engine, setting, says, why):  # noqa: PLR0913, PLR0917 -- one case
    """As with one that is missing: said, with the remedy; on GPUs the build that can use them is asked."""
    program = tmp_path / "engine"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv(setting, str(program))
    monkeypatch.setattr("sys.platform", "linux")
    named = detect_hardware(machine, host_memory_gib=192)
    plan = make_plan("flash", hardware=replace(named, origin="measured"), engine=engine)
    assert plan.runs
    outcome = open_server("auto", plan)
    assert isinstance(outcome, NotLaunched)
    assert why in outcome.why
