"""A secret in every place it may be, then searched for in everything seatrial leaves, shows or starts."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from tests.security.conftest import LEAKY_ENGINE, leaky_command

from seatrial.cli.main import main
from seatrial.errors import EngineError
from seatrial.launching import launch
from seatrial.launching.access import Access
from seatrial.server import find_server
from seatrial.server.folder import folder_of

OWN_KEY = "Canary0wnKey-7f3a9b1c5d2e8f4a6b0c"
ENVIRONMENT = {
    "HF_TOKEN": "hf_CanaryHubToken0123456789",
    "OPENAI_API_KEY": "sk-CanaryOtherKey0123456789",
    "AWS_SECRET_ACCESS_KEY": "CanaryCloudSecret+abcdef0123456789",
    "MY_PASSWORD": "CanaryPassw0rd!",
    "PIP_INDEX_URL": "https://canary:CanaryIndexPw1@packages.example/simple",
    "VLLM_API_KEY": "CanaryEngineKey0123456789",
    "LLAMA_API_KEY": "CanaryLlamaKey0123456789",
}
PLACES = ("own key in a file", "own key in a variable", "the launch's own key")
LAUNCH = """
import logging, sys
from pathlib import Path
logging.basicConfig(level=logging.DEBUG)
from seatrial.launching import launch
from seatrial.server import list_servers
from seatrial.launching.access import Access
from tests.security.conftest import leaky_command
server = launch(leaky_command(), name="canary", access=Access(api_key_file=Path(sys.argv[1])))
print(server, repr(server), list_servers(), flush=True)
sys.stdin.read()
print(server.stop())
"""


class Watch:
    """Reads the command line of every process for as long as it is open, from a thread."""

    def __init__(self, secrets):
        self.secrets = [secret.encode() for secret in secrets]
        self.seen = set()
        self.looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _look(self):
        while not self._over.is_set():
            for process in psutil.process_iter():
                try:
                    words = b"\0".join(os.fsencode(word) for word in process.cmdline())
                except psutil.Error:
                    continue
                self.seen.update(secret for secret in self.secrets if secret in words)
            self.looks += 1
            time.sleep(0.05)


@pytest.fixture
def canaries(monkeypatch):
    """Return every secret of the environment."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return [*(value for name, value in ENVIRONMENT.items() if name != "PIP_INDEX_URL"), "CanaryIndexPw1"]


@pytest.fixture
def own_key_file(tmp_path):
    """Write a file with a person's own key."""
    path = tmp_path / "own-key"
    path.write_text(f"{OWN_KEY}\n")
    path.chmod(0o600)
    return path


def kept_in(folder, *, leave=("key",)):
    """Return the texts of all files below a folder, except those that hold the key on purpose."""
    return {
        str(path): path.read_bytes().decode(errors="replace")
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name not in leave and not path.name.startswith("engine_key")
    }


def holds_none(texts, secrets):
    """Check that no text contains a secret, complete or cut in half."""
    for name, text in texts.items():
        for secret in secrets:
            assert secret not in text, f"{secret[:12]}... in {name}"
            assert secret[4:-2] not in text, f"most of {secret[:12]}... in {name}"


def settled(server, secrets=()):
    """Wait until the engine has printed all it knows and the supervisor, which looks ten times a second, has masked it."""
    deadline = time.monotonic() + 10
    text = ""
    while time.monotonic() < deadline:
        text = Path(server.log).read_text(errors="replace")
        if "key ****" in text and "Bearer ****" in text and not any(secret in text for secret in secrets):
            return text
        time.sleep(0.02)
    return pytest.fail(f"the log was not masked: {text[-2000:]}")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key_env", [None, "VLLM_API_KEY"])
def test_what_an_engine_writes_down_is_masked_in_its_log(canaries, own_key_file, monkeypatch, place, key_env):
    """It logs its arguments, its entire environment, its key and every request with its headers."""
    monkeypatch.setenv("MINE", OWN_KEY)
    access = {
        "own key in a file": Access(api_key_file=own_key_file),
        "own key in a variable": Access(api_key_env="MINE"),
        "the launch's own key": Access(),
    }[place]
    with Watch([*canaries, OWN_KEY]) as watch:
        with launch(leaky_command(key_env=key_env), name="canary", access=access) as server:
            secrets = [*canaries, server.api_key()]
            assert (server.api_key() == OWN_KEY) == (place != "the launch's own key")
            watch.secrets.append(server.api_key().encode())
            holds_none({"read_log": "\n".join(server.read_log(1000)), "repr": repr(server)}, secrets)
            assert "environment {" in settled(server, secrets)
            holds_none(kept_in(folder_of("canary").path), secrets)
        holds_none(kept_in(os.environ["SEATRIAL_STATE"], leave=()), secrets)
        holds_none({"read_log": "\n".join(find_server("canary").read_log(1000))}, secrets)
    assert watch.looks
    assert set() == watch.seen


def test_the_engine_gets_its_own_key_and_no_other_door(canaries):
    """What would add a key or change its settings stays outside; the hub's token is passed on."""
    with launch(leaky_command(), name="doors") as server:
        settled(server)
        environment = psutil.Process(server.pid).environ()
    assert canaries[0] == environment["HF_TOKEN"]
    assert "LLAMA_API_KEY" not in environment
    assert "VLLM_API_KEY" in environment  # of another engine: llama.cpp does not look at it


CLOSED = {
    "llamacpp": (
        "LLAMA_ARG_HOST",
        "LLAMA_ARG_SLOT_SAVE_PATH",
        "LLAMA_ARG_RPC",
        "llama_arg_chat_template_file",
        "LLAMA_API_KEY",
        "HOST",
        "PORT",
        "CONFIG_FILE",
        "Ssl_Keyfile",
    ),
    "vllm": ("VLLM_API_KEY", "VLLM_ALLOW_INSECURE_SERIALIZATION", "VLLM_SERVER_DEV_MODE"),
    "sglang": ("SGLANG_PLUGINS", "SGLANG_EXTERNAL_MODEL_PACKAGE", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"),
    "mlx": (
        "MLX_TRUST_REMOTE_CODE",
        "MLX_VLM_PRELOAD_ADAPTER",
        "MLX_VLM_DRAFT_MODEL",
        "MLX_VLM_MODEL_PATHS",
        "APC_DISK_PATH",
    ),
}


@pytest.mark.parametrize("engine", CLOSED)
def test_a_variable_that_would_do_what_a_refused_option_does_is_not_passed_on(monkeypatch, engine):
    """Engines read settings from the environment too; those of llama-cpp-python even win over its arguments."""
    for name in CLOSED[engine]:
        monkeypatch.setenv(name, "canary-value")
    with launch(leaky_command(engine=engine), name="closed") as server:
        pids = (server.pid, folder_of("closed").processes().supervisor.pid)
        for pid in pids:
            assert set() == psutil.Process(pid).environ().keys() & set(CLOSED[engine])


def test_a_failure_that_shows_the_key_does_not(canaries, own_key_file):
    """The engine ends with a traceback that holds its key and the hub's token."""
    with pytest.raises(EngineError) as caught:
        launch(leaky_command("--fail"), name="fails", access=Access(api_key_file=own_key_file))
    error = caught.value
    texts = {
        "message": str(error),
        "evidence": "\n".join(error.evidence),
        "repr": repr(error),
        "state": str(vars(error)),
    }
    assert "could not authenticate with" in texts["message"]
    holds_none(texts, [*canaries, OWN_KEY])
    holds_none(kept_in(os.environ["SEATRIAL_STATE"], leave=()), [*canaries, OWN_KEY])


def seatrial(*words, **environment):
    """Run the command line in a process of its own, and return its output as text."""
    argv = [sys.executable, "-m", "seatrial", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    return f"{done.stdout}\n{done.stderr}"


def test_the_command_line_shows_none_of_it(canaries, own_key_file, monkeypatch, capsys):
    """Serve, ps, logs, measure and stop in text and JSON, with every message of seatrial's own log and tracebacks on."""
    argv = [sys.executable, "-c", LAUNCH, str(own_key_file)]
    pipe = subprocess.PIPE
    monkeypatch.setenv("SEATRIAL_TRACEBACK", "1")

    def told(*words):
        main(list(words))
        return "\n".join(capsys.readouterr())

    with (
        Watch([*canaries, OWN_KEY]) as watch,
        subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as launching,
    ):
        ready = launching.stdout.readline()
        texts = {
            "ps": told("ps") + told("ps", "--json"),
            "logs": told("logs", "canary", "--lines=1000"),
            "logs --json": told("logs", "canary", "--json"),
            "serve": told("serve", "--engine=simulated", "--name=canary"),
            "measure": seatrial("measure", "--server=canary", "--requests=1", "--json"),
            "stop": told("stop", "canary", "--json"),
            "logs of an ended one": told("logs", "canary"),
        }
        out, err = launching.communicate("\n")
    assert "canary" in ready
    assert "DEBUG" in err or "INFO" in err
    assert "environment {" in texts["logs"]
    holds_none(texts | {"launch": ready + out, "log messages": err}, [*canaries, OWN_KEY])
    assert set() == watch.seen


@pytest.mark.parametrize("debug", [{}, {"SEATRIAL_TRACEBACK": "1"}])
def test_an_unexpected_failure_shows_no_secret(canaries, tmp_path, debug):
    """A failure nobody foresaw, whose message holds a token: as one line, and as a traceback."""
    code = (
        "import os, sys, seatrial.cli.ps as ps\n"
        "def fail(_):\n    token = os.environ['HF_TOKEN']\n    raise RuntimeError(f'no access with {token} or {os.environ!r}')\n"
        "ps.run = fail\n"
        "from seatrial.cli.main import main\n"
        "sys.exit(main(['ps']))\n"
    )
    env = {**os.environ, **debug}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env, cwd=tmp_path
    )
    assert 1 == done.returncode
    assert "no access with [secret]" in done.stderr
    assert ("Traceback" in done.stderr) == bool(debug)
    holds_none({"stderr": done.stderr, "stdout": done.stdout}, canaries)


NOTEBOOK = [
    "import os, logging\nlogging.basicConfig(level=logging.DEBUG)\nprint(dict(os.environ))",
    "os.environ['HF_TOKEN']",
    "from seatrial.launching import launch\nfrom tests.security.conftest import leaky_command",
    "server = launch(leaky_command(), name='canary')\nserver",
    "from seatrial.view.notebook.servers import show_log, show_server\nshow_server(server)",
    "show_log(server, 1000)",
    "print(server.api_key(), open(server.api_key_file).read())",
    "from seatrial.records import record, to_dict\nrecord('server', {'server': to_dict(server), 'key': server.api_key()})",
    "import pathlib\npathlib.Path('key-was').write_text(server.api_key())\nNone",
    "server.stop()",
    "raise RuntimeError(f\"no access with {os.environ['HF_TOKEN']} as {os.environ['MY_PASSWORD']}\")",
]


def test_an_executed_notebook_keeps_none_of_it(canaries, tmp_path, monkeypatch):
    """One that prints its environment, shows the key in every way, records it, and ends with it in a traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(LEAKY_ENGINE.parents[2]))
    cells = [new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(NOTEBOOK)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), tmp_path / "leaky.ipynb")
    shown = seatrial("run", "leaky.ipynb", "--output=runs/one", "--json")
    key = (tmp_path / "key-was").read_text()
    (tmp_path / "key-was").unlink()
    secrets = [*canaries, key]
    executed = json.loads((tmp_path / "runs/one/leaky.ipynb").read_text())
    ran = [cell["execution_count"] for cell in executed["cells"] if cell["cell_type"] == "code"]
    assert len(NOTEBOOK) == sum(count is not None for count in ran), shown
    kept = kept_in(tmp_path / "runs", leave=())
    assert {"leaky.ipynb", "record.json", "report.html"} <= {Path(path).name for path in kept}
    holds_none(kept | {"shown": shown}, secrets)
    assert any("[secret]" in text for text in kept.values())
    holds_none(kept_in(os.environ["SEATRIAL_STATE"], leave=()), secrets)


def test_a_plan_and_its_record_hold_no_secret(canaries, capsys):
    """A plan's output and a server's record depend only on the plan."""
    text = seatrial("plan", "--model=flash", "--hardware=h200x8", "--json") + seatrial("detect", "--json")
    assert "argv" in text
    holds_none({"plan": text}, canaries)
    assert capsys.readouterr().out == ""


def test_a_key_file_of_one_s_own_is_left_as_it_was(own_key_file):
    """It is read, not moved, changed or removed."""
    before = own_key_file.stat()
    with launch(leaky_command(), name="own", access=Access(api_key_file=own_key_file)):
        pass
    after = own_key_file.stat()
    assert (before.st_mode, before.st_mtime_ns, before.st_ino) == (after.st_mode, after.st_mtime_ns, after.st_ino)
    assert f"{OWN_KEY}\n" == own_key_file.read_text()


def test_a_flood_of_secrets_is_masked_past_the_cap_too(monkeypatch):
    """Halves of one at the end of a look, and the part moved aside: the supervisor overlaps its looks."""
    secret = "CanaryFlood-0123456789abcdef"
    monkeypatch.setenv("FLOOD_TOKEN", secret)
    with launch(leaky_command(), name="flood") as server:
        settled(server)
        with Path(server.log).open("ab", buffering=0) as log:
            for number in range(400):
                log.write((f"{number:06d}" + "x" * (number * 37 % 900) + secret[: number % 28]).encode())
                log.write((secret[number % 28 :] + "\n").encode())
        deadline = time.monotonic() + 10
        while secret.encode() in Path(server.log).read_bytes() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert secret.encode() not in Path(server.log).read_bytes()
        assert 400 == len(re.findall(rb"(?m)^\d{6}x*\*{28}$", Path(server.log).read_bytes()))
    logging.getLogger("seatrial").debug("kept quiet")
