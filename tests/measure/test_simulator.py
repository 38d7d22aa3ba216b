"""The simulated engine itself: it listens on this machine only, and says what it is."""

import json
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from tests.simulator import running_simulator

from seatrial.simulator import FAULTS


def ask(url, body=None, key=None):
    """Status and JSON of a request."""
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())  # noqa: S310
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 -- loopback
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def start(*options):
    """Return the message and exit code of a program that does not start."""
    return subprocess.run(
        [sys.executable, "-m", "seatrial.simulator", *options], capture_output=True, text=True, check=False, timeout=30
    )


def test_answers_say_that_they_are_simulated():
    """The answer's text and its fingerprint say it."""
    with running_simulator("--ttft-s=0", "--tpot-s=0", "--model=ship") as server:
        asked = {"model": "ship", "messages": [{"role": "user", "content": "Ahoi there"}], "max_tokens": 5}
        status, answer = ask(f"{server.url}/v1/chat/completions", asked)
        listed = ask(f"{server.url}/v1/models")[1]["data"]
    assert (200, "simulated") == (status, answer["system_fingerprint"])
    assert answer["choices"][0]["message"]["content"] == "This answer is simulated: no"
    assert (5, 6) == (answer["usage"]["completion_tokens"], answer["usage"]["prompt_tokens"])
    assert [("ship", "seatrial-simulator")] == [(model["id"], model["owned_by"]) for model in listed]


def test_key(tmp_path):
    """With a key file every path but /health asks for the key."""
    key = tmp_path / "key"
    key.write_text("sesame\n")
    with running_simulator(f"--api-key-file={key}") as server:
        assert [401, 401, 200, 200] == [
            ask(f"{server.url}/v1/models")[0],
            ask(f"{server.url}/v1/models", key="wrong")[0],
            ask(f"{server.url}/v1/models", key="sesame")[0],
            ask(f"{server.url}/health")[0],
        ]


def test_not_ready_at_once():
    """Health says 503 until the time that was asked for."""
    with running_simulator("--ready-after-s=3600") as server:
        assert ask(f"{server.url}/health")[0] == 503


@pytest.mark.parametrize("body", [None, "text", {"model": "another", "messages": []}])
def test_bad_requests(body):
    """What is not a request for its model is refused in an engine's shape."""
    with running_simulator() as server:
        status, answer = ask(f"{server.url}/v1/chat/completions", body or [])
    assert status in {400, 404}
    assert answer["object"] == "error"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--host=0.0.0.0"], 2, "not a loopback address"),
        (["--host=::"], 2, "not a loopback address"),
        (["--api-key-file=/no/such/file"], 2, "cannot be read"),
        (["--fault=nonsense"], 2, "invalid choice"),
        (["--ttft-s=-1"], 2, "not a number of seconds"),
        (["--tokens-per-chunk=0"], 2, "not a whole number"),
    ],
)
def test_refusals(options, code, message):
    """It serves this machine only, and refuses options that make no sense."""
    done = start(*options)
    assert code == done.returncode
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_busy_port():
    """A taken port is an error with its number, as with an engine."""
    with running_simulator() as server:
        port = server.url.rpartition(":")[2]
        done = start(f"--port={port}")
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_help_lists_every_fault():
    """Whoever wants a fault finds it in the help."""
    said = start("--help").stdout
    assert [] == [fault for fault in FAULTS if f"  {fault} " not in said]


def test_termination_is_clean():
    """SIGTERM ends it with code 0, also in the middle of a stream."""
    with running_simulator("--ttft-s=0", "--fault=freeze") as server:
        asked = {"messages": [{"role": "user", "content": "Ahoi"}], "max_tokens": 50, "stream": True}
        request = urllib.request.Request(f"{server.url}/v1/chat/completions", json.dumps(asked).encode())  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310 -- loopback
            answer.readline()
            server.process.terminate()
            assert server.process.wait(timeout=20) == 0
