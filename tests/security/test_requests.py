"""The same rules for requests and notebooks: URLs, keys, parameters, folders; one clear error each."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.batch.conftest import echo, write_notebook  # noqa: F401 -- fixtures
from tests.batch.test_parameters import KNOWN
from tests.security.conftest import is_one_clear_error, leaky_command

from seatrial.batch.parameters import choose_parameters
from seatrial.errors import SeatrialError, UsageError
from seatrial.measure import Workload, measure_server

URLS = {
    "a user and a password": "http://user:sesame-pw@127.0.0.1:9",
    "a key as user": "http://sk-sesame-sesame@127.0.0.1:9",
    "a file": "file:///etc/passwd",
    "gopher": "gopher://127.0.0.1:70/",
    "ftp": "ftp://127.0.0.1/",
    "a script": "javascript:alert(1)",
    "data": "data:text/html,x",
    "no scheme": "127.0.0.1:8000",
    "metadata": "http://169.254.169.254/latest/meta-data",
    "metadata as one number": "http://2852039166/",
    "metadata in hexadecimal": "http://0xA9FEA9FE/",
    "metadata in octal": "http://0251.0376.0251.0376/",
    "metadata, mapped": "http://[::ffff:169.254.169.254]/",
    "metadata, mapped in hexadecimal": "http://[::ffff:a9fe:a9fe]/",
    "metadata through 6to4": "http://[2002:a9fe:a9fe::]/",
    "metadata in wide digits": "http://\uff11\uff16\uff19.254.169.254/",
    "metadata by name": "http://metadata.google.internal/",
    "metadata of another cloud": "http://100.100.100.200/",
    "link-local": "http://[fe80::1]/",
    "every address": "http://0.0.0.0:8000",
    "a group": "http://224.0.0.1/",
    "a header": "http://127.0.0.1:9\r\nX-Evil: 1",
    "a blank": "http://127.0.0.1:9/a b",
    "a backslash": "http://127.0.0.1\\@evil.example",
    "a query with a key": "http://127.0.0.1:9/?api_key=sesame-sesame",
    "a fragment": "http://127.0.0.1:9/#x",
    "a port that is none": "http://127.0.0.1:99999",
    "256 kB": "http://" + "a" * 262_144,
}


@pytest.mark.parametrize("kind", URLS)
def test_no_request_goes_to_such_an_address(refused, kind):
    """Refused before a connection is made; a password in it is not repeated."""
    refused("measure", f"--url={URLS[kind]}", codes=(2,), never=["sesame"])


@pytest.mark.parametrize("key", ["", " ", "two\nlines", "a\r\nX-Evil: 1", "ключ", "x" * 5000, "a\x1b[31m"])
def test_a_key_no_header_may_carry_is_not_sent(refused, monkeypatch, key):
    """From the variable a person names; it is not repeated."""
    monkeypatch.setenv("SESAME", key)
    never = [key] if len(key.strip()) > 4 else []
    refused("measure", "--url=http://127.0.0.1:9", "--api-key-env=SESAME", codes=(2,), never=never)


@contextlib.contextmanager
def listening(handler, address="127.0.0.1"):
    """Start a web server in a thread."""
    with ThreadingHTTPServer((address, 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_never_takes_the_key_along(status):
    """The second server hears nothing, neither the key nor a request."""
    heard = []

    class Thief(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET  # noqa: N815 -- the name http.server looks for

        def log_message(self, *_):
            """Log nothing."""

    with listening(Thief, "127.0.0.2") as thief:

        class Redirecting(Thief):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.send_header("Location", f"http://127.0.0.2:{thief.server_port}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET  # noqa: N815 -- same

        with listening(Redirecting) as server, contextlib.suppress(SeatrialError):
            url = f"http://127.0.0.1:{server.server_port}"
            measure_server(url, Workload(requests=1, concurrency=(1,)), api_key="sesame-sesame-sesame", model="m")
    assert [] == heard


SECRETS = [
    "hf_abcdefghijklmnop",
    "sk-proj-abcdefgh1234",
    "ghp_" + "a" * 36,
    "github_pat_" + "a" * 30,
    "AKIAABCDEFGHIJKLMNOP",
    "nvapi-abcdefghijkl",
    "xoxb-abcdefghijkl",
    "glpat-abcdefghijkl",
    "AIza" + "a" * 30,
    "Bearer abcdefghijk",
    "https://me:passw0rd@host/x",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.x",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda text: text[:8])
def test_a_parameter_that_looks_like_a_secret_runs_nothing(refused, echo, secret):  # noqa: F811
    """It would be stored in the executed notebook; it is not repeated either."""
    refused("run", str(echo), "-p", "hardware", secret, codes=(2,), never=[secret], says="looks like a secret")


CODE = [
    "x=1;import os",
    "__import__('os').system('touch pwned')",
    "hardware\nimport os",
    "hardware = 1",
    "class",
    "a b",
    "1st",
    "_hidden",
    "naïve",
    "",
    "x" * 262_144 + "-",
    "{param}",
    "hardware\x00",
    "$(touch pwned)",
]


@pytest.mark.parametrize("name", CODE, ids=lambda text: repr(text)[:20])
def test_a_parameter_name_that_is_code_runs_nothing(refused, echo, name):  # noqa: F811
    """Papermill writes names into the notebook as code."""
    refused("run", str(echo), "-p", name, "1", codes=(2,), says="not a parameter name")


@pytest.mark.parametrize("value", ["h100\nimport os", "a\x00b", "x" * 5000, "a\x1b[31m", "a\u202eb", "a\u200bb"])
def test_a_value_with_what_nobody_sees_is_refused(refused, echo, value):  # noqa: F811
    """One printable line is a value."""
    refused("run", str(echo), "-p", "hardware", value, codes=(2,))


@pytest.mark.parametrize("name", ["hardwear", "context", "HARDWARE", "no_such_thing"])
def test_an_unknown_parameter_runs_nothing(refused, echo, name):  # noqa: F811
    """A typo never runs with the default instead."""
    refused("run", str(echo), "-p", name, "1", codes=(2,), says="Unknown parameter")


OUTPUTS = [
    "../beside",
    "..",
    "a/../../beside",
    "{param}",
    "runs/{hardware}",
    "",
    "  ",
    "a\nb",
    "a\x1b[31m",
    "a\x00b",
    "linked",
]


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda text: repr(text)[:20])
def test_an_output_that_leads_elsewhere_is_refused(refused, echo, places, output):  # noqa: F811
    """Parents, templates, control characters and links."""
    (places[0] / "here" / "linked").symlink_to(places[0] / "beside")
    refused("run", str(echo), f"--output={output}", codes=(2,))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "none.ipynb",
        "../none.ipynb",
        "http://evil.example/x.ipynb",
        "s3://x/y.ipynb",
        "-x",
        "a\x00b",
        "/dev/zero",
    ],
)
def test_what_is_no_notebook_is_not_run(refused, path):
    """A file of another kind, one that is not there, an address."""
    refused("run", "--", path, codes=(2,))


def test_known_parameters_still_pass():
    """The rules let ordinary values through."""
    assert {"hardware": "h100x8"} == choose_parameters(KNOWN, {"hardware": "h100x8"})["one.ipynb"]


def test_a_secret_in_an_engine_s_own_variables_is_refused(not_launched):
    """A command's variables would be in the server's record: refused by name, or by the form of the value."""
    for env in ({"HF_TOKEN": "x"}, {"MY_API_KEY": "sesame"}, {"URL": "http://u:sesame-pw@h/"}, {"A": SECRETS[0]}):
        not_launched(leaky_command(env=env), says="looks like a secret", never=["sesame", SECRETS[0]])
    for env in ({"A=B": "1"}, {"A B": "1"}, {"": "1"}, {"LD_PRELOAD\n": "x"}, {"A": "x\x00y"}):
        not_launched(leaky_command(env=env), says="no environment variable", kind=UsageError)
    with pytest.raises(UsageError) as caught:
        choose_parameters(KNOWN, {"hardware": SECRETS[0]})
    is_one_clear_error(str(caught.value), never=[SECRETS[0]])
