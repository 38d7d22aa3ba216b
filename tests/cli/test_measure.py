"""``seatrial measure``: points as JSON, a table for people, and the contract's exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from tests.simulator import running_simulator

SMALL = ("--concurrency", "1,2", "--requests", "4", "--prompt-tokens", "48", "--answer-tokens", "12")
CALM = ("--ttft-s=0.05", "--tpot-s=0.05")
"""Slow tokens: a busy test machine does not make the client's self-check fail."""


@pytest.fixture
def measure():
    """Run the command in a process of its own."""

    def run(*words, **environment):
        return subprocess.run(
            [sys.executable, "-m", "seatrial", "measure", *words],
            env={**os.environ, "COLUMNS": "100", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_json_is_a_list_of_points(measure):
    """One document: a point for each level, with every field of the contract; nothing else on stdout."""
    with running_simulator(*CALM) as server:
        done = measure("--url", server.url, *SMALL, "--slo-ttft-s", "60", "--json")
    points = json.loads(done.stdout)
    assert [1, 2] == [point["concurrency"] for point in points]
    for point in points:
        assert {"sent": 4, "succeeded": 4, "failed": 0, "errors": {}, "retries": 0, "reasons": {}} == point["requests"]
        for name in ("ttft_s", "ttft_from_schedule_s", "ttfo_s", "tpot_s", "chunk_gap_s", "e2e_s"):
            assert {"mean", "p50", "p90", "p99"} == set(point[name])
        assert point["ttft_s"]["p99"] is None
        assert point["ttft_s"]["p50"] >= 0.05
        assert ("usage", 1.0) == (point["token_source"], point["tokens_per_chunk"])
        assert point["goodput_per_s"] > 0
        assert point["output_tokens_per_s"] > point["output_tokens_per_s_whole_run"] * 0.9
        check = {
            "loop_lag_p99_s",
            "cpu_share",
            "dispatch_delay_p99_s",
            "valid",
            "why",
            "ttft_error_s",
            "tpot_error_s",
            "warnings",
        }
        assert check == set(point["self_check"])
    assert (0 if all(point["self_check"]["valid"] for point in points) else 5) == done.returncode


def test_table(measure):
    """People get a row a level; model and address are in the title, progress on stderr."""
    with running_simulator(*CALM, "--model=ship") as server:
        done = measure("--url", f"{server.url}/v1", *SMALL)
    assert f"ship at {server.url}" in done.stdout
    assert "2 streams" in done.stdout
    assert "2 streams" in done.stderr


def test_open_loop(measure):
    """With a rate the point names the rate, and latency counts from the schedule."""
    with running_simulator(*CALM) as server:
        words = ("--url", server.url, "--rate", "40", "--requests", "8", "--answer-tokens", "4", "--json")
        done = measure(*words)
    point = json.loads(done.stdout)[0]
    assert (None, 40.0, 8) == (point["concurrency"], point["rate"], point["requests"]["succeeded"])


def test_key_from_the_environment(measure, tmp_path):
    """The key comes from the environment variable that is named, and shows nowhere."""
    key = tmp_path / "key"
    key.write_text("open-sesame-42")
    with running_simulator(*CALM, f"--api-key-file={key}") as server:
        words = ("--url", server.url, "--concurrency", "1", "--requests", "1", "--answer-tokens", "4", "--json")
        done = measure(*words, "--api-key-env", "SHIP_KEY", SHIP_KEY="open-sesame-42")
        refused = measure(*words)
    assert json.loads(done.stdout)[0]["requests"]["succeeded"] == 1
    assert "open-sesame-42" not in done.stdout + done.stderr
    assert (2, "") == (refused.returncode, refused.stdout)
    assert "asks for an API key" in refused.stderr


def test_no_request_succeeds(measure):
    """Exit code 5, the points nevertheless, and the kinds of failure."""
    with running_simulator("--fault=http_500") as server:
        done = measure("--url", server.url, *SMALL, "--json")
    points = json.loads(done.stdout)
    assert (5, [{"http_500": 4}]) == (done.returncode, [point["requests"]["errors"] for point in points])
    assert "none of 4 requests succeeded (http_500 x4: HTTP 500: " in done.stderr


def requests_of(url):
    """Return the requests that a simulator has had so far."""
    with urllib.request.urlopen(f"{url}/metrics") as reply:  # noqa: S310 -- a server of this test
        text = reply.read().decode()
    return next(int(line.split()[-1]) for line in text.splitlines() if line.startswith("simulated_requests_total"))


def interrupted(url, *words):
    """Run the command, press Ctrl-C once the server has answered a few requests, and return what it says."""
    command = [sys.executable, "-m", "seatrial", "measure", "--url", url, *words]
    environment = {**os.environ, "COLUMNS": "100"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        deadline = time.monotonic() + 60
        while requests_of(url) < 20:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


def test_an_interrupt_shows_what_was_measured():
    """Ctrl-C is a stop: the table of what came until then, exit code 130, no traceback."""
    with running_simulator("--ttft-s=0.01", "--tpot-s=0.01") as server:
        words = ("--concurrency", "1", "--requests", "100000", "--answer-tokens", "8", "--prompt-tokens", "32")
        code, stdout, stderr = interrupted(server.url, *words)
    assert 130 == code
    assert "Stopped by you." in stderr
    assert "partial" in stdout
    assert "Stopped before its end." in stdout
    assert "Traceback" not in stdout + stderr


def test_nobody_answers(measure):
    """Exit code 5, one message with the address and what to check, no traceback."""
    with running_simulator() as server:
        url = server.url
    done = measure("--url", url)
    assert (5, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(f"seatrial: {url} cannot be measured: unreachable")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "ne of the arguments --url --server is required"),
        (("--url", "http://127.0.0.1:1", "--server", "x"), "not allowed with"),
        (("--url", "http://2852039166/"), "metadata"),
        (("--url", "file:///etc/passwd"), "not an http or https URL"),
        (("--url", "http://a:b@127.0.0.1"), "user name or password"),
        (("--url", "http://127.0.0.1:1", "--api-key-env", "NO_SUCH_VARIABLE"), "is not set"),
        (("--url", "http://127.0.0.1:1", "--concurrency", "1,x"), "'x' is not a whole number"),
        (("--url", "http://127.0.0.1:1", "--concurrency", "1,-4"), "'-4' is not a whole number"),
        (("--url", "http://127.0.0.1:1", "--concurrency", ",".join("1" * 40)), "more than 32 load levels"),
        (("--url", "http://127.0.0.1:1", "--rate", "nan"), "'nan' is not a number"),
        (("--url", "http://127.0.0.1:1", "--rate", "1", "--concurrency", "1"), "not allowed with"),
        (("--url", "http://127.0.0.1:1", "--requests", "-1"), "'-1' is not a whole number"),
        (("--url", "http://127.0.0.1:1", "--rate", "1,x"), "'x' is not a number"),
        (("--url", "http://127.0.0.1:1", "--prompt-tokens", "1000,0"), "'0' is not a whole number"),
        (("--url", "http://127.0.0.1:1", "--arrivals", "ramp"), "arrivals ramp goes with a rate"),
        (("--url", "http://127.0.0.1:1", "--prefix", "some"), "invalid choice: 'some'"),
        (("--url", "http://127.0.0.1:1", "--prefix", "shared", "--shared-share", "1"), "shared_share is 1"),
        (("--url", "http://127.0.0.1:1", "--replay", "/no/such/trace.csv"), "trace.csv cannot be read: No such file"),
        (("--url", "http://127.0.0.1:1", "--replay", "/"), "is no file"),
        (("--url", "http://127.0.0.1:1", "--replay", "x", "--rate", "1"), "not allowed with"),
        (("--url", "http://127.0.0.1:1", "--replay", "x", "--find-knee"), "find_knee would change"),
        (("--url", "http://127.0.0.1:1", "--speed-up", "2"), "speed_up goes with a replay"),
        (("--url", "http://127.0.0.1:1", "--find-knee", "--prompt-tokens", "1,2"), "raises one kind of load"),
        (("--url", "http://127.0.0.1:1", "--reasoning", "maybe"), "invalid choice: 'maybe'"),
        (("--url", "http://127.0.0.1:1", "--repeat", "0"), "'0' is not a whole number from 1 to 30"),
        (("--url", "http://127.0.0.1:1", "--ignore-eos"), "ignore_eos is not known to work with an unknown engine"),
        (("--url", "http://127.0.0.1:1", "--concurrency", "16", "--requests", "3"), "cannot keep 16 streams busy"),
        (("--server", "nobody"), "Unknown server 'nobody'"),
        (("--server", "nobody", "--api-key-env", "PATH"), "goes with --url"),
    ],
)
def test_bad_usage(measure, words, message):
    """Exit code 2, one message, nothing on stdout, no traceback."""
    done = measure(*words)
    assert (2, "") == (done.returncode, done.stdout)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
