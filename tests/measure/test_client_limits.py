"""Limits of this machine: named as such, with their remedy, and never blamed on the server."""

import errno
import resource
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from tests.measure.conftest import SMALL
from tests.measure.scripted_server import Exchange, Script, scripted_server

from seatrial.errors import UsageError
from seatrial.measure import find_problems, start_load
from seatrial.measure.client_limits import CLIENT_LIMIT, named_limits, own_limit

MANY = replace(SMALL, concurrency=(4,), requests=40, prompt_tokens=16, answer_tokens=8)


@pytest.fixture
def measure():
    """Run the command with a limit of the shell."""

    def run(limit, *words):
        command = f"ulimit {limit}; exec {sys.executable} -m seatrial measure {' '.join(words)} --json"
        return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.mark.parametrize("limit", [8, 12, 16, 30, 60])
def test_too_few_open_files_are_refused_before_anything_is_sent(measure, limit):
    """The message has the numbers and how to raise the limit, and the server hears nothing."""
    script = Script()
    with scripted_server(script) as url:
        done = measure(f"-n {limit}", "--url", url, "--concurrency=64", "--requests=64")
    assert (2, "", []) == (done.returncode, done.stdout, script.seen)
    assert f"{limit} (ulimit -n)" in done.stderr or f"{limit} files (ulimit -n)" in done.stderr
    assert f"Its hard limit is {limit}: raise that where it was set" in done.stderr
    assert "Traceback" not in done.stderr
    assert url not in done.stderr


def test_what_fits_into_the_limit_is_measured(measure):
    """The number of streams that the message offers is one that works."""
    with scripted_server(Script()) as url:
        refused = measure("-n 30", "--url", url, "--concurrency=64", "--requests=64")
        streams = int(refused.stderr.partition("--concurrency ")[2].strip(" .\n"))
        done = measure("-n 30", "--url", url, f"--concurrency={streams}", "--requests=16", "--prompt-tokens=16")
    assert streams > 4
    assert '"failed": 0' in done.stdout


def test_a_soft_limit_is_raised_by_the_client(measure):
    """Only the hard limit binds."""
    with scripted_server(Script()) as url:
        done = measure("-Sn 30", "--url", url, "--concurrency=32", "--requests=32", "--prompt-tokens=16")
    assert '"failed": 0' in done.stdout


def test_a_limit_reached_in_the_middle_is_not_the_server_s():
    """Requests that did not leave have a name of their own, the level is not valid, and the remedy is the limit's."""
    begun, lowered = threading.Event(), threading.Event()

    def chat(exchange):
        if len(script.seen) > 10:
            begun.set()
            lowered.wait(30)
        Exchange.stream(exchange)

    script = Script(chat=chat)
    with scripted_server(script) as url, start_load(url, MANY) as load:
        try:
            assert begun.wait(30)
            resource.prlimit(load.pid, resource.RLIMIT_NOFILE, (4, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        finally:
            lowered.set()
        measurement = load.result()
    (point,) = measurement.points
    assert {CLIENT_LIMIT} == set(point.requests.errors)
    assert (
        "no more than 4 files (ulimit -n). Raise it in the shell before the command: ulimit -n "
        in (point.requests.reasons[CLIENT_LIMIT])
    )
    assert not point.self_check.valid
    assert f"{point.requests.failed} of 40 requests did not leave" in point.self_check.why
    assert "(ulimit -n)" in find_problems(measurement)[0]


LIMITS = [
    (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
    (OSError(errno.ENFILE, "Too many open files in system"), "fs.file-nr"),
    (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "ip_local_port_range"),
    (OSError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
    (RuntimeError("can't start new thread"), "ulimit -u"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "ulimit -v"),
    (MemoryError(), "ulimit -v"),
]


@pytest.mark.parametrize(("error", "name"), LIMITS)
def test_each_limit_is_named(error, name):
    """Open files, ports, processes, memory: the message says where the limit is read and what to do."""
    assert name in str(own_limit(error))
    with pytest.raises(UsageError, match="The measuring client cannot go on") as caught, named_limits():
        raise error
    assert name in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "error", [OSError(errno.ECONNREFUSED, "refused"), OSError("no number"), RuntimeError("other"), TimeoutError()]
)
def test_what_the_server_does_is_no_limit(error):
    """A refused connection stays the server's."""
    assert own_limit(error) is None
    with pytest.raises(type(error)), named_limits():
        raise error


def test_no_address_of_ipv6_is_no_lack_of_ports():
    """A container without IPv6 answers so to ::1, and an address has no remedy in a wait."""
    error = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    assert (None, True) == (own_limit(error, "::1"), "port" in str(own_limit(error, "127.0.0.1")))
